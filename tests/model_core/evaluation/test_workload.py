"""A workload answers as the runtime does, and encodes nothing twice."""

from pathlib import Path

import pytest
import torch

from model_core.config import ExitConfig
from model_core.encode import EncodedRow
from model_core.evaluation import encoder_memory
from model_core.evaluation.encoder_memory import RememberingEncoder, RowMemory
from model_core.evaluation.evaluate import answer_examples
from model_core.evaluation.examples import make_request, read_examples
from model_core.evaluation.features import stem_features
from model_core.evaluation.workload import Workload
from model_core.policies import (
    ConfidencePolicy,
    ExitPolicy,
    FixedDepthPolicy,
    NeverPolicy,
    SimilarityPolicy,
)
from model_core.predictor import Predictor
from model_core.types import ModalityTrace
from tests.model_core.evaluation.test_features import assert_same_answers

SIMILAR = SimilarityPolicy(threshold=0.9)
SETTINGS = [
    ExitConfig(),
    ExitConfig(decoder=ConfidencePolicy(threshold=0.3)),
    ExitConfig(image=SIMILAR),
    ExitConfig(image=SIMILAR, text=FixedDepthPolicy(depth=2)),
    ExitConfig(text=FixedDepthPolicy(depth=2), decoder=FixedDepthPolicy(depth=1)),
    ExitConfig(),
]


@pytest.fixture(params=["caption", "entailment"])
def workload(predictor: Predictor, data_folder: Path, request: pytest.FixtureRequest) -> Workload:
    examples = read_examples(predictor, request.param, data_folder, "val")
    features = stem_features(predictor, examples)
    return Workload(predictor, request.param, "val", examples, features)


@pytest.mark.parametrize("limit_bytes", [encoder_memory.LIMIT_BYTES, 1])
def test_answers_equal_the_normal_path_setting_after_setting(
    workload: Workload, limit_bytes: int
) -> None:
    encoder = workload._encoder
    encoder._images, encoder._texts = RowMemory(limit_bytes), RowMemory(limit_bytes)
    for exits in SETTINGS:
        given = workload.answer(exits, "")
        expected = answer_examples(workload.predictor, workload.task, workload.examples, exits)
        assert_same_answers(given, expected)


def test_encoder_runs_once_per_modality_and_policy(
    workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = workload.predictor.model
    rows: list[int] = []
    original = model.run_encoder_layer

    def count(layer: int, hidden: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        rows.append(len(hidden))
        return original(layer, hidden, mask)

    monkeypatch.setattr(model, "run_encoder_layer", count)
    workload.answer(ExitConfig(), "")
    after_first = sum(rows)
    workload.answer(SETTINGS[1], "")
    assert sum(rows) == after_first
    workload.answer(ExitConfig(image=FixedDepthPolicy(depth=1)), "")
    num_photos = len(workload.features)
    assert sum(rows) - after_first in range(num_photos, len(workload.examples) + 1)


def row_of(value: float) -> EncodedRow:
    return EncodedRow(torch.full((1, 2), value), ModalityTrace(1, 1, (), ()))


def recall(memory: RowMemory, policy: ExitPolicy, names: list[str]) -> list[str]:
    """Names of what had to be encoded."""
    asked: list[str] = []

    def encode(places: list[int]) -> list[EncodedRow]:
        asked.extend(names[place] for place in places)
        return [row_of(float(names[place])) for place in places]

    rows = memory.recall([policy] * len(names), names, encode)
    assert [row.hidden[0, 0].item() for row in rows] == [float(name) for name in names]
    return asked


def test_memory_asks_for_what_is_new() -> None:
    memory = RowMemory()
    never, one = NeverPolicy(), FixedDepthPolicy(depth=1)
    assert recall(memory, never, ["1", "2"]) == ["1", "2"]
    assert recall(memory, never, ["2", "3", "1"]) == ["3"]
    assert recall(memory, one, ["1"]) == ["1"]
    assert recall(memory, FixedDepthPolicy(depth=1), ["1"]) == []


def test_memory_forgets_the_policy_not_used_for_longest() -> None:
    memory = RowMemory(limit_bytes=2 * 8)  # two rows of two float32
    first, second, third = (FixedDepthPolicy(depth=depth) for depth in (1, 2, 3))
    recall(memory, first, ["1"])
    recall(memory, second, ["1"])
    assert recall(memory, first, ["1"]) == []
    recall(memory, third, ["1"])
    assert recall(memory, first, ["1"]) == []
    assert recall(memory, second, ["1"]) == ["1"]


def test_photos_without_features_are_refused(workload: Workload) -> None:
    predictor, task = workload.predictor, workload.task
    request = make_request(predictor, task, workload.examples[0], ExitConfig())
    with pytest.raises(ValueError, match="only requests with stem features can be remembered"):
        RememberingEncoder(predictor).encode([request])
