"""What a recipe is: the losses of any step, everything random drawn from the seed and the step."""

from collections.abc import Mapping
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from model_core.training.config import Precision

AnyBatch = TypeVar("AnyBatch", bound=Any)


class StepLosses(NamedTuple):
    """What the step minimises, its parts by name for the metrics, and other figures beside them."""

    total: Tensor
    parts: dict[str, Tensor]
    figures: Mapping[str, Tensor] = MappingProxyType({})


class Recipe(Protocol):
    """Data and losses of one kind of training."""

    def losses(self, step: int) -> StepLosses:
        """The losses of 0-based ``step``; the same for the same seed and step."""


def to_device(batch: AnyBatch, device: torch.device) -> AnyBatch:
    """A batch (a dataclass of tensors) with its tensors on ``device``."""
    return replace(
        batch, **{field.name: getattr(batch, field.name).to(device) for field in fields(batch)}
    )


def autocast_dtype(precision: Precision, device: str) -> torch.dtype:
    """The dtype of the forward pass; ``auto`` asks the processor whether bfloat16 is native."""
    if precision is Precision.AUTO:
        is_native = device != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
        precision = Precision.BFLOAT16 if is_native else Precision.FLOAT32
    return {Precision.BFLOAT16: torch.bfloat16, Precision.FLOAT32: torch.float32}[precision]
