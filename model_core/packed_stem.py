"""The stem's convolutions packed for the processor: activation and residual in the same pass.

A photo's way through the stem is bound by memory as much as by arithmetic: ReLU6, the residual sum
and the copy that uneven padding needs each read and write everything once more. Here one kernel
does all of it. Parameters, names and shapes stay; results differ by rounding. Training never packs;
a weight that is changed after packing is not seen.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_core.stem import EfficientNetLite, SameConv2d

NO_DILATION = [1, 1]


class PackedConv2d(SameConv2d):
    """The convolution whose parameters it takes over, by oneDNN's fused kernels."""

    def __init__(self, conv: SameConv2d) -> None:
        nn.Module.__init__(self)
        self.in_channels, self.out_channels = conv.in_channels, conv.out_channels
        self.kernel_size, self.stride, self.groups = conv.kernel_size, conv.stride, conv.groups
        self.weight, self.bias = conv.weight, conv.bias
        self._by_pads: dict[tuple[int, int], Tensor] = {}

    def forward(self, input: Tensor) -> Tensor:
        return self._run(input, "none", [])

    def activated(self, input: Tensor, norm: nn.Module) -> Tensor:  # noqa: ARG002 - it is folded
        return self._run(input, "hardtanh", [0.0, 6.0])

    def added(self, input: Tensor, norm: nn.Module, residual: Tensor) -> Tensor:  # noqa: ARG002
        weight, padding = self._operands(input)
        output: Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
            residual, input, weight, self.bias, padding, list(self.stride), NO_DILATION,
            self.groups, "add", 1.0, None, [], None,
        )  # fmt: skip
        return output

    def _run(self, input: Tensor, activation: str, bounds: list[float]) -> Tensor:
        weight, padding = self._operands(input)
        output: Tensor = torch.ops.mkldnn._convolution_pointwise(
            input, weight, self.bias, padding, list(self.stride), NO_DILATION, self.groups,
            activation, bounds, "",
        )  # fmt: skip
        return output

    def _operands(self, input: Tensor) -> tuple[Tensor, list[int]]:
        """The packed weight for square inputs of that size, and the padding on either side."""
        before, after, *_ = self.pads(input)
        padding = [after, after]
        if (before, after) not in self._by_pads:
            # A row and a column of zeros instead of a copy of the input with uneven padding.
            more = after - before
            weight = functional.pad(self.weight.detach(), (more, 0, more, 0))
            self._by_pads[before, after] = torch.ops.mkldnn._reorder_convolution_weight(
                weight.contiguous(memory_format=torch.channels_last),
                padding, list(self.stride), NO_DILATION, self.groups, list(input.shape),
            )  # fmt: skip
        return self._by_pads[before, after], padding


def pack_stem(stem: EfficientNetLite) -> None:
    """Pack a stem with folded batch norms in place; nothing where oneDNN is missing."""
    if not torch.backends.mkldnn.is_available():
        return
    for parent in list(stem.modules()):
        for name, child in parent.named_children():
            if type(child) is SameConv2d:
                setattr(parent, name, PackedConv2d(child))
