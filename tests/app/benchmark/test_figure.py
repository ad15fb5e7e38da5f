"""The benchmark's plot."""

import pytest

from app.benchmark.curves import Axes, Cost, spots_of
from app.benchmark.figure import family_marker, is_first_shown, methods_figure
from app.benchmark.results import Benchmark

LAYERS = Axes(Cost.LAYERS, None, "cider")


def test_families_stand_beside_the_curve_with_their_intervals(
    benchmark_results: Benchmark,
) -> None:
    figure = methods_figure(spots_of(benchmark_results, LAYERS), LAYERS, has_intervals=True)
    curve, full, fixed, similarity, oracle = figure.data
    assert list(curve.x) == [60.0, 20.0, 0.0]
    assert (full.name, fixed.name) == ("full depth", "fixed depth of the decoder")
    assert (list(similarity.x), list(similarity.y)) == ([40.0, 70.0], [0.5, 0.3])
    assert list(similarity.error_y.arrayminus) == [pytest.approx(0.02)] * 2
    assert list(similarity.customdata) == [4, 5]
    assert oracle.name.startswith("oracle")
    assert figure.layout.xaxis.title.text == "layers saved (%)"
    legend = figure.layout.legend
    assert (legend.yref, legend.yanchor) == ("paper", "top")  # elsewhere a y below 0 hides it
    assert legend.y < 0


def test_intervals_can_be_left_out_and_a_point_ringed(benchmark_results: Benchmark) -> None:
    axes = Axes(Cost.TIME, 16, "cider")
    figure = methods_figure(spots_of(benchmark_results, axes), axes, False, chosen=4)
    assert figure.data[2].error_y.array is None
    assert (figure.data[-1].name, list(figure.data[-1].x)) == ("on show", [pytest.approx(20.0)])
    assert figure.layout.xaxis.title.text == "time without the stem, batch 16, saved (%)"


def test_a_few_families_are_shown_at_first() -> None:
    shown = ["full", "fixed_image", "similarity_joint", "confidence", "mlp_heads"]
    hidden = ["similarity_image", "confidence_copy_hidden", "entropy", "beams"]
    assert [family for family in [*shown, *hidden] if is_first_shown(family)] == shown


def test_no_two_methods_look_alike() -> None:
    looks = [
        (family_marker("m", place)["color"], family_marker("m", place)["symbol"])
        for place in range(24)
    ]
    assert len(set(looks)) == 24
