"""The table of methods from invented results."""

import numpy as np

from model_core.evaluation.fixed_curve import MeasuredSweep
from model_core.evaluation.method_table import METHODS, NOTHING, method_sections, method_table
from model_core.evaluation.points import FAMILIES, LOSSLESS, method_families
from model_core.evaluation.results import SweepResults
from model_core.evaluation.score_file import ExampleScores
from tests.model_core.evaluation.invented import make_point, make_results


def rows_of(results: SweepResults, tuning: SweepResults, share: float) -> dict[str, list[str]]:
    _, _, *lines = method_table(MeasuredSweep(results, None), tuning, share)
    cells = [line.strip("| ").split(" | ") for line in lines]
    return {row[0]: row[1:] for row in cells}


def test_every_method_has_a_name() -> None:
    assert set(METHODS) == {*method_families(list(FAMILIES)), LOSSLESS}


def test_row_is_the_tuned_setting_on_the_other_split() -> None:
    results, tuning = make_results(), make_results()
    tuning.points[5] = make_point("confidence", "decoder confidence 0.8", 0.3, 0.1)
    rows = rows_of(results, tuning, 0.95)
    assert rows[METHODS["confidence"]] == [
        "decoder confidence 0.4 (keeps 0.980)",
        "0.490 [0.470, 0.510]",
        "-0.010 [-0.020, -0.000]",
        "30.0 %",
        "15.0 %",
        "30.0 %",
        "18.0 %",
        # Depth 2 takes 60 ms at 0.45, full depth 100 at 0.5: 70 ms are worth 0.4625.
        "+0.027",
    ]
    assert rows["full depth"][2:7] == ["same", "0.0 %", "0.0 %", "0.0 %", "0.0 %"]
    assert rows["oracle of the decoder"][0] == "–"


def test_method_that_keeps_too_little_on_the_tuning_split_says_so() -> None:
    results = make_results()
    rows = rows_of(results, results, 0.99)
    assert rows[METHODS["similarity_image"]][0] == NOTHING
    assert set(rows[METHODS["similarity_image"]][1:]) == {"–"}


def test_difference_has_its_interval_where_scores_were_kept() -> None:
    results = make_results()
    scores = ExampleScores(
        np.arange(4),
        {point.key: np.full(4, point.metrics["cider"].value) for point in results.points},
    )
    lines = method_table(MeasuredSweep(results, scores), results, 0.95)
    (row,) = (line for line in lines if METHODS["confidence"] in line)
    assert row.endswith("| +0.027 [+0.027, +0.027] |")


def test_only_tuned_sweeps_have_a_section() -> None:
    sweep = MeasuredSweep(make_results(), None)
    lines = method_sections({"caption": sweep, "entailment": sweep}, {"caption": make_results()})
    assert [line for line in lines if line.startswith("###")] == ["### Caption, test"]
    assert [line[:6] for line in lines if line.startswith("At ")] == ["At 99%", "At 95%"]
