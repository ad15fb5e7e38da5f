"""The point that stands for a family, found by hand."""

from model_core.evaluation.family_choice import cheapest, tuned
from tests.model_core.evaluation.invented import make_point, make_results


def test_cheapest_saves_most_among_those_that_keep_enough() -> None:
    results = make_results()
    points = results.family("confidence")  # 0.49 and 0.5 of 0.5
    assert cheapest(results, points, 0.97) is points[0]
    assert cheapest(results, points, 0.99) is points[1]
    assert cheapest(results, points, 1.01) is None


def test_setting_is_chosen_on_the_tuning_split_and_read_from_the_other() -> None:
    results, tuning = make_results(), make_results()
    name = "decoder confidence 0.4"
    tuning.points = [
        make_point("full", "full", 0.5, 0.0),
        make_point("confidence", name, 0.499, 0.3),
        make_point("confidence", "decoder confidence 0.1", 0.3, 0.5),
    ]
    assert tuned(results, tuning, "confidence", 0.99) is results.find(f"confidence: {name}")
    assert tuned(results, tuning, "similarity", 0.99) is None


def test_setting_that_was_not_measured_here_is_not_invented() -> None:
    results, tuning = make_results(), make_results()
    tuning.points += [make_point("confidence", "decoder confidence 0.2", 0.5, 0.6)]
    assert tuned(results, tuning, "confidence", 0.99) is None
