"""Settings from ranges."""

import pytest

from app.errors import InputError
from app.exploration.grid import (
    SiteRange,
    describe_rules,
    fixed_rules,
    make_settings,
    site_ranges,
    spread_depths,
)
from serve.rules import ExitRules, PatienceRule

NEVER = SiteRange("never", 0, 0)


def ranges(
    image: SiteRange = NEVER, text: SiteRange = NEVER, decoder: SiteRange = NEVER
) -> dict[str, SiteRange]:
    return {"image": image, "text": text, "decoder": decoder}


def test_all_sites_go_from_safest_to_cheapest_together() -> None:
    swept = ranges(SiteRange("similarity", 1.0, 0.8), decoder=SiteRange("confidence", 0.9, 0.5))
    settings = make_settings(swept, 3, has_fixed=False, layers=(6, 6))
    assert [setting.name for setting in settings] == [
        "full depth",
        "image similarity 1, decoder confidence 0.9",
        "image similarity 0.9, decoder confidence 0.7",
        "image similarity 0.8, decoder confidence 0.5",
    ]


def test_fixed_depths_stand_beside_them() -> None:
    swept = ranges(decoder=SiteRange("similarity", 0.9, 0.9))
    settings = make_settings(swept, 1, has_fixed=True, layers=(6, 6))
    assert [setting.name for setting in settings] == [
        "full depth",
        "fixed depth 1 everywhere",
        "fixed depth 3 everywhere",
        "fixed depth 5 everywhere",
        "decoder similarity 0.9",
    ]


def test_layers_are_whole_and_equal_settings_stand_once() -> None:
    swept = ranges(decoder=SiteRange("patience", 2, 1))
    settings = make_settings(swept, 5, has_fixed=False, layers=(6, 6))
    assert [setting.rules.decoder for setting in settings[1:]] == [
        PatienceRule(kind="patience", patience=2),
        PatienceRule(kind="patience", patience=1),
    ]


@pytest.mark.parametrize(
    ("encoder", "decoder", "depths"),
    [
        (6, 6, [(1, 1), (3, 3), (5, 5)]),
        (2, 2, [(1, 1)]),
        (1, 1, []),
        (12, 6, [(1, 1), (6, 3), (11, 6)]),
    ],
)
def test_spread_depths_go_along_in_proportion(
    encoder: int, decoder: int, depths: list[tuple[int, int]]
) -> None:
    assert spread_depths(encoder, decoder) == depths


def test_full_depth_has_a_name_and_different_depths_are_named_apart() -> None:
    assert describe_rules(ExitRules()) == "full depth"
    assert describe_rules(fixed_rules(2, 3)) == (
        "image fixed depth 2, text fixed depth 2, decoder fixed depth 3"
    )


def test_threshold_outside_the_wire_format_is_refused() -> None:
    with pytest.raises(InputError, match="range for decoder confidence threshold"):
        make_settings(ranges(decoder=SiteRange("confidence", 1.5, 0.5)), 2, False, (6, 6))


def test_nothing_to_sweep_is_refused() -> None:
    with pytest.raises(InputError, match="another rule than `never`"):
        make_settings(ranges(), 6, has_fixed=False, layers=(6, 6))


def test_control_values_become_ranges_by_site() -> None:
    found = site_ranges(["similarity", 0.9, 0.5, "never", None, None, "patience", 3, 1])
    assert found["image"] == SiteRange("similarity", 0.9, 0.5)
    assert found["text"].kind == "never"
    assert found["decoder"] == SiteRange("patience", 3.0, 1.0)


def test_end_that_is_left_empty_is_refused() -> None:
    with pytest.raises(InputError, match="image: give the safest and the cheapest value"):
        site_ranges(["similarity", None, 0.5, "never", 0, 0, "never", 0, 0])
