"""Answers of the task ``tags``: photos through the image encoder to words, without a decoder.

The policy at the exit site ``image`` says how many layers a photo runs; the tag head of that depth
gives the words. Any batch may hold photos with different policies.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from model_core.config import ExitConfig
from model_core.encode import encode_modality
from model_core.errors import InputError
from model_core.evaluation.flops import FlopModel
from model_core.model import UnifiedModel
from model_core.policies import ExitPolicy, NeverPolicy
from model_core.request_encoder import RequestEncoder
from model_core.tag_heads import TagHeads
from model_core.tags_file import TAGS_FILE, TRAINED_BY
from model_core.types import Cost, ModalityTrace, StageMs, TagAnswer, TagWord

TASK = "tags"
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


class _BatchMs(NamedTuple):
    """Wall-clock of a whole batch."""

    stem: float
    encode: float


class Tagger:
    """The tag heads of one model on its encoder."""

    def __init__(
        self,
        model: UnifiedModel,
        encoder: RequestEncoder,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Check that the model has tag heads.

        Raises:
            InputError: It has none.
        """
        self.heads = tag_heads_of(model)
        self.words = self.heads.config.words
        self._model = model
        self._encoder = encoder
        self._clock = clock
        self._flops = FlopModel(model.config, vocabulary_size=0)

    def answer(self, requests: Sequence[TagRequest]) -> list[TagAnswer]:
        """The words of each photo, in order; ``MAX_BATCH_SIZE`` photos at a time."""
        starts = range(0, len(requests), MAX_BATCH_SIZE)
        parts = [self._answer_batch(requests[start : start + MAX_BATCH_SIZE]) for start in starts]
        return [answer for part in parts for answer in part]

    @torch.inference_mode()
    def _answer_batch(self, requests: Sequence[TagRequest]) -> list[TagAnswer]:
        started = self._clock()
        features = self._encoder.photo_features(requests)
        stem_done = self._clock()
        encoded = encode_modality(
            self._model.run_encoder_layer,
            self._model.config.num_encoder_layers,
            self._model.embed_image(features),
            None,
            [request.exits.image for request in requests],
            self.heads,
        )
        assert encoded.logits is not None
        probabilities = encoded.logits.sigmoid().to("cpu", torch.float64).tolist()
        thresholds = self.heads.thresholds.tolist()
        times = _BatchMs(1e3 * (stem_done - started), 1e3 * (self._clock() - stem_done))
        return [
            TagAnswer(
                words=chosen_words(self.words, row, thresholds[image.depth - 1]),
                probabilities=tuple(row),
                threshold=thresholds[image.depth - 1],
                image=image,
                cost=self._cost(request, image, times),
            )
            for request, row, image in zip(requests, probabilities, encoded.traces, strict=True)
        ]

    def _cost(self, request: TagRequest, image: ModalityTrace, times: _BatchMs) -> Cost:
        policy = request.exits.image
        return Cost(
            layers_run=float(image.depth),
            layers_full=float(image.num_layers),
            flops=self.photo_flops(policy, image.depth),
            flops_full=self.photo_flops(NeverPolicy(), image.num_layers),
            stage_ms=StageMs(request.preprocess_ms, times.stem, times.encode, decode=0.0),
        )

    @property
    def stem_flops(self) -> int:
        """Operations of the stem for a photo, the part that no policy changes."""
        return self._flops.stem()

    def photo_flops(self, policy: ExitPolicy, depth: int) -> int:
        """Operations for a photo that ``policy`` let leave at ``depth``, from its pixels on."""
        layer = self._flops.encoder_layer(self._model.config.stem.num_image_tokens)
        total = self._flops.stem() + self._flops.image_embedding() + depth * layer
        return total + sum(self.heads.flops(number) for number in heads_read(policy, depth))


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


def heads_read(policy: ExitPolicy, depth: int) -> list[int]:
    """Depths whose heads were read for a photo that left at ``depth``: where asked, and there."""
    if not policy.needs_logits:
        return [depth]
    asked = [number for number in range(1, depth + 1) if policy.known_score(number) is None]
    return sorted({*asked, depth})


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
