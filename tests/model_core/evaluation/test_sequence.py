"""Chains: their order, their levels by hand, and their promise on invented photos."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from model_core.evaluation import sequence
from model_core.evaluation.likelihood import PairedScores
from model_core.evaluation.sequence import make_chains, run_chains, safe_to_cheap, spread
from model_core.evaluation.trials import Trial
from tests.model_core.evaluation.test_likelihood import draw_photos
from tests.model_core.evaluation.trial_stub import make_trial


def names(trials: list[Trial]) -> list[str]:
    return [trial.setting for trial in trials]


def test_order_leaves_out_what_cannot_be_chosen() -> None:
    trials = [
        make_trial("cheap", 0.3, 1.0),
        make_trial("useless", 0.0, 9.0),
        make_trial("costly", -0.2, 9.0),
        make_trial("beaten", 0.15, 1.5),
        make_trial("safe", 0.1, 4.0),
        make_trial("falls short", 0.8, -0.1),
        make_trial("middle", 0.2, 2.0),
        make_trial("its twin, tried later", 0.2, 2.0),
    ]
    assert names(safe_to_cheap(trials, 0)) == ["safe", "middle", "cheap"]


def test_spread_keeps_the_last() -> None:
    assert spread(range(1, 31), 3) == [10, 20, 30]
    assert spread(range(7), 3) == [1, 3, 6]
    assert spread([1, 2], 3) == [1, 2]


def test_chains_that_reach_furthest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequence, "MAX_CHAINS", 2)
    kinds = [
        [make_trial("safe", 0.1, 5.0), make_trial("near", 0.2)],
        [],
        [make_trial("nearest", 0.1, 5.0)],
        [make_trial("surest", 0.1, 5.0), make_trial("far", 0.4)],
    ]
    chains = make_chains(kinds, 0)
    assert [names(chain) for chain in chains] == [["surest", "far"], ["safe", "near"]]


def quantile(level: float) -> float:
    return NormalDist().inv_cdf(1 - level)


def test_one_chain_stops_at_its_first_failure() -> None:
    evidence = {"a": 1.7, "b": 1.65, "c": 1.64, "d": 9.0}
    asked: list[str] = []

    def ask(setting: str) -> float:
        asked.append(setting)
        return evidence[setting]

    assert run_chains([["a", "b", "c", "d"]], ask, 0.95) == ["a", "b"]
    assert set(asked) == {"a", "b", "c"}


def test_level_of_a_finished_chain_goes_to_the_others() -> None:
    # 0.05 in two halves; "b" needs the whole level and gets it when "c" has passed
    between = (quantile(0.05) + quantile(0.025)) / 2
    evidence = {"a": 9.0, "b": between, "c": 9.0}
    assert run_chains([["a", "b"], ["c"]], evidence.__getitem__, 0.95) == ["a", "c", "b"]
    assert run_chains([["a", "b"], ["c", "b"]], evidence.__getitem__, 0.95) == ["a", "c"]


def test_no_chain_passes_nothing() -> None:
    assert run_chains([], lambda setting: 9.0, 0.95) == []


def test_chosen_setting_keeps_the_target_as_often_as_promised() -> None:
    """Kinds of settings, each worse the more it saves, ordered by other photos than test them."""
    generator = np.random.default_rng(4)
    target, confidence, repeats = 0.97, 0.9, 120
    kept = {
        f"{kind} {step}": 1.0 - slope * step
        for kind, slope in (("a", 0.006), ("b", 0.01), ("c", 0.015))
        for step in range(1, 8)
    }
    num_wrong = num_chosen = 0
    for _ in range(repeats):
        trials = {
            name: make_trial(name, 0.05 * int(name[-1]), _draw(generator, share).evidence(target))
            for name, share in kept.items()
        }
        kinds = [[trials[name] for name in trials if name[0] == kind] for kind in "abc"]
        chains = [names(chain) for chain in make_chains(kinds, 0)]
        passed = run_chains(
            chains, lambda name: _draw(generator, kept[name]).evidence(target), confidence
        )
        num_wrong += any(kept[name] < target for name in passed)
        num_chosen += bool(passed)
    limit = 1 - confidence
    assert num_wrong / repeats <= limit + 3 * math.sqrt(limit * confidence / repeats)
    assert num_chosen > 0.6 * repeats


def _draw(generator: np.random.Generator, kept: float) -> PairedScores:
    return draw_photos(generator, 1000, changed=0.1, kept=kept)
