"""Answers of the task ``tags``: photos through the image encoder to words, without a decoder.

The policy at the exit site ``image`` says how many layers a photo runs; the tag head of that depth
gives the words. Any batch may hold photos with different policies.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from model_core.config import ExitConfig
from model_core.cost import CostModel
from model_core.errors import InputError
from model_core.evaluation.flops import stem_flops
from model_core.model import UnifiedModel
from model_core.policies import ExitPolicy
from model_core.readouts import tag_flops
from model_core.request import TAGS_TASK, Request, Wanted
from model_core.request_encoder import RequestEncoder
from model_core.tag_heads import TagHeads
from model_core.tags_file import TAGS_FILE, TRAINED_BY
from model_core.transcript import encoder_answer
from model_core.types import Answer, TagAnswer, TagWord

TASK = TAGS_TASK
MAX_BATCH_SIZE = 64


@dataclass(frozen=True)
class TagRequest:
    """A photo to tag.

    Attributes:
        pixels: ``(3, S, S)`` prepared pixels; None where ``features`` stand for them.
        exits: Only the policy at the image counts.
        preprocess_ms: What preparing took.
        features: ``(Ti, C)`` stem features computed before; the stem is not run for this photo.
    """

    pixels: Tensor | None
    exits: ExitConfig
    preprocess_ms: float = 0.0
    features: Tensor | None = None

    def as_request(self) -> Request:
        """The same for slots."""
        return Request(
            task=TASK,
            pixels=self.pixels,
            text_ids=(),
            exits=self.exits,
            max_new_tokens=0,
            preprocess_ms=self.preprocess_ms,
            features=self.features,
            wanted=Wanted.TAGS,
        )


class Tagger:
    """The tag heads of one model on its encoder."""

    def __init__(self, model: UnifiedModel, encoder: RequestEncoder) -> None:
        """Check that the model has tag heads.

        Raises:
            InputError: It has none.
        """
        self.heads = tag_heads_of(model)
        self.words = self.heads.config.words
        self._model = model
        self._encoder = encoder
        self._costs = CostModel(model.config, vocabulary_size=0)

    def answer(self, requests: Sequence[TagRequest]) -> list[TagAnswer]:
        """The words of each photo, in order; ``MAX_BATCH_SIZE`` photos at a time."""
        starts = range(0, len(requests), MAX_BATCH_SIZE)
        parts = [self._answer_batch(requests[start : start + MAX_BATCH_SIZE]) for start in starts]
        return [answer for part in parts for answer in part]

    def _answer_batch(self, photos: Sequence[TagRequest]) -> list[TagAnswer]:
        requests = [photo.as_request() for photo in photos]
        return [
            self.tag_answer(encoder_answer(request, encoded, self._model, self._costs))
            for request, encoded in zip(requests, self._encoder.encode(requests), strict=True)
        ]

    def tag_answer(self, answer: Answer) -> TagAnswer:
        """An answer of the task as its words."""
        assert answer.threshold is not None
        probabilities = tuple(answer.probabilities.values())
        return TagAnswer(
            words=chosen_words(self.words, probabilities, answer.threshold),
            probabilities=probabilities,
            threshold=answer.threshold,
            image=answer.trace.encoder.image,
            cost=answer.trace.cost,
        )

    @property
    def stem_flops(self) -> int:
        """Operations of the stem for a photo, the part that no policy changes."""
        return stem_flops(self._model.config.stem)

    def photo_flops(self, policy: ExitPolicy, depth: int) -> int:
        """Operations for a photo that ``policy`` let leave at ``depth``, from its pixels on."""
        return self._costs.photo_flops(depth) + tag_flops(self.heads, policy, depth)


def tag_heads_of(model: UnifiedModel) -> TagHeads:
    """The tag heads of a model.

    Raises:
        InputError: It has none.
    """
    if model.tag_heads is None:
        raise InputError(
            f"task {TASK} needs tag heads ({TAGS_FILE}), which this checkpoint does not have; "
            f"{TRAINED_BY} makes them"
        )
    return model.tag_heads


def chosen_words(
    words: Sequence[str], probabilities: Sequence[float], threshold: float
) -> tuple[TagWord, ...]:
    """Words whose probability is at least ``threshold``, likeliest first."""
    found = [
        TagWord(word, share)
        for word, share in zip(words, probabilities, strict=True)
        if share >= threshold
    ]
    return tuple(sorted(found, key=lambda one: -one.probability))
