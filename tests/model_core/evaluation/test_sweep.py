"""Sweeps on the tiny model: what is in the file, and that nothing is measured twice."""

from pathlib import Path

import pytest

from model_core.config import ExitConfig
from model_core.errors import InputError
from model_core.evaluation import sweep as sweep_module
from model_core.evaluation.evaluate import answer_examples, evaluate, task_metrics
from model_core.evaluation.examples import read_examples
from model_core.evaluation.features import stem_features
from model_core.evaluation.points import SweepPoint
from model_core.evaluation.results import (
    SweepResults,
    complete_results,
    partial_path,
    read_results,
    write_results,
)
from model_core.evaluation.score_file import read_scores, scores_path
from model_core.evaluation.sweep import Sweep
from model_core.evaluation.workload import Workload
from model_core.policies import FixedDepthPolicy, SimilarityPolicy
from model_core.predictor import Predictor

POINTS = [
    SweepPoint("fixed_decoder", "two", ExitConfig(decoder=FixedDepthPolicy(depth=2))),
    SweepPoint("fixed_decoder", "four", ExitConfig(decoder=FixedDepthPolicy(depth=4))),
    SweepPoint("similarity", "some", ExitConfig(image=SimilarityPolicy(threshold=0.9))),
]


def make_workload(predictor: Predictor, folder: Path, task: str) -> Workload:
    examples = read_examples(predictor, task, folder, "test")
    return Workload(predictor, task, "test", examples, stem_features(predictor, examples))


@pytest.fixture
def workload(predictor: Predictor, data_folder: Path) -> Workload:
    return make_workload(predictor, data_folder, "caption")


@pytest.mark.parametrize("task", ["caption", "entailment"])
def test_points_say_what_evaluate_says(
    predictor: Predictor, data_folder: Path, tmp_path: Path, task: str
) -> None:
    workload = make_workload(predictor, data_folder, task)
    results = Sweep(workload, POINTS, tmp_path / "x.json", has_oracle=False).run()
    assert [point.key for point in results.points] == [
        "full: full",
        "fixed_decoder: two",
        "fixed_decoder: four",
        "similarity: some",
    ]
    for point in results.points:
        assert point.exits is not None
        expected = evaluate(predictor, task, "test", workload.examples, "", point.exits)
        values = {name: metric.value for name, metric in point.metrics.items()} | point.variety
        assert values == pytest.approx(expected.metrics, abs=1e-9)
        assert point.saving == expected.saving
        assert point.layers_without_text == expected.layers_without_text
        assert point.mean_depth == expected.mean_depth
        for metric in point.metrics.values():
            assert metric.low <= metric.high
    full, _, four, _ = results.points
    assert full.saving.layers == full.saving.flops == 0
    for name, metric in four.metrics.items():
        assert (metric.difference, metric.difference_low, metric.difference_high) == (0, 0, 0), name
    assert results.metric in full.metrics


def test_oracles_keep_full_depth_s_answers(workload: Workload, tmp_path: Path) -> None:
    results = Sweep(workload, [], tmp_path / "x.json").run()
    oracles = results.family("oracle")
    assert [point.name for point in oracles] == ["image", "text", "decoder"]
    (full,) = results.family("full")
    for point in oracles:
        assert point.exits is None
        assert point.metrics == full.metrics
        assert point.times == {}


def test_file_is_read_back_and_the_partial_one_is_gone(workload: Workload, tmp_path: Path) -> None:
    path = tmp_path / "deeper" / "caption.json"
    results = Sweep(workload, POINTS[:1], path, batch_sizes=[1, 3], has_oracle=False).run()
    assert read_results(path) == results == complete_results(path.parent)["caption"]
    assert not partial_path(path).exists()
    assert results.conditions.checkpoint == workload.predictor.info.hash
    full, two = results.points
    assert list(full.times) == list(two.times) == [1, 3]
    for times in two.times.values():
        assert times.ms_without_stem.median < times.ms.median
        assert times.wall < 1
    assert full.times[1].wall == full.times[3].wall_without_stem == 0.0
    assert two.commit


def count_answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    labels: list[str] = []
    original = Workload.answer

    def answer(self: Workload, exits: ExitConfig, label: str, num_beams: int = 1) -> object:
        labels.append(label)
        return original(self, exits, label, num_beams)

    monkeypatch.setattr(Workload, "answer", answer)
    return labels


def test_stopped_sweep_goes_on_where_it_was(
    workload: Workload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "caption.json"
    expected = Sweep(workload, POINTS, tmp_path / "other.json", has_oracle=False).run()
    labels = count_answers(monkeypatch)
    measure = Sweep._measure

    def stop(self: Sweep, point: SweepPoint) -> object:
        if point.name == "four":
            raise KeyboardInterrupt
        return measure(self, point)

    monkeypatch.setattr(Sweep, "_measure", stop)
    with pytest.raises(KeyboardInterrupt):
        Sweep(workload, POINTS, path, has_oracle=False).run()
    assert not path.exists()
    assert len(read_results(partial_path(path)).points) == 2
    monkeypatch.setattr(Sweep, "_measure", measure)
    labels.clear()
    results = Sweep(workload, POINTS, path, has_oracle=False).run()
    assert labels == ["fixed_decoder: four", "full depth", "similarity: some"]
    assert results == expected


def test_finished_points_are_not_measured_again(
    workload: Workload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "caption.json"
    Sweep(workload, POINTS[:1], path, batch_sizes=[1], has_oracle=False).run()
    before = read_results(path)
    labels = count_answers(monkeypatch)
    timed: list[tuple[list[str], list[int]]] = []
    original = sweep_module.benchmark

    def benchmark(*arguments: object) -> object:
        timed.append((list(arguments[3]), list(arguments[4])))  # type: ignore[call-overload]
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(sweep_module, "benchmark", benchmark)
    assert Sweep(workload, POINTS[:1], path, batch_sizes=[1], has_oracle=False).run() == before
    assert (labels, timed) == ([], [])
    longer = Sweep(workload, POINTS[:2], path, batch_sizes=[1], has_oracle=False).run()
    assert labels == ["fixed_decoder: four", "full depth"]
    assert timed == [(["fixed_decoder: four"], [1])]
    assert longer.points[:2] == before.points


def test_points_of_another_run_are_not_used(
    workload: Workload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "caption.json"
    few = workload.part(workload.examples[:4])
    Sweep(few, POINTS[:1], path, has_oracle=False).run()
    labels = count_answers(monkeypatch)
    results = Sweep(workload, POINTS[:1], path, has_oracle=False).run()
    assert labels == ["full: full", "fixed_decoder: two"]
    assert results.num_examples == 6
    assert read_results(path) == results


def test_too_few_examples_for_a_batch_are_refused(workload: Workload, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="6 examples are too few for a batch of 7"):
        Sweep(workload, [], tmp_path / "x.json", batch_sizes=[1, 7])


def test_damaged_file_is_refused(workload: Workload, tmp_path: Path) -> None:
    path = tmp_path / "caption.json"
    path.write_text('{"task": "caption"}')
    with pytest.raises(InputError, match=r"caption\.json: split: Field required"):
        Sweep(workload, [], path)


def test_partial_files_are_not_complete(workload: Workload, tmp_path: Path) -> None:
    results = Sweep(workload, [], tmp_path / "caption.json", has_oracle=False).run()
    write_results(results, tmp_path / "entailment.partial.json")
    assert list(complete_results(tmp_path)) == ["caption"]


def test_metrics_of_full_depth_are_the_plain_ones(workload: Workload, tmp_path: Path) -> None:
    (point,) = Sweep(workload, [], tmp_path / "x.json", has_oracle=False).run().points
    answers = answer_examples(workload.predictor, "caption", workload.examples, ExitConfig())
    expected = task_metrics(workload.predictor, "caption", workload.examples, answers)
    values = {name: item.value for name, item in point.metrics.items()} | point.variety
    assert values == pytest.approx(expected)
    assert SweepResults.model_fields["schema_version"].default == 2


def test_scores_of_every_point_are_kept_beside_the_file(workload: Workload, tmp_path: Path) -> None:
    path = tmp_path / "caption.json"
    first = Sweep(workload, POINTS[:1], path, has_oracle=False).run()
    Sweep(workload, POINTS, path, has_oracle=False).run()
    results, scores = read_results(path), read_scores(scores_path(path))
    assert scores is not None
    assert list(scores.of_points) == [point.key for point in results.points]
    assert results.points[: len(first.points)] == first.points
    assert scores.photos.tolist() == list(range(6))
    for point in results.points:
        mean = scores.of_points[point.key].mean()
        assert mean == pytest.approx(point.metrics["cider"].value, rel=1e-5, abs=1e-7)


def test_beams_are_compared_with_full_depth_of_as_many(workload: Workload, tmp_path: Path) -> None:
    exits = ExitConfig(decoder=FixedDepthPolicy(depth=4))
    beams = [
        SweepPoint("beams", "full", ExitConfig(), 3),
        SweepPoint("beams", "four", exits, 3),
    ]
    results = Sweep(workload, beams, tmp_path / "x.json", has_oracle=False).run()
    full, of_beams, four = results.points
    expected = evaluate(
        workload.predictor, "caption", "test", workload.examples, "", ExitConfig(), num_beams=3
    )
    assert (full.num_beams, of_beams.num_beams) == (1, 3)
    assert of_beams.metrics["bleu1"].value == pytest.approx(expected.metrics["bleu1"])
    assert four.metrics == of_beams.metrics
    assert four.metrics["mean_length"].difference == 0
