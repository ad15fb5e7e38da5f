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
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.num_decoder_layers))
        self.dropout = nn.Dropout(config.dropout)

    def embed(self, token_ids: Tensor, positions: Tensor) -> Tensor:
        """``(N, D)`` embeddings of ``(N,)`` ids at ``(N,)`` 0-based positions."""
        embedded = self.word_embedding(token_ids) + self.position(positions)
        hidden: Tensor = self.dropout(self.norm(embedded))
        return hidden

    def run_layers(self, hidden: Tensor, context: DecoderContext, start: int, stop: int) -> Tensor:
        """``(N, D)`` states after layers ``start..stop-1``; ``context`` does the attending."""
        for layer in range(start, stop):
            hidden = self.layers[layer](hidden, layer, context)
        return hidden
