"""Scores of few captions: the evaluation's own figures."""

import pytest

from app.exploration.scores import caption_scores, label_accuracy
from model_core.evaluation.metrics import caption_metrics

CAPTIONS = ["A cat sits on the girl's sofa.", "two dogs run", "a red boat at sea"]
REFERENCES = [
    ["A cat on a girl 's sofa.", "cat on sofa"],
    ["Two dogs run fast!"],
    ["A boat at sea"],
]


def test_caption_scores_are_those_of_the_evaluation() -> None:
    found = caption_scores(list(zip(CAPTIONS, REFERENCES, strict=True)))
    expected = caption_metrics(CAPTIONS, REFERENCES)
    assert found == pytest.approx({name: expected[name] for name in ("cider", "bleu1", "bleu4")})


def test_cider_of_one_photo_is_nothing() -> None:
    assert caption_scores([("a cat", ["a cat"])])["cider"] == 0.0


def test_accuracy_is_the_share_of_equal_labels() -> None:
    assert label_accuracy([("a", "a"), ("a", "b"), ("b", "b"), ("c", "b")]) == {"accuracy": 0.5}


def test_nothing_known_gives_no_scores() -> None:
    assert caption_scores([]) == label_accuracy([]) == {}
