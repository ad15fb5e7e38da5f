"""Calibration on the tiny model, whose own full-depth answers are the truth."""

from pathlib import Path

import pytest

from model_core.config import ExitConfig
from model_core.errors import InputError
from model_core.evaluation import calibrate as calibrate_module
from model_core.evaluation import grids
from model_core.evaluation.calibrate import (
    SplitExamples,
    calibrate,
    fixed_sequence,
    is_passed,
    split_photos,
)
from model_core.evaluation.evaluate import answer_examples
from model_core.evaluation.examples import Example, read_examples
from model_core.evaluation.features import stem_features
from model_core.evaluation.trials import CostMeasure, Goal, Part, Trial
from model_core.evaluation.workload import Workload
from model_core.policies import ConfidencePolicy, FixedDepthPolicy, SimilarityPolicy
from model_core.predictor import Predictor
from tests.dataset import write_data_folder
from tests.model_core.evaluation.test_search import make_trial

PLANTED = 0.0  # every row leaves after one layer


@pytest.fixture(scope="module")
def many_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data_folder(tmp_path_factory.mktemp("calibration") / "folder", photos_per_split=60)


def make_workload(predictor: Predictor, folder: Path, task: str) -> Workload:
    """The model is always right at full depth."""
    examples = read_examples(predictor, task, folder, "val")
    answers = answer_examples(predictor, task, examples, ExitConfig())
    truths = [
        Example(item.image, (answer.text,), item.hypothesis, item.premise)
        for item, answer in zip(examples, answers, strict=True)
    ]
    return Workload(predictor, task, "val", truths, stem_features(predictor, examples))


@pytest.fixture(scope="module")
def workloads(predictor: Predictor, many_photos: Path) -> dict[str, Workload]:
    return {task: make_workload(predictor, many_photos, task) for task in ("caption", "entailment")}


@pytest.fixture(params=["caption", "entailment"])
def workload(workloads: dict[str, Workload], request: pytest.FixtureRequest) -> Workload:
    return workloads[request.param]


def test_parts_share_no_photo_and_leave_none_out() -> None:
    examples = [Example(Path(f"{number // 2}.jpg"), ("a",)) for number in range(60)]
    parts = split_photos(examples, seed=1)
    assert {item.image for item in parts.search} & {item.image for item in parts.test} == set()
    assert len(parts.search), len(parts.test) == (20, 40)
    assert parts == split_photos(examples, seed=1) != split_photos(examples, seed=2)


def test_one_photo_is_refused() -> None:
    with pytest.raises(InputError, match="1 photos are too few to calibrate on"):
        split_photos([Example(Path("a.jpg"), ("a",))], seed=0)


def test_sequence_stops_at_the_first_failure() -> None:
    goal = Goal(0.9, 0.9)
    outcomes = iter([0.95, 0.9, 0.89, 0.99])

    def run(exits: ExitConfig) -> Trial:
        return make_trial(next(outcomes), 0.1)

    tested = fixed_sequence([ExitConfig()] * 4, run, goal)
    assert [trial.kept.lower for trial in tested] == [0.95, 0.9, 0.89]
    assert [is_passed(trial, goal) for trial in tested] == [True, True, False]


@pytest.mark.parametrize("safer", [(), (0.999, 0.9)], ids=["alone", "with_safe_ones"])
@pytest.mark.parametrize("seed", [0, 1])
def test_planted_bad_threshold_is_not_chosen(
    workload: Workload, monkeypatch: pytest.MonkeyPatch, safer: tuple[float, ...], seed: int
) -> None:
    monkeypatch.setattr(grids, "THRESHOLDS", {"confidence": (*safer, PLANTED)})
    goal = Goal(0.85, 0.8, CostMeasure.LAYERS)
    planted = ExitConfig(decoder=ConfidencePolicy(threshold=PLANTED))
    trial = Part("all", workload, goal, seed=0).run(planted)
    assert trial.kept.upper < goal.target, "the planted threshold has to be bad for this test"
    result = calibrate(workload, goal, ["confidence"], [], seed=seed)
    assert planted in [trial.exits for trial in result.searched]
    assert planted not in [trial.exits for trial in result.tested if is_passed(trial, goal)]
    assert result.exits != planted
    if not safer:
        assert result.is_full_depth


def test_setting_that_only_looked_good_in_the_search_is_not_chosen(
    workloads: dict[str, Workload], monkeypatch: pytest.MonkeyPatch
) -> None:
    workload = workloads["entailment"]
    monkeypatch.setattr(grids, "THRESHOLDS", {"confidence": (PLANTED,)})
    goal = Goal(0.85, 0.8, CostMeasure.LAYERS)
    planted = ExitConfig(decoder=ConfidencePolicy(threshold=PLANTED))
    answers = workload.answer(planted, "")
    agrees = [
        answer.text == example.references[0]
        for answer, example in zip(answers, workload.examples, strict=True)
    ]
    parts = SplitExamples(
        [example for example, is_kept in zip(workload.examples, agrees, strict=True) if is_kept],
        [
            example
            for example, is_kept in zip(workload.examples, agrees, strict=True)
            if not is_kept
        ],
    )
    monkeypatch.setattr(calibrate_module, "split_photos", lambda examples, seed: parts)
    result = calibrate(workload, goal, ["confidence"], [])
    assert [trial.exits for trial in result.tested] == [planted]
    assert result.is_full_depth


def test_chosen_setting_passed_and_saves_most(workload: Workload) -> None:
    goal = Goal(0.5, 0.8, CostMeasure.LAYERS)
    result = calibrate(workload, goal, ["similarity"], ["fixed_depth"])
    assert not result.is_full_depth
    assert result.chosen is not None
    assert result.chosen.exits == result.exits
    assert result.chosen.kept.lower >= 0.5
    passed = [trial for trial in result.tested if trial.kept.lower >= 0.5]
    assert result.chosen.cost_saved == max(trial.cost_saved for trial in passed) > 0
    assert result.chosen.cost_saved == result.chosen.saving.layers
    assert result.num_search + result.num_test == result.num_examples
    assert f"saves {result.chosen.cost_saved:.1%} of its layers" in result.message


def test_untouched_answers_pass_for_what_their_number_shows(workload: Workload) -> None:
    # a policy that never fires changes nothing: only the number of examples decides
    never = ExitConfig(decoder=SimilarityPolicy(threshold=1.0))
    part = Part("all", workload, Goal(0.9, 0.8), seed=0)
    trial = part.run(never)
    assert trial.kept.estimate == 1.0
    assert 0.9 < trial.kept.lower == part.kept_by_no_change.lower < 1.0
    assert trial.cost_saved == pytest.approx(0.0)


def test_too_few_examples_leave_full_depth_and_say_so(workloads: dict[str, Workload]) -> None:
    result = calibrate(workloads["entailment"], Goal(0.999, 0.99), ["confidence"], ["fixed_depth"])
    assert result.is_full_depth
    assert result.exits == ExitConfig()
    assert result.chosen is None
    assert "nothing passed, so full depth: 120 examples that can show a loss are too few" in (
        result.message
    )


def test_worthless_full_depth_is_refused(workloads: dict[str, Workload]) -> None:
    workload = workloads["entailment"]
    wrong = [Example(item.image, ("maybe",), item.hypothesis) for item in workload.examples]
    with pytest.raises(InputError, match="full depth scores 0 on the 60 examples of the search"):
        calibrate(workload.part(wrong), Goal(0.9, 0.9))


@pytest.mark.parametrize("measure", CostMeasure)
def test_cost_is_saved_by_each_measure(workloads: dict[str, Workload], measure: str) -> None:
    goal = Goal(0.9, 0.9, CostMeasure(measure))
    part = Part("all", workloads["entailment"], goal, seed=0)
    shallow = FixedDepthPolicy(depth=1)
    trial = part.run(ExitConfig(image=shallow, text=shallow, decoder=shallow))
    if measure == CostMeasure.WALL:
        assert 0 < trial.cost_saved < 1
    elif measure == CostMeasure.LAYERS:
        assert trial.cost_saved == trial.saving.layers == 0.75
    else:
        assert trial.cost_saved == pytest.approx(trial.saving.flops)
