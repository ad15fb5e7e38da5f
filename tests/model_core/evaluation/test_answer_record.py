"""Answers kept on disk: computed once, found again, cut lines left out."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from model_core.config import ExitConfig
from model_core.evaluation import answer_record
from model_core.evaluation.answer_record import AnswerRecord
from model_core.evaluation.examples import Example, read_examples
from model_core.evaluation.features import stem_features
from model_core.evaluation.workload import Workload
from model_core.policies import FixedDepthPolicy
from model_core.predictor import Predictor
from model_core.types import Answer

EARLY = ExitConfig(image=FixedDepthPolicy(depth=1))


@pytest.fixture
def workload(predictor: Predictor, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Workload:
    monkeypatch.setattr(answer_record, "CHUNK", 4)
    examples = read_examples(predictor, "caption", data_folder, "val")
    return Workload(predictor, "caption", "val", examples, stem_features(predictor, examples))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many examples each call of the model answered."""
    found: list[int] = []
    answer = Workload.answer

    def count(
        self: Workload, exits: ExitConfig, label: str, examples: Sequence[Example] | None = None
    ) -> list[Answer]:
        assert examples is not None
        found.append(len(examples))
        return answer(self, exits, label, examples=examples)

    monkeypatch.setattr(Workload, "answer", count)
    return found


def test_record_holds_what_the_workload_answers(workload: Workload) -> None:
    texts = [answer.text for answer in workload.answer(EARLY, "")]
    recorded = AnswerRecord(workload).answers(EARLY, "")
    assert recorded.texts == texts
    assert recorded.counts.parts["answers"] == 6
    assert recorded.counts.mean_depth.image == 1


def test_limit_is_rounded_up_to_chunks_and_nothing_is_answered_twice(
    workload: Workload, asked: list[int]
) -> None:
    record = AnswerRecord(workload)
    assert len(record.answers(EARLY, "", limit=3).texts) == 4
    assert len(record.answers(EARLY, "").texts) == 6
    record.answers(EARLY, "", limit=1)
    assert asked == [4, 2]


def test_stopped_study_goes_on_from_the_file(
    workload: Workload, asked: list[int], tmp_path: Path
) -> None:
    first = AnswerRecord(workload, tmp_path).answers(EARLY, "")
    (path,) = tmp_path.glob("answers-*.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[1][:30])  # killed while the second chunk was written
    for expected in ([4, 2, 2], [4, 2, 2]):
        assert AnswerRecord(workload, tmp_path).answers(EARLY, "") == first
        assert asked == expected


def test_other_examples_have_a_file_of_their_own(workload: Workload, tmp_path: Path) -> None:
    AnswerRecord(workload, tmp_path).answers(EARLY, "")
    fewer = workload.part(workload.examples[:5])
    assert len(AnswerRecord(fewer, tmp_path).answers(EARLY, "").texts) == 5
    assert len(list(tmp_path.glob("answers-*.jsonl"))) == 2
