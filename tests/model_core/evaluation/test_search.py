"""The search on an invented model whose quality falls with its thresholds."""

import dataclasses

import pytest

from model_core.config import ExitConfig
from model_core.errors import ConfigError
from model_core.evaluation.evaluate import MeanDepth, Saving
from model_core.evaluation.search import Search, SearchSpace, fails_clearly, safe_to_cheap, spread
from model_core.evaluation.statistics import KeptShare
from model_core.evaluation.trials import Goal, Trial
from model_core.policies import ConfidencePolicy, FixedDepthPolicy

GOAL = Goal(target=0.9, confidence=0.95)
SAFEST = KeptShare(0.99, 1.0, 1.0)
SPACE = SearchSpace(4, 4, True, decoder_kinds=["confidence"], encoder_kinds=["fixed_depth"])


def make_trial(lower: float, saved: float, upper: float = 1.0, setting: str = "") -> Trial:
    return Trial(
        setting or f"{lower} {saved}",
        ExitConfig(),
        0.5,
        KeptShare(lower, (lower + upper) / 2, upper),
        saved,
        Saving(0, 0),
        MeanDepth(1, 1, 1),
    )


def run_invented(exits: ExitConfig) -> Trial:
    """Image exits above depth 2 and confidences above 0.35 are safe; text exits are harmless."""
    image = exits.image.depth if isinstance(exits.image, FixedDepthPolicy) else 4
    text = exits.text.depth if isinstance(exits.text, FixedDepthPolicy) else 4
    threshold = exits.decoder.threshold if isinstance(exits.decoder, ConfidencePolicy) else 1.0
    is_safe = image > 2 and threshold > 0.35
    saved = (8 - image - text + 10 * (1 - threshold)) / 30
    trial = make_trial(0.97, saved) if is_safe else make_trial(0.3, saved, upper=0.6)
    return dataclasses.replace(trial, exits=exits)


@pytest.mark.parametrize("name", ["target", "confidence"])
@pytest.mark.parametrize("value", [0.0, 1.0, 1.5])
def test_goal_refuses_shares_out_of_range(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{name}: {value} must be above 0 and below 1"):
        Goal(**({"target": 0.9, "confidence": 0.9} | {name: value}))


def test_search_goes_no_further_than_a_clear_failure() -> None:
    trials = Search(SPACE, GOAL, run_invented, SAFEST).run()
    encoder = [trial.exits for trial in trials if trial.exits.decoder == ExitConfig().decoder]
    images = [exits.image.depth for exits in encoder if isinstance(exits.image, FixedDepthPolicy)]
    # image depth 2 fails with the text at full depth: neither it nor depth 1 is tried again
    assert sorted(images) == [2, 3, 3, 3, 3]
    per_start: dict[ExitConfig, list[float]] = {}
    for trial in trials:
        if isinstance(trial.exits.decoder, ConfidencePolicy):
            start = trial.exits.model_copy(update={"decoder": ExitConfig().decoder})
            per_start.setdefault(start, []).append(trial.exits.decoder.threshold)
    assert len(per_start) == 4  # full depth and three encoder settings
    assert all(values == [0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3] for values in per_start.values())


def test_search_finds_the_cheapest_safe_setting() -> None:
    trials = Search(SPACE, GOAL, run_invented, SAFEST).run()
    best = safe_to_cheap(trials, GOAL, SAFEST)[-1].exits
    assert best == ExitConfig(
        image=FixedDepthPolicy(depth=3),
        text=FixedDepthPolicy(depth=1),
        decoder=ConfidencePolicy(threshold=0.4),
    )


def test_order_leaves_out_what_cannot_be_chosen() -> None:
    useless = make_trial(0.99, 0.0)
    costly = make_trial(0.99, -0.2)
    hopeless = make_trial(0.1, 0.9, upper=0.89)
    safe, middle, cheap = make_trial(0.98, 0.1), make_trial(0.95, 0.2), make_trial(0.92, 0.3)
    beaten = make_trial(0.94, 0.15)
    short = make_trial(0.5, 0.8, upper=0.95)
    twin = make_trial(0.95, 0.2, setting="the same, tried later")
    trials = [cheap, useless, beaten, hopeless, safe, costly, middle, short, twin]
    assert fails_clearly(hopeless, GOAL)
    assert safe_to_cheap(trials, GOAL, SAFEST) == [safe, middle, cheap]


def test_luck_does_not_push_out_what_changes_nothing() -> None:
    unchanged, lucky = make_trial(0.99, 0.1), make_trial(1.02, 0.3, upper=1.1)
    assert safe_to_cheap([lucky, unchanged], GOAL, SAFEST) == [unchanged, lucky]


def test_spread_keeps_the_cheapest() -> None:
    trials = [make_trial(0.9, saved / 100) for saved in range(1, 31)]
    assert [trial.cost_saved for trial in spread(trials, 3)] == [0.1, 0.2, 0.3]
    assert spread(trials, 30) == trials
    assert [trial.cost_saved for trial in spread(trials[:7], 3)] == [0.02, 0.04, 0.07]
