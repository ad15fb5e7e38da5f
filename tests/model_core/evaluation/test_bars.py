"""The most that families save at a quality, by hand."""

import pytest

from model_core.evaluation.bars import MEASURES, bar_rows, percent, remaining_share
from tests.model_core.evaluation.invented import make_point, make_results


def test_columns() -> None:
    assert [measure.name for measure in MEASURES] == [
        *("layers", "layers without text", "FLOPs"),
        *("time, stem included, batch 1", "time, batch 1"),
        *("time, stem included, batch 16", "time, batch 16"),
    ]


def test_rows_by_hand() -> None:
    results = make_results()
    # keeps 0.98 and saves more than 0.8; 95 % takes both, 99 % only the one that saves nothing
    assert dict(bar_rows(results, 0.95))["`confidence`"] == [
        *("30.0 %", "35.0 %", "15.0 %", "25.0 %", "30.0 %", "15.0 %", "18.0 %", "60.0 %")
    ]
    assert dict(bar_rows(results, 0.99)) == {
        "`confidence`": [
            *("10.0 %", "15.0 %", "5.0 %", "-4.2 %", "-5.0 %", "-2.5 %", "-3.0 %", "–")
        ],
        "preset `balanced`": [
            *("25.0 %", "30.0 %", "12.5 %", "41.7 %", "50.0 %", "25.0 %", "30.0 %", "60.0 %")
        ],
    }
    assert dict(bar_rows(results, 0.96))["`similarity_image`"] == [
        *("10.0 %", "15.0 %", "5.0 %", "–", "–", "–", "–", "–")
    ]


def test_approximate_catch_up_and_beams_have_no_row() -> None:
    results = make_results()
    results.points.append(make_point("confidence_copy_hidden", "x", 0.5, 0.5))
    names = [name for name, _ in bar_rows(results, 0.5)]
    assert names == [
        *("`fixed_decoder`", "`confidence`", "`similarity_image`", "preset `balanced`")
    ]


def test_nothing_saved_leaves_nothing_over() -> None:
    assert remaining_share(make_point("x", "x", 0.5, 0.0, 105)) is None
    assert remaining_share(make_point("x", "x", 0.5, 0.0)) is None
    # saves 2 % alone: less than two runs differ by
    assert remaining_share(make_point("x", "x", 0.5, 0.0, 98)) is None
    # saves 40 % alone, and takes 20 + 18 = 38 of 50 ms in the batch
    assert remaining_share(make_point("x", "x", 0.5, 0.0, 60)) == pytest.approx(0.24 / 0.4)


def test_percent_has_no_negative_zero() -> None:
    assert percent(-0.0001) == "0.0 %"
    assert percent(0.1234) == "12.3 %"
