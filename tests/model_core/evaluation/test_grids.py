"""Grids run from safe to cheap, and know every policy with a threshold."""

from itertools import pairwise

import pytest

from model_core.config import ExitConfig
from model_core.evaluation.grids import (
    DECODER_KINDS,
    ENCODER_KINDS,
    THRESHOLDS,
    describe_exits,
    encoder_grid,
    policies_of,
)
from model_core.policies import (
    POLICIES,
    ConfidencePolicy,
    FixedDepthPolicy,
    SimilarityPolicy,
    ThresholdDecay,
)


def test_every_policy_with_a_threshold_has_a_grid() -> None:
    with_threshold = {kind for kind, cls in POLICIES.items() if "threshold" in cls.model_fields}
    assert set(THRESHOLDS) == set(DECODER_KINDS) == with_threshold


def test_encoder_kinds_are_those_without_a_head() -> None:
    for kind in ENCODER_KINDS:
        assert not any(policy.needs_features for policy in policies_of(kind, 4))


@pytest.mark.parametrize("kind", THRESHOLDS)
def test_thresholds_fall(kind: str) -> None:
    values = [policy.threshold for policy in policies_of(kind, 4)]  # type: ignore[union-attr]
    assert values == list(THRESHOLDS[kind])
    assert all(safer > cheaper for safer, cheaper in pairwise(values))


def test_fixed_depths_fall_from_below_full_depth() -> None:
    assert policies_of("fixed_depth", 4) == [FixedDepthPolicy(depth=depth) for depth in (3, 2, 1)]


def test_encoder_grid_holds_every_pair_but_full_depth_safe_ones_first() -> None:
    grid = encoder_grid("fixed_depth", 3, has_text=True)
    levels = [(setting.image_level, setting.text_level) for setting in grid]
    assert sorted(levels) == [(0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]
    assert [sum(pair) for pair in levels] == sorted(sum(pair) for pair in levels)
    assert grid[-1].exits == ExitConfig(
        image=FixedDepthPolicy(depth=1), text=FixedDepthPolicy(depth=1)
    )


def test_constant_text_stays_at_full_depth() -> None:
    grid = encoder_grid("similarity", 4, has_text=False)
    assert len(grid) == len(THRESHOLDS["similarity"]) // 2
    assert {setting.exits.text for setting in grid} == {ExitConfig().text}


def test_exits_in_words() -> None:
    exits = ExitConfig(
        image=FixedDepthPolicy(depth=2),
        decoder=ConfidencePolicy(threshold=0.4, min_depth=2),
    )
    assert describe_exits(exits) == "image fixed_depth 2, decoder confidence 0.4 (min_depth 2)"
    decaying = ExitConfig(decoder=SimilarityPolicy(threshold=0.9, decay=ThresholdDecay()))
    assert describe_exits(decaying) == "decoder similarity 0.9 (decay beta 0.95 tau 1.0)"
    assert describe_exits(ExitConfig()) == "full depth"
