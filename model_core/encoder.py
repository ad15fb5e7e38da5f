"""The encoder: embeddings of both modalities and the tied layers that run over each in turn.

There is no attention across modalities here (arXiv 2211.11152, section 3.1), so each may leave on
its own; they meet in the memory that the decoder attends to.
"""

import torch
from torch import Tensor, nn

from model_core.config import ModelConfig
from model_core.layers import EncoderLayer
from model_core.text_embedding import TextEmbedding


class DecomposedEncoder(nn.Module):
    """Tied encoder layers over image tokens and, separately, over text tokens."""

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(self, config: ModelConfig, word_embedding: nn.Embedding) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embedding: nn.Embedding | TextEmbedding = word_embedding
        if config.text_embedding_rank:
            self.word_embedding = TextEmbedding(word_embedding, config.text_embedding_rank)
        # Stem features are positive with a large common part; left in, it drowns what differs.
        self.register_buffer("feature_mean", torch.zeros(config.stem.feature_channels))
        self.register_buffer("feature_scale", torch.ones(config.stem.feature_channels))
        self.image_projection = nn.Linear(config.stem.feature_channels, width)
        self.image_position = nn.Embedding(config.stem.num_image_tokens, width)
        self.image_norm = nn.LayerNorm(width)
        self.text_position = nn.Embedding(config.max_text_tokens, width)
        self.text_norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_encoder_layers))
        self.memory_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(config.dropout)

    def fold_text_embedding(self) -> None:
        """Make looking up a word of the text side as cheap as it is with tied vectors."""
        if isinstance(self.word_embedding, TextEmbedding):
            self.word_embedding.fold()

    def embed_image(self, features: Tensor) -> Tensor:
        """``(B, Ti, D)`` embeddings of ``(B, Ti, C)`` stem features."""
        standardised = (features - self.feature_mean) * self.feature_scale
        embedded = self.image_projection(standardised) + self.image_position.weight
        hidden: Tensor = self.dropout(self.image_norm(embedded))
        return hidden

    def embed_text(self, token_ids: Tensor) -> Tensor:
        """``(B, Tt, D)`` embeddings of ``(B, Tt)`` ids."""
        positions = self.text_position.weight[: token_ids.shape[1]]
        hidden: Tensor = self.dropout(self.text_norm(self.word_embedding(token_ids) + positions))
        return hidden

    def run_layers(self, hidden: Tensor, mask: Tensor | None, start: int, stop: int) -> Tensor:
        """``(B, T, D)`` states after layers ``start..stop-1``."""
        for layer in range(start, stop):
            hidden = self.layers[layer](hidden, mask)
        return hidden

    def memory(self, image_hidden: Tensor, text_hidden: Tensor) -> Tensor:
        """``(B, Ti+Tt, D)`` normalised memory, whatever depth each modality came from."""
        joined: Tensor = self.memory_norm(torch.cat([image_hidden, text_hidden], dim=1))
        return joined
