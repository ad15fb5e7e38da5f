"""Sentences about families, from invented results."""

from model_core.evaluation.fixed_curve import MeasuredSweep
from model_core.evaluation.verdicts import verdict, verdicts
from tests.model_core.evaluation.invented import make_point, make_results


def test_sentence_names_every_measure_and_where_it_loses() -> None:
    results = make_results()
    results.points.append(make_point("confidence", "decoder confidence 0.2", 0.3, 0.35, 200))
    # saved 10 %: 0.5 against 0.475; 30 %: 0.49 against 0.375; 35 %: 0.3 against 0.3375
    assert verdict(MeasuredSweep(results, None), "confidence") == (
        "`confidence` against `fixed_decoder`: in layers above from 10 % to 30 % (+0.025 to "
        "+0.115), below at 35 % (-0.038); in FLOPs above from 5 % to 15 % (+0.025 to +0.115), "
        "below at 18 % (-0.038); in ms at batch 1 below at -100 % (-0.200), level with it at -5 % "
        "(+0.000), above at 30 % (+0.027); in ms at batch 16 below at -60 % (-0.200), level with "
        "it at -3 % (+0.000), above at 18 % (+0.027)."
    )


def test_families_without_points_are_left_out_and_presets_come_last() -> None:
    found = verdicts(MeasuredSweep(make_results(has_times=False), None))
    names = [line.split("`")[1] for line in found]
    assert names == ["confidence", "similarity_image", "presets"]
    assert "against every fixed setting: in layers above at 25 %" in found[-1]
    assert "in layers not measured" in found[1]  # no fixed depth of the image beside it


def test_times_of_some_batch_sizes_can_be_left_out() -> None:
    found = verdict(MeasuredSweep(make_results(), None), "confidence", [16])
    assert "in ms at batch 16" in found
    assert "in ms at batch 1 " not in found


def test_nothing_fixed_is_so_cheap() -> None:
    results = make_results()
    results.points.append(make_point("similarity", "decoder similarity 0.1", 0.2, 0.5))
    found = verdict(MeasuredSweep(results, None), "similarity")
    assert "in layers cheaper than any fixed depth at 50 %;" in found
    assert "in ms at batch 1 not measured" in found
