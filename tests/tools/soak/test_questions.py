"""Questions have one right answer, and malformed ones none."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from model_core.predictor import Predictor
from model_core.request import Request
from model_core.types import Answer
from serve.load.calls import make_body
from serve.load.photos import PhotoSource
from tools.soak import questions
from tools.soak.questions import MALFORMED, TASKS, known_questions, malformed_question


def test_every_photo_is_asked_about_and_known(predictor: Predictor) -> None:
    found = known_questions(predictor, PhotoSource.generated(0), 2, "balanced")
    assert [asked.task for asked in found] == ["caption"] * 2 + ["entailment"] * 2
    assert found[2].answer in predictor.info.tasks["entailment"].allowed_outputs
    assert json.loads(found[0].body)["policy"] == "balanced"


def test_answer_that_depends_on_its_batch_is_not_asked_for(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = predictor.answer

    def last_of_a_batch_is_another(requests: list[Request]) -> list[Answer]:
        found = ask(requests)
        return found if len(requests) == 1 else [*found[:-1], found[0]]

    monkeypatch.setattr(predictor, "answer", last_of_a_batch_is_another)
    monkeypatch.setattr(questions, "TASKS", TASKS[:1])
    photos = PhotoSource.generated(0)
    (asked,) = known_questions(predictor, photos, 3, "balanced")
    assert asked.body == make_body("caption", photos.jpeg(1), {"policy": "balanced"}, 1)


def test_photos_whose_every_answer_depends_on_the_batch_are_refused(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = iter(str(number) for number in range(100))

    def never_the_same(requests: list[Request]) -> list[SimpleNamespace]:
        return [SimpleNamespace(text=next(texts)) for _ in requests]

    monkeypatch.setattr(predictor, "answer", never_the_same)
    with pytest.raises(ValueError, match="none of 1 photos"):
        known_questions(predictor, PhotoSource.generated(0), 1, "balanced")


def test_malformed_bodies_have_no_answer_and_take_turns() -> None:
    rng = np.random.default_rng(0)
    bodies = {malformed_question(rng).body for _ in range(200)}
    assert bodies == set(MALFORMED)
    assert malformed_question(rng).answer is None
