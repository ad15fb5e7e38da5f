"""The depth scale: its ends, its order and its contrast."""

import pytest

from app.palette import (
    BLACK,
    DEPTH_ANCHORS,
    WHITE,
    blend,
    contrast_ratio,
    depth_swatch,
    luminance,
)

WCAG_AA = 4.5


def test_contrast_of_black_and_white_is_the_largest_there_is() -> None:
    assert contrast_ratio(BLACK, WHITE) == pytest.approx(21.0)
    assert contrast_ratio("#777777", WHITE) == pytest.approx(4.48, abs=0.005)


def test_blend_is_halfway_between_two_anchors() -> None:
    assert blend(("#000000", "#ff8000"), 0.5) == "#804000"


def test_scale_begins_and_ends_at_its_anchors() -> None:
    assert depth_swatch(1, 6).background == DEPTH_ANCHORS[0]
    assert depth_swatch(6, 6).background == DEPTH_ANCHORS[-1]
    assert depth_swatch(1, 1).background == DEPTH_ANCHORS[0]


@pytest.mark.parametrize("num_layers", [2, 6, 12, 48])
def test_every_depth_is_readable_and_darker_than_the_one_before(num_layers: int) -> None:
    swatches = [depth_swatch(depth, num_layers) for depth in range(1, num_layers + 1)]
    assert all(contrast_ratio(each.text, each.background) >= WCAG_AA for each in swatches)
    brightness = [luminance(each.background) for each in swatches]
    assert brightness == sorted(brightness, reverse=True)
