"""Grids run from safe to cheap, and know every policy with a threshold."""

from itertools import pairwise

import pytest

from model_core.config import ExitConfig
from model_core.evaluation.grids import (
    DECODER_KINDS,
    ENCODER_KINDS,
    describe_exits,
    policies_of,
    site_paths,
)
from model_core.policies import (
    POLICIES,
    ConfidencePolicy,
    ExitSite,
    FixedDepthPolicy,
    PatiencePolicy,
    SimilarityPolicy,
    ThresholdDecay,
)


def test_every_dynamic_policy_has_a_grid() -> None:
    assert set(DECODER_KINDS) == POLICIES.keys() - {"never", "fixed_depth"}


def test_encoder_kinds_are_those_without_a_head() -> None:
    for kind in ENCODER_KINDS:
        assert not any(policy.needs_features for policy in policies_of(kind, 4))


@pytest.mark.parametrize("kind", DECODER_KINDS)
def test_settings_run_from_safe_to_cheap(kind: str) -> None:
    settings = [policy.model_dump() for policy in policies_of(kind, 7)]
    number = "patience" if kind == "patience" else "threshold"
    values = [setting[number] for setting in settings]
    assert values == list(POLICIES[kind].grid)
    assert all(safer > cheaper for safer, cheaper in pairwise(values))
    assert len({str({**setting, number: None}) for setting in settings}) == 1  # all else is equal


def test_settings_fit_the_model() -> None:
    assert policies_of("patience", 4) == [PatiencePolicy(patience=number) for number in (3, 2, 1)]
    assert {policy.depth for policy in policies_of("shallow_exit", 6)} == {2}  # type: ignore[union-attr]


def test_fixed_depths_fall_from_below_full_depth() -> None:
    assert policies_of("fixed_depth", 4) == [FixedDepthPolicy(depth=depth) for depth in (3, 2, 1)]


def test_paths_take_every_other_threshold_and_every_fixed_depth() -> None:
    (path,) = site_paths(ExitSite.IMAGE, "similarity", 4, has_steps=True)
    assert [policy.threshold for policy in path] == list(SimilarityPolicy.grid[1::2])  # type: ignore[union-attr]
    (depths,) = site_paths(ExitSite.DECODER, "fixed_depth", 4, has_steps=True)
    assert depths == policies_of("fixed_depth", 4)


def test_falling_threshold_of_the_paper_is_in_the_decoder_s_grid() -> None:
    constant, falling = site_paths(ExitSite.DECODER, "similarity", 6, has_steps=True)
    assert falling[0] == SimilarityPolicy(threshold=0.995, decay=ThresholdDecay(beta=0.95, tau=1.0))
    assert len(constant) == len(falling)
    assert len(site_paths(ExitSite.DECODER, "similarity", 6, has_steps=False)) == 1


def test_exits_in_words() -> None:
    exits = ExitConfig(
        image=FixedDepthPolicy(depth=2),
        decoder=ConfidencePolicy(threshold=0.4, min_depth=2),
    )
    assert describe_exits(exits) == "image fixed_depth 2, decoder confidence 0.4 (min_depth 2)"
    decaying = ExitConfig(decoder=SimilarityPolicy(threshold=0.9, decay=ThresholdDecay()))
    assert describe_exits(decaying) == "decoder similarity 0.9 (decay beta 0.95 tau 1.0)"
    assert describe_exits(ExitConfig()) == "full depth"
