"""One head per depth of the image encoder, of which kind being data, and the tags they give.

Source: arXiv 2308.00255 (LGViT): heterogeneous heads, local perception at shallow depths and global
aggregation at deep ones. The task is ours (several words for a photo, so sigmoids stand where the
paper has a softmax), and so is the mean of the encoder's tokens where the paper adds its CLS token,
which this encoder does not have.
"""

from enum import StrEnum
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from model_core.config import FrozenConfig, ModelConfig
from model_core.layers import init_weights
from model_core.tag_heads.aggregation import GlobalAggregationHead
from model_core.tag_heads.base import TagHead, linear_flops
from model_core.tag_heads.local import LocalPerceptionHead
from model_core.tag_heads.plain import LinearHead, MlpHead


class HeadKind(StrEnum):
    """What stands at a depth; ``local_pointwise`` is a local head without its depthwise stage."""

    LOCAL = "local"
    LOCAL_POINTWISE = "local_pointwise"
    GLOBAL = "global"
    LINEAR = "linear"
    MLP = "mlp"


class TagHeadsConfig(FrozenConfig):
    """What tag heads are; it is stored with them.

    Attributes:
        words: The tags, in the order of their probabilities.
        kinds: Of the head at depths 1..L.
        local_width: Channels inside a local head.
        global_width: Width of the attention of a global head.
        mlp_width: Hidden units of an mlp head.
    """

    words: tuple[str, ...] = Field(min_length=1)
    kinds: tuple[HeadKind, ...] = Field(min_length=1)
    # With these a local, a global and an mlp head cost alike on 49 tokens of width 384.
    local_width: int = Field(default=128, ge=1, le=4096)
    global_width: int = Field(default=192, ge=8, le=4096, multiple_of=8)
    mlp_width: int = Field(default=128, ge=1, le=4096)

    @model_validator(mode="after")
    def _words_differ(self) -> Self:
        if len(set(self.words)) < len(self.words):
            raise ValueError("words: the same word stands there twice")
        return self


class TagHeads(nn.Module):
    """``logits = W_d (mean of head tokens + mean of image tokens)`` at each depth ``d``.

    Attributes:
        thresholds: ``(L,)`` probability from which a word belongs to the answer, by depth.
    """

    thresholds: Tensor

    def __init__(self, config: TagHeadsConfig, model_config: ModelConfig) -> None:
        """Untrained heads for a model of ``model_config``.

        Raises:
            ValueError: There is not one kind per layer of its encoder.
        """
        super().__init__()
        if len(config.kinds) != model_config.num_encoder_layers:
            raise ValueError(
                f"kinds: {len(config.kinds)} heads for {model_config.num_encoder_layers} layers of "
                "the encoder; there must be one for each"
            )
        self.config = config
        width = model_config.hidden_size
        self.heads = nn.ModuleList(_head(kind, config, model_config) for kind in config.kinds)
        self.outputs = nn.ModuleList(nn.Linear(width, len(config.words)) for _ in config.kinds)
        self.register_buffer("thresholds", torch.full((len(config.kinds),), 0.5))
        self.apply(init_weights)

    def tokens(self, depth: int, states: Tensor) -> Tensor:
        """``(B, T', D)`` tokens of the head at ``depth``, of ``(B, T, D)`` states there."""
        tokens: Tensor = self.heads[depth - 1](states)
        return tokens

    def features(self, depth: int, states: Tensor) -> Tensor:
        """``(B, D)`` what the tags are read from at ``depth``, of ``(B, T, D)`` states there."""
        return pooled(self.tokens(depth, states), states)

    def logits(self, depth: int, features: Tensor) -> Tensor:
        """``(B, N)`` log odds of the words, of ``(B, D)`` features at ``depth``."""
        logits: Tensor = self.outputs[depth - 1](features)
        return logits

    def flops(self, depth: int) -> int:
        """Operations of the head at ``depth`` for one photo, its log odds included."""
        head, output = self.heads[depth - 1], self.outputs[depth - 1]
        assert isinstance(head, TagHead) and isinstance(output, nn.Linear)
        return head.flops() + linear_flops(output.in_features, output.out_features)


def pooled(tokens: Tensor, states: Tensor) -> Tensor:
    """``(B, D)`` mean of ``(B, T', D)`` head tokens plus mean of the ``(B, T, D)`` states."""
    return tokens.mean(dim=1) + states.mean(dim=1)


def _head(kind: HeadKind, config: TagHeadsConfig, model_config: ModelConfig) -> TagHead:
    num_tokens, width = model_config.stem.num_image_tokens, model_config.hidden_size
    match kind:
        case HeadKind.LOCAL | HeadKind.LOCAL_POINTWISE:
            has_depthwise = kind is HeadKind.LOCAL
            return LocalPerceptionHead(num_tokens, width, config.local_width, has_depthwise)
        case HeadKind.GLOBAL:
            return GlobalAggregationHead(num_tokens, width, config.global_width)
        case HeadKind.MLP:
            return MlpHead(num_tokens, width, config.mlp_width)
        case HeadKind.LINEAR:
            return LinearHead()
