"""The points of a sweep."""

import pytest

from model_core.config import CatchUp, Depths, ExitConfig, preset_exits, preset_names
from model_core.errors import ConfigError
from model_core.evaluation.grids import DECODER_KINDS, policies_of
from model_core.evaluation.points import (
    BEAMS,
    COPIED_KINDS,
    FAMILIES,
    LOSSLESS,
    NUM_BEAMS,
    NUM_THRESHOLDS,
    PRESETS,
    evenly,
    families_of,
    sweep_points,
)
from model_core.policies import FixedDepthPolicy, NeverPolicy
from model_core.policy_heads import HEADS

DEPTHS = Depths(3, 6)


def test_everything_is_the_default() -> None:
    points = sweep_points(families_of(False, DEPTHS, HEADS), "caption", DEPTHS)
    assert {point.family for point in points} == {*FAMILIES, PRESETS, BEAMS}
    assert len({(point.family, point.name) for point in points}) == len(points)
    presets = [point.name for point in points if point.family == PRESETS]
    assert presets == [name for name in preset_names() if name != "full"]


def test_families_leave_out_what_the_model_has_no_heads_for() -> None:
    left_out = {*families_of(False, DEPTHS, HEADS)} - {*families_of(False, DEPTHS, ())}
    assert left_out == set(HEADS)


def test_answers_of_one_step_need_no_catch_up_and_no_search() -> None:
    left_out = {*families_of(False, DEPTHS, HEADS)} - {*families_of(True, DEPTHS, HEADS)}
    assert left_out == {BEAMS, LOSSLESS, *(f"{kind}_copy_hidden" for kind in COPIED_KINDS)}


def test_beams_are_full_depth_and_two_presets() -> None:
    points = sweep_points([BEAMS], "caption", DEPTHS)
    assert [point.name for point in points] == ["full", "balanced", "fast"]
    assert {point.num_beams for point in points} == {NUM_BEAMS}
    assert points[0].exits == ExitConfig()


def test_evenly_keeps_both_ends() -> None:
    policies = [FixedDepthPolicy(depth=depth) for depth in range(1, 13)]
    chosen = [policy.depth for policy in evenly(policies, 6)]  # type: ignore[union-attr]
    assert chosen == [1, 3, 5, 8, 10, 12]
    assert evenly(policies[:3], 6) == policies[:3]


@pytest.mark.parametrize("kind", DECODER_KINDS)
def test_every_dynamic_policy_has_a_curve_over_its_whole_grid(kind: str) -> None:
    points = sweep_points([kind], "caption", DEPTHS)
    grid = policies_of(kind, DEPTHS.decoder)
    places = [grid.index(point.exits.decoder) for point in points]
    assert len(places) == min(NUM_THRESHOLDS, len(grid))
    assert (places[0], places[-1]) == (0, len(grid) - 1)
    assert places == sorted(set(places))
    assert {point.exits.image for point in points} == {NeverPolicy()}


@pytest.mark.parametrize(
    ("family", "site", "depths"),
    [
        ("fixed_decoder", "decoder", [1, 2, 3, 4, 5]),
        ("fixed_image", "image", [1, 2]),
        ("fixed_text", "text", [1, 2]),
    ],
)
def test_fixed_depths_reach_from_one_to_the_last_before_full(
    family: str, site: str, depths: list[int]
) -> None:
    points = sweep_points([family], "caption", DEPTHS)
    assert [point.exits for point in points] == [
        ExitConfig.model_validate({site: FixedDepthPolicy(depth=depth)}) for depth in depths
    ]


def test_diagonal_takes_the_shallower_side_along_in_proportion() -> None:
    points = sweep_points(["fixed_joint"], "caption", DEPTHS)
    pairs = [(point.exits.image.depth, point.exits.decoder.depth) for point in points]  # type: ignore[union-attr]
    assert pairs == [(1, 1), (1, 2), (2, 3), (2, 4), (3, 5)]
    assert all(point.exits.image == point.exits.text for point in points)


def test_mixed_depths_are_off_the_diagonal() -> None:
    points = sweep_points(["fixed_mixed"], "caption", Depths(6, 6))
    pairs = [(point.exits.image.depth, point.exits.decoder.depth) for point in points]  # type: ignore[union-attr]
    assert pairs == [(1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 2), (3, 4)]
    assert all(point.exits.image == point.exits.text for point in points)


def test_approximate_catch_up_is_a_curve_of_its_own() -> None:
    (_, exact, *_), (copied, *_) = (
        sweep_points([family], "caption", DEPTHS)
        for family in ("confidence", "confidence_copy_hidden")
    )
    assert copied.exits == exact.exits.model_copy(update={"catch_up": CatchUp.COPY_HIDDEN})
    assert copied.name == f"{exact.name}, copy_hidden"


def test_single_presets_can_be_named() -> None:
    (point,) = sweep_points(["balanced"], "caption", DEPTHS)
    assert (point.family, point.name) == (PRESETS, "balanced")
    assert point.exits == preset_exits("balanced", "caption", DEPTHS)


def test_unknown_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="policy 'luck': unknown"):
        sweep_points(["confidence", "luck"], "caption", DEPTHS)
