"""The fixed-depth curve by hand, and where points lie beside it."""

import numpy as np
import pytest

from model_core.evaluation.fixed_curve import (
    MeasuredSweep,
    Verdict,
    baseline_families,
    compare,
    fixed_curve,
    measures_of,
)
from model_core.evaluation.points import FIXED_FAMILIES
from model_core.evaluation.results import PointResult
from model_core.evaluation.score_file import ExampleScores
from tests.model_core.evaluation.invented import make_point, make_results

LAYERS, FLOPS, AT_ONE, AT_SIXTEEN = measures_of(make_results())


def point_of(key: str) -> PointResult:
    point = make_results().find(key)
    assert point is not None
    return point


def test_measures_are_named() -> None:
    names = [measure.name for measure in measures_of(make_results())]
    assert names == ["layers", "FLOPs", "ms at batch 1", "ms at batch 16"]
    assert len(measures_of(make_results(has_times=False))) == 2


def test_curve_runs_from_the_cheapest_to_full_depth() -> None:
    results = make_results()
    curve = fixed_curve(results, ["fixed_decoder"], LAYERS)
    assert [(saved, point.name) for saved, point in curve] == [
        (0.4, "decoder fixed_depth 1"),
        (0.2, "decoder fixed_depth 2"),
        (0.0, "full"),
    ]


def test_dearer_and_worse_settings_are_not_on_the_curve() -> None:
    results = make_results()
    results.points.append(make_point("fixed_image", "image fixed_depth 3", 0.52, 0.15))
    curve = fixed_curve(results, FIXED_FAMILIES, LAYERS)
    assert curve[-1][1].name == "image fixed_depth 3"  # better than full depth, and cheaper


def test_what_a_mixture_of_two_others_beats_is_not_on_the_curve() -> None:
    # half-way between 0.6 (0.2) and 0.2 (0.45) a coin reaches 0.325, where a fixed depth has 0.3
    curve = fixed_curve(make_results(), FIXED_FAMILIES, LAYERS)
    assert [(saved, point.family) for saved, point in curve] == [
        (0.6, "fixed_joint"),
        (0.2, "fixed_decoder"),
        (0.0, "full"),
    ]


def test_difference_is_to_the_line_between_two_depths() -> None:
    sweep = MeasuredSweep(make_results(), None)
    # 0.3 lies half-way between 0.4 (0.30) and 0.2 (0.45): the curve is at 0.375
    found = compare(sweep, point_of("confidence: decoder confidence 0.4"), LAYERS)
    assert found is not None
    assert (found.saved, found.low, found.high) == (0.3, None, None)
    assert found.difference == pytest.approx(0.49 - 0.375)
    assert found.verdict is Verdict.ABOVE
    # operations: 0.15 between 0.2 (0.30) and 0.1 (0.45), half-way again
    flops = compare(sweep, point_of("confidence: decoder confidence 0.4"), FLOPS)
    assert flops is not None and flops.difference == pytest.approx(0.49 - 0.375)
    # 70 ms: a quarter of the way from 60 ms (0.45) to 100 ms (0.5)
    timed = compare(sweep, point_of("confidence: decoder confidence 0.4"), AT_ONE)
    assert timed is not None and timed.difference == pytest.approx(0.49 - 0.4625)


def test_what_costs_more_than_full_depth_is_held_against_it() -> None:
    sweep = MeasuredSweep(make_results(), None)
    point = point_of("confidence: decoder confidence 0.8").model_copy()
    found = compare(sweep, point, AT_ONE)  # 105 ms, full depth's quality
    assert found is not None
    assert found.saved == pytest.approx(-0.05)
    assert (found.difference, found.verdict) == (0.0, Verdict.LEVEL)


def test_one_fixed_depth_may_beat_every_other() -> None:
    results = make_results()
    results.points.append(make_point("fixed_image", "image fixed_depth 1", 0.51, 0.2))
    sweep = MeasuredSweep(results, None)
    found = compare(sweep, point_of("similarity_image: image similarity 0.98"), LAYERS)
    assert found is not None
    assert found.difference == pytest.approx(0.48 - 0.51)
    assert found.verdict is Verdict.BELOW


def test_beyond_the_cheapest_fixed_depth_nothing_is_compared() -> None:
    sweep = MeasuredSweep(make_results(), None)
    cheap = make_point("confidence", "decoder confidence 0.1", 0.2, 0.41)
    found = compare(sweep, cheap, LAYERS)
    assert found is not None
    assert (found.difference, found.verdict) == (None, Verdict.BEYOND)


def test_without_such_a_cost_or_curve_there_is_no_comparison() -> None:
    sweep = MeasuredSweep(make_results(), None)
    assert compare(sweep, point_of("similarity_image: image similarity 0.98"), AT_ONE) is None
    assert compare(sweep, point_of("similarity_image: image similarity 0.98"), LAYERS) is None


@pytest.mark.parametrize(
    ("spread", "verdict"), [(0.01, Verdict.ABOVE), (1.0, Verdict.LEVEL), (-0.01, Verdict.BELOW)]
)
def test_interval_is_paired(spread: float, verdict: Verdict) -> None:
    # per photo: the two depths score 0.30 and 0.45 and some noise that all points share
    noise = np.random.default_rng(0).normal(size=200)
    given = 0.375 + noise + np.where(np.arange(200) % 2, spread, spread * (1 if spread < 1 else -1))
    scores = ExampleScores(
        np.arange(200),
        {
            "confidence: decoder confidence 0.4": given,
            "fixed_decoder: decoder fixed_depth 1": 0.30 + noise,
            "fixed_decoder: decoder fixed_depth 2": 0.45 + noise,
        },
    )
    sweep = MeasuredSweep(make_results(), scores)
    point = make_point("confidence", "decoder confidence 0.4", given.mean(), 0.3)
    found = compare(sweep, point, LAYERS)
    assert found is not None and found.low is not None and found.high is not None
    assert found.verdict is verdict
    if verdict is not Verdict.LEVEL:  # the shared noise is gone
        assert (found.low, found.high) == (pytest.approx(spread), pytest.approx(spread))


def test_scores_of_a_missing_point_leave_the_interval_out() -> None:
    scores = ExampleScores(np.arange(3), {"full: full": np.ones(3)})
    found = compare(
        MeasuredSweep(make_results(), scores),
        point_of("confidence: decoder confidence 0.4"),
        LAYERS,
    )
    assert found is not None and (found.low, found.high) == (None, None)


@pytest.mark.parametrize(
    ("family", "baseline"),
    [
        ("confidence", ("fixed_decoder",)),
        ("similarity_image", ("fixed_image",)),
        ("similarity_text", ("fixed_text",)),
        ("similarity_joint", FIXED_FAMILIES),
        ("presets", FIXED_FAMILIES),
    ],
)
def test_families_are_held_against_their_own_site(family: str, baseline: tuple[str, ...]) -> None:
    assert tuple(baseline_families(family)) == baseline
