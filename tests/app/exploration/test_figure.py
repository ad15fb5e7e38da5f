"""The plot of points."""

import pytest

from app.exploration.figure import points_figure
from app.exploration.outcomes import Findings
from app.exploration.points import make_points


def test_points_stand_at_what_they_save_and_keep(findings: Findings) -> None:
    figure = points_figure(make_points(findings), "layers", "agreement")
    fixed, full = figure.data
    assert (list(fixed.x), list(fixed.y)) == ([pytest.approx(100 / 3)], [50.0])
    assert (list(full.x), list(full.y)) == ([0.0], [100.0])
    assert fixed.marker.symbol != full.marker.symbol
    assert figure.layout.xaxis.title.text == "layers saved (%)"
    assert figure.layout.yaxis.title.text == "same answer as full depth (%), 2 examples"


def test_point_says_its_setting_and_carries_its_number(findings: Findings) -> None:
    fixed = points_figure(make_points(findings), "milliseconds", "BLEU-1").data[0]
    assert list(fixed.customdata) == [1]
    assert fixed.text[0].startswith("<b>decoder fixed_depth 2</b>")
    assert "median milliseconds in the model: 25" in fixed.text[0]
    assert list(fixed.y) == [pytest.approx(0.8)]


def test_setting_on_show_is_ringed(findings: Findings) -> None:
    ring = points_figure(make_points(findings), "layers", "agreement", chosen=1).data[-1]
    assert (ring.name, list(ring.y)) == ("on show", [50.0])


def test_measure_that_is_unknown_draws_no_points(findings: Findings) -> None:
    assert not points_figure(make_points(findings), "layers", "accuracy", chosen=1).data
