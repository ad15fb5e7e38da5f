"""What is asked during a soak, and what has to come back.

The answers are those of the same model in this process. In float32 the last digits of a score
depend on who shares a batch, so a photo whose answer changes between batches here is left out: what
remains has one right answer, and anything else is wrong.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_core.config import preset_exits
from model_core.predictor import Predictor
from model_core.preprocessing import decode_photo
from serve.load.calls import HYPOTHESES, make_body
from serve.load.photos import PhotoSource

TASKS = ("caption", "entailment")
MAX_PIXELS = 40_000_000
MALFORMED = (
    b"",
    b"{",
    b"[]",
    b'{"image": 3}',
    b'{"image": "AAAA"}',
    b'{"image": "data:image/png;base64,!!!"}',
    b'{"photo": "AAAA"}',
)


@dataclass(frozen=True)
class Asked:
    """A request with its one right answer; ``answer`` is None where it must be refused with 4xx."""

    task: str
    body: bytes
    answer: str | None


def known_questions(
    predictor: Predictor, photos: PhotoSource, num: int, policy: str
) -> list[Asked]:
    """Questions whose answer does not depend on the batch that they are answered in."""
    found: list[Asked] = []
    for task in TASKS:
        files = [photos.jpeg(index) for index in range(num)]
        alone, together, backwards = _answers(predictor, task, files, policy)
        for index, file in enumerate(files):
            if alone[index] == together[index] == backwards[index]:
                body = make_body(task, file, {"policy": policy}, index)
                found.append(Asked(task, body, alone[index]))
    if not found:
        raise ValueError(f"none of {num} photos has an answer that rounding leaves alone")
    return found


def _answers(
    predictor: Predictor, task: str, files: Sequence[bytes], policy: str
) -> tuple[list[str], list[str], list[str]]:
    exits = preset_exits(policy, task, predictor.info.depths)
    requests = [
        predictor.request(
            task,
            decode_photo(file, MAX_PIXELS),
            exits,
            hypothesis=HYPOTHESES[index % len(HYPOTHESES)] if task == "entailment" else None,
        )
        for index, file in enumerate(files)
    ]
    alone = [predictor.answer([request])[0].text for request in requests]
    together = [answer.text for answer in predictor.answer(requests)]
    backwards = [answer.text for answer in predictor.answer(requests[::-1])][::-1]
    return alone, together, backwards


def malformed_question(rng: np.random.Generator) -> Asked:
    """A body that no service should take."""
    return Asked("caption", MALFORMED[int(rng.integers(len(MALFORMED)))], None)


def answer_in(body: bytes) -> str | None:
    """The caption or the label of an answer; None when it is neither."""
    try:
        content = json.loads(body)
    except ValueError:
        return None
    if not isinstance(content, dict):
        return None
    text = content.get("caption", content.get("label"))
    return text if isinstance(text, str) else None
