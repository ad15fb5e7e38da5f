"""The packed stem: the same convolutions, activations and residuals, by other kernels."""

import itertools

import pytest
import torch
from torch import nn

from model_core.config import StemConfig
from model_core.packed_stem import PackedConv2d, pack_stem
from model_core.stem import EfficientNetLite, SameConv2d, fold_batch_norms

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="needs oneDNN")

SIZES = (7, 8)  # with stride 2 the even one is padded unevenly


def photos(num: int, channels: int, size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(size)
    pixels = torch.randn(num, channels, size, size, generator=generator)
    return pixels.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("kernel", "stride", "groups"), [*itertools.product((3, 5), (1, 2), (1, 8)), (1, 1, 1)]
)
@torch.inference_mode()
def test_every_convolution_is_the_same(kernel: int, stride: int, groups: int) -> None:
    torch.manual_seed(0)
    plain = SameConv2d(8, 8, kernel, stride, groups=groups)
    packed, norm = PackedConv2d(plain), nn.Identity()
    for size in SIZES:
        pixels = 5 * photos(3, 8, size)
        expected = plain(pixels)
        torch.testing.assert_close(packed(pixels), expected, atol=1e-4, rtol=1e-5)
        activated = packed.activated(pixels, norm)
        torch.testing.assert_close(activated, expected.clamp(0, 6), atol=1e-4, rtol=1e-5)
        residual = photos(*expected.shape[:3])
        wanted = expected + residual
        added = packed.added(pixels, norm, residual.clone())
        torch.testing.assert_close(added, wanted, atol=1e-4, rtol=1e-5)


@torch.inference_mode()
def test_stem_gives_the_same_tokens_and_keeps_its_parameters() -> None:
    torch.manual_seed(0)
    stem = EfficientNetLite(StemConfig()).eval()
    fold_batch_norms(stem)
    pixels = photos(2, 3, 64)
    expected, before = stem(pixels), {name: one.clone() for name, one in stem.state_dict().items()}
    pack_stem(stem)
    assert {type(one) for one in stem.modules() if isinstance(one, nn.Conv2d)} == {PackedConv2d}
    torch.testing.assert_close(stem(pixels), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(stem(pixels[1:]), expected[1:], atol=1e-4, rtol=1e-4)
    after = stem.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], one) for name, one in before.items())
