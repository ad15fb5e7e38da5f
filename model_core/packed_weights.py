"""Weights packed for the processor: one row's products then read half the bytes, or a quarter.

A decoder layer on a few rows is bound by reading its weights. Packing changes how a product is
computed and nothing else: parameters, names and shapes stay, so the model is the same to everybody
who looks at it. Training never packs; a weight that is changed after packing is not seen.
"""

import warnings
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_core.errors import ConfigError
from model_core.exit_heads import LinearFunction
from model_core.model import UnifiedModel
from model_core.packed_stem import pack_stem

# Measured with AVX2: from here on the kernel for plain float32 takes no longer.
MAX_FLOAT16_ROWS = 128
INT8_LEVELS = 127


class WeightFormat(StrEnum):
    """How the weights of linear maps are kept for inference.

    ``float16`` computes in float32 and loses nothing where the weights are exact in float16, as
    those of a checkpoint are. ``int8`` rounds weights and inputs: answers change, and as the range
    of the inputs is that of a whole batch, they depend a little on who shares it.
    """

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"


AUTO = "auto"
WEIGHT_CHOICES = (AUTO, *(str(weight_format) for weight_format in WeightFormat))


class _Float16Product:
    """A ``LinearFunction`` that reads float16 and computes in float32."""

    def __init__(self, weight: Tensor) -> None:
        self._packed = torch.fbgemm_pack_gemm_matrix_fp16(weight.detach().float())
        self._max_elements = MAX_FLOAT16_ROWS * weight.shape[1]

    def __call__(self, input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        if input.numel() > self._max_elements:
            return functional.linear(input, weight, bias)
        product: Tensor = torch.fbgemm_linear_fp16_weight_fp32_activation(input, self._packed, bias)
        return product


class _Int8Product:
    """A ``LinearFunction`` on 8-bit weights (a scale per output) and 8-bit inputs (one scale)."""

    def __init__(self, weight: Tensor) -> None:
        weight = weight.detach().float()
        scales = (weight.abs().amax(dim=1) / INT8_LEVELS).clamp_min(torch.finfo().tiny)
        zeros = torch.zeros(len(weight), dtype=torch.int64)
        rounded = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
        self._packed = torch.ops.quantized.linear_prepack(rounded, None)

    def __call__(self, input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:  # noqa: ARG002
        # The range is 7 bits wide: products of 8 by 8 bits overflow the sums of AVX2.
        product: Tensor = torch.ops.quantized.linear_dynamic(input, self._packed, True)
        return product.add_(bias)


_PRODUCTS: dict[WeightFormat, Callable[[Tensor], LinearFunction]] = {
    WeightFormat.FLOAT16: _Float16Product,
    WeightFormat.INT8: _Int8Product,
}


class PackedLinear(nn.Linear):
    """The linear map whose parameters it takes over, by another product."""

    def __init__(self, linear: nn.Linear, product: LinearFunction) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self._product = product
        self._operands = (linear.weight, linear.bias)  # to look them up takes a module some time

    def forward(self, input: Tensor) -> Tensor:
        """``(..., O)`` of ``(..., I)``."""
        return self._product(input, *self._operands)


def resolve_weights(choice: str, model: UnifiedModel) -> WeightFormat:
    """The format that ``choice`` means for a model; ``auto``: the fastest that loses nothing here.

    Raises:
        ConfigError: There is no such format, or this processor, device or dtype does not offer it.
    """
    if choice not in WEIGHT_CHOICES:
        raise ConfigError(f"weights: {choice!r:.80} is not one of {', '.join(WEIGHT_CHOICES)}")
    if choice == WeightFormat.FLOAT32:
        return WeightFormat.FLOAT32
    reason = _why_not_packed(model.word_embedding.weight)
    if choice == AUTO:
        is_exact = not reason and all(map(_is_exact_in_float16, _packable_weights(model)))
        return WeightFormat.FLOAT16 if is_exact else WeightFormat.FLOAT32
    if reason:
        raise ConfigError(f"weights: {choice} {reason}; use {AUTO} or {WeightFormat.FLOAT32}")
    return WeightFormat(choice)


def pack_weights(model: UnifiedModel, weight_format: WeightFormat) -> None:
    """Pack stem, encoder, decoder and exit head in place; ``float32`` packs nothing.

    Raises:
        ConfigError: This processor, device or dtype does not offer the format.
    """
    if weight_format is WeightFormat.FLOAT32:
        return
    make_product = _PRODUCTS[resolve_weights(weight_format, model)]
    vocabulary = model.word_embedding.weight.detach()
    with warnings.catch_warnings():
        # Said once a process, of kernels for which torch has nothing as fast yet.
        warnings.filterwarnings("ignore", message=".*(fp16|quantize).*")
        for place in _places(model):
            packed = PackedLinear(place.linear, make_product(place.linear.weight))
            setattr(place.parent, place.name, packed)
        model.exit_head.read_vocabulary = make_product(vocabulary)
        model.exit_head.logits(vocabulary[:1])
    pack_stem(model.stem)


class _Place(NamedTuple):
    parent: nn.Module
    name: str
    linear: nn.Linear


def _places(model: UnifiedModel) -> list[_Place]:
    parts: tuple[nn.Module, ...] = (model.encoder, model.decoder, model.exit_head)
    return [
        _Place(parent, name, child)
        for part in parts
        for parent in part.modules()
        for name, child in parent.named_children()
        if type(child) is nn.Linear
    ]


def _packable_weights(model: UnifiedModel) -> Iterator[Tensor]:
    yield model.word_embedding.weight
    for place in _places(model):
        yield place.linear.weight


def _is_exact_in_float16(weight: Tensor) -> bool:
    return torch.equal(weight.half().to(weight.dtype), weight)


def _why_not_packed(weight: Tensor) -> str:
    """What stands against packing a model of that device and dtype; empty when nothing does."""
    if weight.device.type != "cpu":
        return f"is not available on {weight.device}"
    if weight.dtype is not torch.float32:
        return f"is not available with dtype {str(weight.dtype).removeprefix('torch.')}"
    if not _has_kernels():
        return "is not available on this processor"
    return ""


def _has_kernels() -> bool:
    is_supported = "fbgemm" in torch.backends.quantized.supported_engines
    return is_supported and hasattr(torch, "fbgemm_linear_fp16_weight_fp32_activation")
