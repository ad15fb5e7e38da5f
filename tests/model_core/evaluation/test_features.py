"""Stem features computed once: the same answers, and a file that is found again."""

import os
from pathlib import Path

import pytest
import torch

from model_core.config import ExitConfig
from model_core.evaluation.evaluate import answer_examples
from model_core.evaluation.examples import Example, make_request, read_examples
from model_core.evaluation.features import stem_features
from model_core.evaluation.workload import Workload
from model_core.policies import ConfidencePolicy, FixedDepthPolicy, SimilarityPolicy
from model_core.predictor import Predictor
from model_core.types import Answer, ModalityTrace, TokenTrace

EARLY = ExitConfig(
    image=SimilarityPolicy(threshold=0.9),
    text=FixedDepthPolicy(depth=2),
    decoder=ConfidencePolicy(threshold=0.3),
)


@pytest.fixture(params=["caption", "entailment"])
def task(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def examples(predictor: Predictor, data_folder: Path, task: str) -> list[Example]:
    return read_examples(predictor, task, data_folder, "val")


def assert_same_answers(given: list[Answer], expected: list[Answer]) -> None:
    """Everything but the times; scores up to rounding."""
    for answer, other in zip(given, expected, strict=True):
        assert (answer.token_ids, answer.text) == (other.token_ids, other.text)
        assert answer.probabilities == pytest.approx(other.probabilities)
        assert answer.trace.cost.flops == other.trace.cost.flops
        assert answer.trace.cost.layers_run == other.trace.cost.layers_run
        for found, wanted in zip(traces(answer), traces(other), strict=True):
            assert found.depth == wanted.depth
            assert found.scores == pytest.approx(wanted.scores)


def traces(answer: Answer) -> list[ModalityTrace | TokenTrace]:
    encoder = answer.trace.encoder
    return [encoder.image, encoder.text, *answer.trace.decoder.tokens]


@pytest.mark.parametrize("exits", [ExitConfig(), EARLY], ids=["full", "early"])
@pytest.mark.parametrize("is_cached", [False, True])
def test_answers_equal_the_normal_path(
    predictor: Predictor,
    examples: list[Example],
    tmp_path: Path,
    task: str,
    exits: ExitConfig,
    is_cached: bool,
) -> None:
    features = stem_features(predictor, examples, tmp_path if is_cached else None)
    requests = [make_request(predictor, task, item, exits, features) for item in examples]
    assert all(request.pixels is None for request in requests)
    expected = answer_examples(predictor, task, examples, exits)
    assert_same_answers(predictor.answer(requests), expected)


def test_photos_and_features_share_a_batch(predictor: Predictor, data_folder: Path) -> None:
    examples = read_examples(predictor, "caption", data_folder, "val")
    features = stem_features(predictor, examples)
    mixed = [
        make_request(predictor, "caption", item, EARLY, features if number % 2 else None)
        for number, item in enumerate(examples)
    ]
    expected = answer_examples(predictor, "caption", examples, EARLY)
    assert_same_answers(predictor.answer(mixed), expected)


def test_stem_is_run_once_for_each_photo(
    predictor: Predictor, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = read_examples(predictor, "entailment", data_folder, "val")
    seen = []
    original = predictor.model.image_features

    def count(pixels: torch.Tensor) -> torch.Tensor:
        seen.append(len(pixels))
        return original(pixels)

    monkeypatch.setattr(predictor.model, "image_features", count)
    for _ in range(2):
        features = stem_features(predictor, examples, tmp_path)
        Workload(predictor, "entailment", "val", examples, features).answer(EARLY, "")
    assert sum(seen) == len(features) == 6 < len(examples)


def test_another_photo_under_the_same_name_is_computed_again(
    predictor: Predictor, data_folder: Path, tmp_path: Path
) -> None:
    source = next((data_folder / "images").iterdir())
    photo = tmp_path / "photo.png"
    photo.write_bytes(source.read_bytes())
    example = Example(photo, ("a dog",))
    before = stem_features(predictor, [example], tmp_path / "cache")[photo]
    others = sorted((data_folder / "images").iterdir())
    photo.write_bytes(next(item for item in others if item != source).read_bytes())
    os.utime(photo, ns=(1, 1))
    after = stem_features(predictor, [example], tmp_path / "cache")[photo]
    assert not torch.equal(before, after)


def test_float32_features_are_kept_in_float32(
    tiny_checkpoint: Path, data_folder: Path, tmp_path: Path
) -> None:
    predictor = Predictor.load(tiny_checkpoint)
    examples = read_examples(predictor, "caption", data_folder, "val")
    features = stem_features(predictor, examples, tmp_path)
    assert {value.dtype for value in features.values()} == {torch.float32}
    in_memory = stem_features(predictor, examples)
    for photo, value in features.items():
        torch.testing.assert_close(value, in_memory[photo], rtol=0, atol=0)
