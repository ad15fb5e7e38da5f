"""The unified model: puts stem, encoder, decoder and exit heads together, and nothing else.

``model_core.coca`` is the other kind, made of the same parts. ``Backbone`` is all that the runtime
knows of a model. Where norms stand, how positions are encoded and what the stem is are the model's
own business.
"""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor, nn

from model_core.config import ModelConfig
from model_core.decoder import Decoder
from model_core.encoder import DecomposedEncoder
from model_core.exit_heads import TokenExitHead
from model_core.layers import DecoderContext, KeyValue, init_weights
from model_core.policies import ExitSignals
from model_core.poolers import AttentionPooler, Poolers
from model_core.stem import EfficientNetLite

# Runs the encoder, exits and all, over an embedded ``(B, Tt, D)`` text side with its mask.
RunText = Callable[[Tensor, Tensor], Tensor]


class Backbone(Protocol):
    """What the runtime needs of a model."""

    @property
    def config(self) -> ModelConfig:
        """Sizes and tasks."""

    def image_features(self, pixels: Tensor) -> Tensor:
        """``(B, Ti, C)`` stem features of ``(B, 3, S, S)`` prepared pixels."""

    def embed_image(self, features: Tensor) -> Tensor:
        """``(B, Ti, D)`` encoder input of stem features."""

    def embed_text(self, token_ids: Tensor) -> Tensor:
        """``(B, Tt, D)`` encoder input of ``(B, Tt)`` ids."""

    def run_encoder_layer(self, layer: int, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """``(B, T, D)`` states of one modality after one layer."""

    def memory(self, image_hidden: Tensor, text_hidden: Tensor) -> Tensor:
        """``(B, Ti+Tt, D)`` what the decoder attends to."""

    def embed_target(self, token_ids: Tensor, positions: Tensor) -> Tensor:
        """``(N, D)`` decoder input of ``(N,)`` ids at ``(N,)`` positions."""

    def run_decoder_layer(self, layer: int, hidden: Tensor, context: DecoderContext) -> Tensor:
        """``(N, D)`` states of a packed block of tokens after one layer."""

    def self_key_value(self, layer: int, hidden: Tensor) -> KeyValue:
        """Self-attention keys and values of ``(N, D)`` states entering a decoder layer."""

    def memory_key_value(self, layer: int, memory: Tensor) -> KeyValue:
        """Cross-attention keys and values of a ``(B, M, D)`` memory at a decoder layer."""

    def exit_features(self, depth: int, hidden: Tensor) -> Tensor:
        """``(N, D)`` exit features of states after ``depth`` decoder layers."""

    def exit_logits(self, features: Tensor, candidates: Tensor | None = None) -> Tensor:
        """``(N, V)`` logits of exit features, or of the candidate ids alone."""

    def learned_score(self, kind: str, signals: ExitSignals) -> Tensor:
        """``(B,)`` score of the heads that were trained for policies of ``kind``."""


class UnifiedModel(nn.Module):
    """Image and text in, text out, with an exit after every layer."""

    def __init__(self, config: ModelConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.config = config
        self.word_embedding = nn.Embedding(vocabulary_size, config.hidden_size)
        self.encoder = DecomposedEncoder(config, self.word_embedding)
        self.decoder = Decoder(config, self.word_embedding)
        self.exit_head = TokenExitHead(config, self.word_embedding)
        self.poolers = self._new_poolers()
        self.apply(init_weights)
        self.exit_head.reset_adapters()
        self.stem = EfficientNetLite(config.stem)
        # By kind of policy (``model_core.policy_heads``); a checkpoint brings those it was given.
        self.policy_heads = nn.ModuleDict()

    def _new_poolers(self) -> Poolers | None:
        has_poolers = self.config.embedding_size > 0
        return Poolers(self.config, AttentionPooler(self.config)) if has_poolers else None

    def image_features(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.stem(pixels)
        return features

    def embed_image(self, features: Tensor) -> Tensor:
        return self.encoder.embed_image(features)

    def embed_text(self, token_ids: Tensor) -> Tensor:
        return self.encoder.embed_text(token_ids)

    def run_encoder_layer(self, layer: int, hidden: Tensor, mask: Tensor | None) -> Tensor:
        return self.encoder.run_layers(hidden, mask, layer, layer + 1)

    def memory(self, image_hidden: Tensor, text_hidden: Tensor) -> Tensor:
        return self.encoder.memory(image_hidden, text_hidden)

    def embed_target(self, token_ids: Tensor, positions: Tensor) -> Tensor:
        return self.decoder.embed(token_ids, positions)

    def run_decoder_layer(self, layer: int, hidden: Tensor, context: DecoderContext) -> Tensor:
        return self.decoder.run_layers(hidden, context, layer, layer + 1)

    def self_key_value(self, layer: int, hidden: Tensor) -> KeyValue:
        key_value: KeyValue = self.decoder.layers[layer].self_key_value(hidden)  # type: ignore[operator]
        return key_value

    def memory_key_value(self, layer: int, memory: Tensor) -> KeyValue:
        key_value: KeyValue = self.decoder.layers[layer].memory_key_value(memory)  # type: ignore[operator]
        return key_value

    def exit_features(self, depth: int, hidden: Tensor) -> Tensor:
        return self.exit_head.features(depth, hidden)

    def exit_logits(self, features: Tensor, candidates: Tensor | None = None) -> Tensor:
        return self.exit_head.logits(features, candidates)

    def embed_photos(self, hidden: Tensor) -> Tensor:
        """``(B, E)`` unit vectors of ``(B, Ti, D)`` image states, whatever depth they come from.

        Raises:
            ValueError: The model has no poolers; neither has it vectors of captions.
        """
        vectors: Tensor = self._existing_poolers().image(self.encoder.memory_norm(hidden), None)
        return vectors

    def embed_captions(self, token_ids: Tensor, mask: Tensor, run_text: RunText) -> Tensor:
        """``(R, E)`` unit vectors of ``(R, Tt)`` padded text sides; the mask is True at tokens."""
        hidden = self.encoder.memory_norm(run_text(self.embed_text(token_ids), mask))
        vectors: Tensor = self._existing_poolers().text(hidden, mask)
        return vectors

    def _existing_poolers(self) -> Poolers:
        if self.poolers is None:
            raise ValueError("this model has no poolers (embedding_size: 0)")
        return self.poolers

    def learned_score(self, kind: str, signals: ExitSignals) -> Tensor:
        score: Tensor = self.policy_heads[kind](signals)
        return score
