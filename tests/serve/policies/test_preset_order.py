"""The order of presets from safe to cheap."""

import pytest

from model_core.config import preset_names
from serve.policies.preset_order import PRESET_ORDER, next_safer, presets_between


def test_ranked_presets_are_shipped() -> None:
    assert set(PRESET_ORDER) <= set(preset_names())


@pytest.mark.parametrize(
    ("name", "safer"),
    [("fast", "balanced"), ("quality", "full"), ("full", "full"), ("mue", "full")],
)
def test_next_safer_preset(name: str, safer: str) -> None:
    assert next_safer(name) == safer


def test_range_holds_both_ends_and_is_empty_when_reversed() -> None:
    assert presets_between("quality", "fast") == ("quality", "balanced", "fast")
    assert presets_between("balanced", "balanced") == ("balanced",)
    assert presets_between("fast", "full") == ()
