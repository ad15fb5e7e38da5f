"""EfficientNet-Lite0: the photo's pixels to a grid of image tokens.

Owns the convolutional stem, its TensorFlow-style "SAME" padding and the folding of its batch norms.
Module names follow the released ImageNet weights, so that they load without a name map.

Source: arXiv 1905.11946; the Lite variant drops squeeze-and-excite, uses ReLU6, and does not scale
its stem and head.
"""

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_core.config import StemConfig


class Stage(NamedTuple):
    """One row of the EfficientNet table."""

    repeats: int
    kernel_size: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
FIRST_CHANNELS = 32
BATCH_NORM_EPS = 1e-3


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow does: the odd pixel goes to the bottom right."""

    def forward(self, input: Tensor) -> Tensor:
        pads = self.pads(input)
        if len(set(pads)) == 1:
            return functional.conv2d(
                input, self.weight, self.bias, self.stride, pads[0], groups=self.groups
            )
        return super().forward(functional.pad(input, pads))

    def activated(self, input: Tensor, norm: nn.Module) -> Tensor:
        """ReLU6 of the normalised convolution."""
        return functional.relu6(norm(self(input)), inplace=True)

    def added(self, input: Tensor, norm: nn.Module, residual: Tensor) -> Tensor:
        """The normalised convolution plus ``residual``, which may be overwritten in inference."""
        output: Tensor = norm(self(input)) + residual
        return output

    def pads(self, input: Tensor) -> list[int]:
        """Pixels to add at the left, right, top and bottom."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        pads: list[int] = []
        for size in (input.shape[-1], input.shape[-2]):
            total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return pads


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> SameConv2d:
    return SameConv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=BATCH_NORM_EPS, momentum=0.01)


class InvertedResidual(nn.Module):
    """Expand, depthwise convolution, project; residual where the shapes agree."""

    def __init__(self, inputs: int, stage: Stage, stride: int) -> None:
        super().__init__()
        middle = inputs * stage.expansion
        self.has_expansion = stage.expansion != 1
        self.has_residual = stride == 1 and inputs == stage.channels
        if self.has_expansion:
            self._expand_conv = _conv(inputs, middle, 1)
            self._bn0: nn.Module = _norm(middle)
        self._depthwise_conv = _conv(middle, middle, stage.kernel_size, stride, groups=middle)
        self._bn1: nn.Module = _norm(middle)
        self._project_conv = _conv(middle, stage.channels, 1)
        self._bn2: nn.Module = _norm(stage.channels)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = inputs
        if self.has_expansion:
            hidden = self._expand_conv.activated(hidden, self._bn0)
        hidden = self._depthwise_conv.activated(hidden, self._bn1)
        if self.has_residual:
            return self._project_conv.added(hidden, self._bn2, inputs)
        output: Tensor = self._bn2(self._project_conv(hidden))
        return output


class EfficientNetLite(nn.Module):
    """``(B, 3, S, S)`` prepared pixels to ``(B, (S/32)^2, C)`` image tokens, row by row."""

    def __init__(self, config: StemConfig) -> None:
        super().__init__()
        self._conv_stem = _conv(3, FIRST_CHANNELS, 3, stride=2)
        self._bn0: nn.Module = _norm(FIRST_CHANNELS)
        blocks: list[nn.Module] = []
        channels = FIRST_CHANNELS
        for stage in scaled_stages(config):
            for repeat in range(stage.repeats):
                blocks.append(InvertedResidual(channels, stage, stage.stride if not repeat else 1))
                channels = stage.channels
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = _conv(channels, config.feature_channels, 1)
        self._bn1: nn.Module = _norm(config.feature_channels)
        for conv in self.modules():
            if isinstance(conv, nn.Conv2d):
                conv.weight.data = conv.weight.data.contiguous(memory_format=torch.channels_last)

    @property
    def num_blocks(self) -> int:
        """Blocks between the first and the last convolution."""
        return len(self._blocks)

    def forward(self, pixels: Tensor) -> Tensor:
        """Image tokens of prepared pixels (``preprocessing.py`` prepares them)."""
        return self.tokens(self.grid(pixels, 0), 0)

    def grid(self, pixels: Tensor, stop: int) -> Tensor:
        """``(B, c, h, w)`` what ``(B, 3, S, S)`` pixels are after the first ``stop`` blocks."""
        hidden = pixels.contiguous(memory_format=torch.channels_last)
        hidden = self._conv_stem.activated(hidden, self._bn0)
        for block in self._blocks[:stop]:
            hidden = block(hidden)
        return hidden

    def tokens(self, grid: Tensor, start: int) -> Tensor:
        """``(B, (S/32)^2, C)`` image tokens of a ``grid`` that block ``start`` is next to see."""
        hidden = grid
        for block in self._blocks[start:]:
            hidden = block(hidden)
        hidden = self._conv_head.activated(hidden, self._bn1)
        return hidden.flatten(2).transpose(1, 2)  # (B, C, h, w) -> (B, h*w, C)

    def tail_modules(self, start: int) -> list[nn.Module]:
        """Everything that ``tokens`` runs from block ``start`` on."""
        return [*self._blocks[start:], self._conv_head, self._bn1]


def scaled_stages(config: StemConfig) -> list[Stage]:
    """The stages at the config's width and depth; first and last keep their repeats."""
    last = len(STAGES) - 1
    return [
        stage._replace(
            channels=_round_channels(stage.channels, config),
            repeats=stage.repeats
            if position in (0, last)
            else math.ceil(stage.repeats * config.depth_multiplier),
        )
        for position, stage in enumerate(STAGES)
    ]


def _round_channels(channels: int, config: StemConfig) -> int:
    if config.width_multiplier == 1.0:
        return channels
    scaled = channels * config.width_multiplier
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


@torch.no_grad()
def fold_batch_norms(stem: EfficientNetLite) -> None:
    """Merge every batch norm into the convolution before it, in place (inference only)."""
    for module in [stem, *stem._blocks]:
        for (_, conv), (name, norm) in pairwise(list(module.named_children())):
            if isinstance(conv, SameConv2d) and isinstance(norm, nn.BatchNorm2d):
                _fold(conv, norm)
                setattr(module, name, nn.Identity())


def _fold(conv: SameConv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_var is not None and norm.running_mean is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    conv.weight.copy_(conv.weight * scale[:, None, None, None])
    conv.bias = nn.Parameter(norm.bias - norm.running_mean * scale)
