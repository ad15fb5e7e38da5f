"""The decoder: target embeddings and the layers that run over packed target tokens."""

from torch import Tensor, nn

from model_core.config import ModelConfig
from model_core.layers import DecoderContext, DecoderLayer


class Decoder(nn.Module):
    """Decoder layers; ``run_layers`` is the one path for every use."""

    def __init__(self, config: ModelConfig, word_embedding: nn.Embedding) -> None:
        super().__init__()
        self.word_embedding = word_embedding
        self.position = nn.Embedding(config.max_target_tokens, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size)
        self.layers = nn.ModuleList(
            DecoderLayer(config, sees_memory=layer >= config.num_unimodal_layers)
            for layer in range(config.num_decoder_layers)
        )
        self.dropout = nn.Dropout(config.dropout)

    def embed(self, token_ids: Tensor, positions: Tensor) -> Tensor:
        """``(N, D)`` embeddings of ``(N,)`` ids at ``(N,)`` 0-based positions."""
        return self.embed_vectors(self.word_embedding(token_ids), positions)

    def embed_vectors(self, vectors: Tensor, positions: Tensor) -> Tensor:
        """``(N, D)`` embeddings of ``(N, D)`` word vectors at ``(N,)`` positions."""
        hidden: Tensor = self.dropout(self.norm(vectors + self.position(positions)))
        return hidden

    def run_layers(self, hidden: Tensor, context: DecoderContext, start: int, stop: int) -> Tensor:
        """``(N, D)`` states after layers ``start..stop-1``; ``context`` does the attending."""
        for layer in range(start, stop):
            hidden = self.layers[layer](hidden, layer, context)
        return hidden
