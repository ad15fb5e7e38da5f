"""The figures: exact values on their axes, and more than colour to tell series apart."""

from itertools import pairwise

import pytest

from app.exits import score_curve
from app.plots import NamedCost, savings_figure, score_figure
from serve.schemas import CaptionAnswer


def test_score_figure_draws_score_threshold_and_exit(caption_answer: CaptionAnswer) -> None:
    figure = score_figure(score_curve(caption_answer.trace, "image"))
    score, threshold, exit_mark = figure.data
    assert list(score.x) == [1, 2, 3]
    assert list(score.y) == [0.91, 0.962, 0.983]
    assert list(threshold.y) == [0.98, 0.98, 0.98]
    assert (list(exit_mark.x), list(exit_mark.y)) == ([3], [0.983])
    assert exit_mark.name == "left after 3"
    assert threshold.line.dash == "dash"


def test_score_axis_reaches_to_the_last_layer(caption_answer: CaptionAnswer) -> None:
    figure = score_figure(score_curve(caption_answer.trace, "token:3"))
    assert tuple(figure.layout.xaxis.range) == (0.5, 6.5)
    assert figure.layout.xaxis.title.text == "depth (layers run)"


def test_savings_figure_has_a_bar_per_setting(
    caption_answer: CaptionAnswer, full_answer: CaptionAnswer
) -> None:
    costs = [
        NamedCost("full", full_answer.trace.cost),
        NamedCost("balanced", caption_answer.trace.cost),
    ]
    figure = savings_figure(costs)
    layers, saved, gflop, gflop_saved, *stages = figure.data
    assert list(layers.y) == ["full", "balanced"]
    assert list(layers.x) == pytest.approx([12.0, 2.5 + 19 / 7])
    assert list(saved.x) == pytest.approx([0.0, 9.5 - 19 / 7])
    assert list(gflop.x) == pytest.approx([2.31, 1.31])
    assert list(gflop_saved.x) == pytest.approx([0.0, 0.93])
    assert [stage.name for stage in stages] == ["preprocess", "stem", "encode", "decode"]
    assert list(stages[3].x) == [64.3, 31.6]
    assert len({stage.marker.pattern.shape for stage in stages}) == 4


def test_savings_stand_one_below_the_other_at_full_width(full_answer: CaptionAnswer) -> None:
    layout = savings_figure([NamedCost("full", full_answer.trace.cost)]).layout
    domains = [axis.domain for axis in (layout.yaxis, layout.yaxis2, layout.yaxis3)]
    assert all(above[0] > below[1] for above, below in pairwise(domains))
    assert layout.xaxis3.domain == (0.0, 1.0)
