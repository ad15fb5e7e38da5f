"""Points on the axes, and the curve of fixed depths."""

import pytest

from app.benchmark.curves import Axes, Cost, fixed_curve, quality_on, spots_of
from app.benchmark.results import RESULTS, Benchmark, read_benchmarks
from model_core.evaluation import fixed_curve as evaluation
from model_core.evaluation.points import FIXED_FAMILIES
from model_core.evaluation.results import read_results

LAYERS = Axes(Cost.LAYERS, None, "cider")


def test_curve_is_the_upper_edge_of_fixed_depths(benchmark_results: Benchmark) -> None:
    edge = fixed_curve(spots_of(benchmark_results, LAYERS))
    # Depth 3 is worse than a mixture of depths 2 and 4.
    assert edge == [(0.6, 0.41), (0.2, 0.49), (0.0, 0.50)]


@pytest.mark.parametrize(
    ("saved", "quality"), [(0.4, 0.45), (0.2, 0.49), (0.0, 0.5), (-0.1, 0.5), (0.7, None)]
)
def test_mixture_of_two_depths_has_their_quality(
    benchmark_results: Benchmark, saved: float, quality: float | None
) -> None:
    edge = fixed_curve(spots_of(benchmark_results, LAYERS))
    assert quality_on(edge, saved) == (None if quality is None else pytest.approx(quality))


def test_nothing_fixed_gives_no_curve() -> None:
    assert fixed_curve([]) == []
    assert quality_on([], 0.1) is None


@pytest.mark.parametrize(
    ("axes", "saved"),
    [
        (Axes(Cost.FLOPS, None, "cider"), [0.0, 0.1, 0.2, 0.3, 0.2, 0.35, 0.25]),
        (Axes(Cost.TIME, 16, "cider"), [0.0, 0.2]),
        (Axes(Cost.WHOLE_TIME, 1, "cider"), [0.0, 0.1]),
        (Axes(Cost.TIME, 4, "cider"), []),
        (Axes(Cost.LAYERS, None, "accuracy"), []),
    ],
)
def test_points_stand_where_they_were_measured(
    benchmark_results: Benchmark, axes: Axes, saved: list[float]
) -> None:
    assert [spot.saved for spot in spots_of(benchmark_results, axes)] == pytest.approx(saved)


def test_curve_is_that_of_the_evaluation() -> None:
    written = read_results(RESULTS / "caption.json")
    expected = evaluation.fixed_curve(written, FIXED_FAMILIES, evaluation.measures_of(written)[1])
    found = fixed_curve(
        spots_of(read_benchmarks(RESULTS)["caption"], Axes(Cost.FLOPS, None, "cider"))
    )
    assert found == [(saved, written.quality(point)) for saved, point in expected]
