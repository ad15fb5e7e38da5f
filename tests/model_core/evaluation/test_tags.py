"""Tags of a split: one pass at every depth tells what the runtime answers under any policy."""

from pathlib import Path

import numpy as np
import pytest

from model_core.config import ExitConfig
from model_core.errors import InputError
from model_core.evaluation.features import stem_features
from model_core.evaluation.tag_metrics import average_precision
from model_core.evaluation.tag_study import answered, tag_settings
from model_core.evaluation.tags import (
    TagExamples,
    evaluate_tags,
    read_depths,
    read_tag_examples,
    tag_metrics,
)
from model_core.policies import ConfidencePolicy, FixedDepthPolicy, SimilarityPolicy
from model_core.predictor import Predictor
from tests.tiny_tags import TAG_WORDS


@pytest.fixture(scope="module")
def given(tagging: Predictor, data_folder: Path) -> TagExamples:
    examples = read_tag_examples(tagging, data_folder, "test").examples
    targets = np.zeros((6, len(TAG_WORDS)), dtype=bool)
    targets[[0, 2, 3], [0, 1, 0]] = True  # the folder's captions are the same for every photo
    return TagExamples(examples, targets)


def test_targets_are_what_two_captions_of_a_photo_say(
    tagging: Predictor, data_folder: Path
) -> None:
    read = read_tag_examples(tagging, data_folder, "test", limit=4)
    assert len(read.examples) == 4
    assert read.targets.tolist() == [[word == "grass" for word in TAG_WORDS]] * 4


def test_one_pass_tells_what_the_runtime_answers(tagging: Predictor, given: TagExamples) -> None:
    policies = [
        *tag_settings(4),
        *(ConfidencePolicy(threshold=value) for value in (0.86, 0.89)),  # part these photos
        SimilarityPolicy(threshold=0.55),
    ]
    features = stem_features(tagging, given.examples)
    rows = [features[example.image] for example in given.examples]
    readings = read_depths(tagging, rows, policies)
    assert readings.probabilities.shape == (4, 6, len(TAG_WORDS))
    assert len({tuple(left) for left in readings.left.values()}) >= 5
    for policy in policies:
        answers = tagging.tag(rows, ExitConfig.model_validate({"image": policy}))
        assert readings.left[policy].tolist() == [answer.image.depth for answer in answers]
        np.testing.assert_allclose(
            answered(readings, policy), [answer.probabilities for answer in answers]
        )


def test_evaluation_is_that_of_the_answers(tagging: Predictor, given: TagExamples) -> None:
    exits = ExitConfig(image=ConfidencePolicy(threshold=0.85))
    found = evaluate_tags(tagging, "test", given, "early", exits)
    features = stem_features(tagging, given.examples)
    answers = tagging.tag([features[example.image] for example in given.examples], exits)
    chances = np.array([answer.probabilities for answer in answers])
    by_word = [average_precision(chances[:, word], given.targets[:, word]) for word in (0, 1)]
    assert found.metrics["map"] == pytest.approx(sum(by_word) / 2)
    depths = [answer.image.depth for answer in answers]
    assert 1 < found.mean_depth == sum(depths) / 6 < 4
    assert found.saving.layers == pytest.approx(1 - sum(depths) / 24)
    words = {word: place for place, word in enumerate(TAG_WORDS)}
    decided = np.zeros_like(given.targets)
    for row, answer in enumerate(answers):
        decided[row, [words[one.word] for one in answer.words]] = True
    assert found.metrics == pytest.approx(tag_metrics(chances, decided, given.targets))


def test_shallow_tags_cost_less(tagging: Predictor, given: TagExamples) -> None:
    shallow = ExitConfig(image=FixedDepthPolicy(depth=1))
    found = evaluate_tags(tagging, "test", given, "shallow", shallow)
    assert (found.mean_depth, found.saving.layers) == (1, 0.75)
    assert 0 < found.saving.flops < 0.75


def test_model_without_tag_heads_is_refused(predictor: Predictor, data_folder: Path) -> None:
    with pytest.raises(InputError, match="task tags needs tag heads"):
        read_tag_examples(predictor, data_folder, "test")
    with pytest.raises(InputError, match="task tags needs tag heads"):
        read_depths(predictor, [], [])
