"""The unified model: puts stem, encoder, decoder and exit heads together, and nothing else.

``model_core.coca`` is the other kind, made of the same parts. ``Backbone`` is all that the runtime
knows of a model. Where norms stand, how positions are encoded and what the stem is are the model's
own business.
"""

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
from model_core.tag_heads import TagHeads
from model_core.types import Modality


class Backbone(Protocol):
    """What the runtime needs of a model."""

    @property
    def config(self) -> ModelConfig:
        """Sizes and tasks."""

    @property
    def tag_heads(self) -> TagHeads | None:
        """Heads of the image encoder that give tags; None where it has none."""

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

    def pool(self, modality: Modality, hidden: Tensor) -> Tensor:
        """``(B, E)`` unit vectors of ``(B, T, D)`` states of one modality, all tokens real."""

    def summarize(self, token_ids: Tensor, mask: Tensor) -> Tensor:
        """``(B, 1, D)`` states of sentences that ``pool`` takes, where the encoder takes no text.

        ``(B, T)`` ids are padded, and the mask is True at real tokens.
        """

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
        self.tag_heads: TagHeads | None = None  # likewise

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

    def pool(self, modality: Modality, hidden: Tensor) -> Tensor:
        assert self.poolers is not None, "a model without poolers is asked to pool"
        pooler = self.poolers.image if modality is Modality.IMAGE else self.poolers.text
        vectors: Tensor = pooler(self.encoder.memory_norm(hidden), None)
        return vectors

    def summarize(self, token_ids: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG002
        raise ValueError("this model's encoder has a text side; it reads sentences")

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

    def learned_score(self, kind: str, signals: ExitSignals) -> Tensor:
        score: Tensor = self.policy_heads[kind](signals)
        return score
