"""Calibration on the tiny model, whose own full-depth answers are the truth."""

import dataclasses
from pathlib import Path

import pytest

from model_core.config import ExitConfig
from model_core.errors import ConfigError, InputError
from model_core.evaluation.answer_record import AnswerRecord
from model_core.evaluation.calibrate import Calibration, Kinds, calibrate
from model_core.evaluation.evaluate import answer_examples
from model_core.evaluation.examples import Example, read_examples
from model_core.evaluation.features import stem_features
from model_core.evaluation.hold_out import hold_out
from model_core.evaluation.photo_split import split_photos
from model_core.evaluation.trials import CostMeasure, Goal, Part
from model_core.evaluation.workload import Workload
from model_core.policies import ConfidencePolicy, FixedDepthPolicy
from model_core.predictor import Predictor
from tests.dataset import write_data_folder

PLANTED = 0.0  # every row leaves after one layer
LAYERS = CostMeasure.LAYERS
PLANTED_EXITS = ExitConfig(decoder=ConfidencePolicy(threshold=PLANTED))
ONLY_PLANTED = Kinds(["confidence"], [])
GENTLE = Kinds(["similarity"], ["fixed_depth"])


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


def run(workload: Workload, goal: Goal, kinds: Kinds) -> Calibration:
    parts = split_photos(workload.examples, seed=0)
    return calibrate(workload.part(parts.search), workload.part(parts.test), goal, kinds)


@pytest.mark.parametrize("safer", [(), (0.999, 0.9)], ids=["alone", "with_safe_ones"])
def test_planted_bad_threshold_is_not_chosen(
    workload: Workload, monkeypatch: pytest.MonkeyPatch, safer: tuple[float, ...]
) -> None:
    # every other threshold is tried
    path = [value for threshold in (*safer, PLANTED) for value in (threshold, threshold)]
    monkeypatch.setattr(ConfidencePolicy, "grid", path)
    goal = Goal((0.85,), 0.8, LAYERS)
    trial = Part("all", AnswerRecord(workload), goal).run(PLANTED_EXITS)
    assert trial.kept.upper < 0.85, "the planted threshold has to be bad for this test"
    (choice,) = run(workload, goal, ONLY_PLANTED).choices
    assert choice.exits != PLANTED_EXITS
    assert "decoder confidence 0.0" not in choice.passed
    if not safer:
        assert choice.is_full_depth


def test_setting_that_only_looked_good_in_the_search_is_not_chosen(
    workloads: dict[str, Workload], monkeypatch: pytest.MonkeyPatch
) -> None:
    workload = workloads["entailment"]
    monkeypatch.setattr(ConfidencePolicy, "grid", (PLANTED, PLANTED))
    changed = {
        example.image
        for answer, example in zip(
            workload.answer(PLANTED_EXITS, ""), workload.examples, strict=True
        )
        if answer.text != example.references[0]
    }
    search = [example for example in workload.examples if example.image not in changed]
    test = [example for example in workload.examples if example.image in changed]
    result = calibrate(
        workload.part(search), workload.part(test), Goal((0.85,), 0.8, LAYERS), ONLY_PLANTED
    )
    (choice,) = result.choices
    assert [trial.exits for trial in choice.tested] == [PLANTED_EXITS]
    assert choice.is_full_depth
    assert choice.exits == ExitConfig()


def test_each_target_gets_the_passed_setting_that_saves_most(workload: Workload) -> None:
    goal = Goal((0.3, 0.2), 0.8, LAYERS)
    result = run(workload, goal, GENTLE)
    assert [choice.target for choice in result.choices] == [0.3, 0.2]
    for number, choice in enumerate(result.choices):
        assert not choice.is_full_depth
        assert choice.chosen is not None
        assert choice.chosen.exits == choice.exits
        assert choice.chosen.evidence[number] > 0
        assert choice.chosen.kept.lower >= choice.target
        passed = [trial for trial in choice.tested if trial.setting in choice.passed]
        saved = [trial.cost_saved for trial in passed]
        assert choice.chosen.cost_saved == max(saved) == choice.chosen.saving.layers > 0
        assert f"saves {choice.chosen.cost_saved:.1%} of its layers" in choice.message
    assert result.search.num_photos + result.test.num_photos == 60
    assert result.time_model is None


def test_stopped_calibration_goes_on_without_the_model(
    workloads: dict[str, Workload], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workload = workloads["entailment"]
    parts = split_photos(workload.examples, seed=0)
    search, test = workload.part(parts.search), workload.part(parts.test)
    arguments = (search, test, Goal((0.5,), 0.8, LAYERS), Kinds(["fixed_depth"], []), tmp_path)
    first = calibrate(*arguments)
    monkeypatch.setattr(Workload, "answer", None)
    assert calibrate(*arguments) == first


def test_time_is_foretold_and_measured(workloads: dict[str, Workload]) -> None:
    goal = Goal((0.3,), 0.6)
    result = run(workloads["entailment"], goal, GENTLE)
    (choice,) = result.choices
    assert goal.cost is CostMeasure.WALL
    assert result.time_model is not None
    assert choice.chosen is not None
    assert choice.measured_saved is not None
    assert choice.measured_saved < 1
    dumped = dataclasses.asdict(result)
    assert dumped["time_model"]["part_ms"]["decoder_layers"] >= 0


def test_untouched_answers_pass_for_what_their_number_shows(workload: Workload) -> None:
    # a policy that never fires changes nothing: only the number of photos decides
    never = ExitConfig(decoder=ConfidencePolicy(threshold=1.0))
    trial = Part("all", AnswerRecord(workload), Goal((0.9,), 0.8, CostMeasure.FLOPS)).run(never)
    assert trial.kept.estimate == 1.0
    assert 0.9 < trial.kept.lower < 1.0
    assert trial.saving.layers == pytest.approx(0.0)


def test_too_few_photos_leave_full_depth_and_say_so(workloads: dict[str, Workload]) -> None:
    goal = Goal((0.999,), 0.99, LAYERS)
    (choice,) = run(workloads["entailment"], goal, Kinds(["fixed_depth"], [])).choices
    assert choice.is_full_depth
    assert choice.exits == ExitConfig()
    assert choice.chosen is None
    assert "nothing passed 0.999, so full depth: 40 photos are too few" in choice.message


def test_worthless_full_depth_is_refused(workloads: dict[str, Workload]) -> None:
    workload = workloads["entailment"]
    wrong = [Example(item.image, ("maybe",), item.hypothesis) for item in workload.examples]
    with pytest.raises(InputError, match="full depth scores 0 on the 60 examples of the search"):
        run(workload.part(wrong), Goal((0.9,), 0.9, LAYERS), ONLY_PLANTED)


def test_common_photos_are_refused(workloads: dict[str, Workload]) -> None:
    workload = workloads["caption"]
    with pytest.raises(InputError, match="60 photos are in the searching part"):
        calibrate(workload, workload, Goal((0.9,), 0.9))


@pytest.mark.parametrize("measure", [CostMeasure.LAYERS, CostMeasure.FLOPS])
def test_cost_is_saved_by_each_measure(workloads: dict[str, Workload], measure: str) -> None:
    goal = Goal((0.9,), 0.9, CostMeasure(measure))
    part = Part("all", AnswerRecord(workloads["entailment"]), goal)
    shallow = FixedDepthPolicy(depth=1)
    trial = part.run(ExitConfig(image=shallow, text=shallow, decoder=shallow))
    if measure == CostMeasure.LAYERS:
        assert trial.cost_saved == trial.saving.layers == 0.75
    else:
        assert trial.cost_saved == pytest.approx(trial.saving.flops)


@pytest.mark.parametrize("name", ["target", "confidence"])
@pytest.mark.parametrize("value", [0.0, 1.0, 1.5])
def test_goal_refuses_shares_out_of_range(name: str, value: float) -> None:
    targets, confidence = ((0.9, value), 0.9) if name == "target" else ((0.9,), value)
    with pytest.raises(ConfigError, match=f"{name}: {value} must be above 0 and below 1"):
        Goal(targets, confidence)


def test_goal_without_a_target_is_refused() -> None:
    with pytest.raises(ConfigError, match="target: at least one is needed"):
        Goal((), 0.9)


def test_held_out_photos_say_what_a_choice_keeps(workloads: dict[str, Workload]) -> None:
    workload = workloads["entailment"]
    goal = Goal((0.3, 0.999), 0.8, LAYERS)
    result = run(workload, goal, GENTLE)
    held = hold_out(result.choices, goal, [workload, workload.part(workload.examples[:30])])
    # nothing passed at 0.999: there is nothing to hold out
    assert [(item.target, item.num_examples) for item in held] == [(0.3, 180), (0.3, 30)]
    answers = workload.answer(result.choices[0].exits, "")
    quality = float(workload.scores(answers).mean())
    assert held[0].quality == pytest.approx(quality)
    assert held[0].quality_full == 1.0
    assert held[0].kept.lower < held[0].kept.estimate == pytest.approx(quality)
    assert held[0].kept.estimate < held[0].kept.upper
