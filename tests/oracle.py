"""The plain model that the runtime is compared with, and the requests of the comparison.

Whole targets at once: no slots, no cache, no exits but those that a test takes.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from model_core.config import CatchUp, ExitConfig
from model_core.kv_cache import BlockContext, SlotCache
from model_core.layers import Packing, TeacherForcedContext
from model_core.pending_block import PendingBlock
from model_core.policies import (
    AnyPolicy,
    ClassifierPolicy,
    ConfidencePolicy,
    EntropyPolicy,
    ExitPolicy,
    ExitSignals,
    FixedDepthPolicy,
    JeiDnnPolicy,
    MarginPolicy,
    NeverPolicy,
    PalbertPolicy,
    PatiencePolicy,
    ShallowExitPolicy,
    SimilarityPolicy,
    ThresholdDecay,
)
from model_core.predictor import Predictor
from model_core.request import Request
from model_core.types import Answer

DECODER_POLICIES: dict[str, AnyPolicy] = {
    "never": NeverPolicy(),
    "fixed": FixedDepthPolicy(depth=2),
    "similarity": SimilarityPolicy(threshold=0.4),
    "similarity_decay": SimilarityPolicy(threshold=0.5, decay=ThresholdDecay(beta=0.8, tau=4)),
    "confidence": ConfidencePolicy(threshold=0.25),
    "classifier": ClassifierPolicy(threshold=0.6),
    "entropy": EntropyPolicy(threshold=0.3),
    "margin": MarginPolicy(threshold=0.05),
    "patience": PatiencePolicy(patience=1),
    "shallow_exit": ShallowExitPolicy(threshold=0.25, depth=2),
    "palbert": PalbertPolicy(threshold=0.6),
    "palbert_sample": PalbertPolicy(rule="sample"),
    "palbert_expectation": PalbertPolicy(rule="expectation"),
    "jei_dnn": JeiDnnPolicy(threshold=0.4),
    "confidence_late": ConfidencePolicy(threshold=0.2, min_depth=2),
}


def make_requests(
    predictor: Predictor, photos: Sequence[Image.Image], exits: ExitConfig
) -> list[Request]:
    """Captions of every photo, and entailment requests of different lengths."""
    captions = [predictor.request("caption", photo, exits) for photo in photos]
    sentences = ["a dog", "a dog runs on grass", "two people in snow . no cat"]
    pairs = [
        predictor.request("entailment", photo, exits, hypothesis=sentence)
        for photo, sentence in zip(photos, sentences, strict=False)
    ]
    return [answer for pair in itertools.zip_longest(captions, pairs) for answer in pair if answer]


def exits_with(decoder: AnyPolicy, catch_up: CatchUp = CatchUp.DEFERRED) -> ExitConfig:
    """Encoder exits that fire for some rows only, and the given decoder policy."""
    return ExitConfig(
        image=SimilarityPolicy(threshold=0.54),
        text=SimilarityPolicy(threshold=-0.1),
        decoder=decoder,
        catch_up=catch_up,
    )


class ScheduledPolicy(ExitPolicy):
    """Leaves each step at a given depth: lets a test choose the whole exit schedule."""

    schedule: tuple[int, ...]

    def score(self, signals: ExitSignals) -> torch.Tensor:
        wanted = torch.tensor(self.schedule)[signals.steps.long()]
        return (signals.depth >= wanted).to(signals.hidden)

    def thresholds(self, signals: ExitSignals) -> torch.Tensor:
        return signals.hidden.new_ones(signals.num_rows)


def open_schedules(
    predictor: Predictor,
    photo: Image.Image,
    schedules: Sequence[tuple[int, ...]],
    memory: torch.Tensor,
) -> tuple[SlotCache, dict[int, Request]]:
    """A row for each schedule of exit depths, on its ``(M, D)`` part of the memory."""
    cache = SlotCache(predictor.model, len(schedules), torch.device("cpu"), memory.dtype)
    base = predictor.request("caption", photo, ExitConfig())
    requests = {}
    for slot, schedule in enumerate(schedules):
        exits = ExitConfig.model_construct(
            decoder=ScheduledPolicy(schedule=schedule), catch_up=CatchUp.DEFERRED
        )
        requests[slot] = Request(base.task, base.pixels, (), exits, len(schedule))
        cache.open([slot], memory[slot])
    return cache, requests


def full_pass(
    predictor: Predictor, token_ids: torch.Tensor, memory: torch.Tensor
) -> list[torch.Tensor]:
    """``(B*T, D)`` states entering each decoder layer and leaving the last, teacher-forced."""
    model = predictor.model
    packing = Packing(torch.ones_like(token_ids, dtype=torch.bool))
    mask = torch.ones(memory.shape[:2], dtype=torch.bool)
    context = TeacherForcedContext(model.decoder.layers, packing, memory, mask)
    positions = torch.arange(token_ids.shape[1]).expand_as(token_ids)
    states = [model.decoder.embed(packing.pack(token_ids), packing.pack(positions))]
    for layer in range(model.config.num_decoder_layers):
        states.append(model.decoder.run_layers(states[-1], context, layer, layer + 1))
    return states


def encoder_memory(predictor: Predictor, request: Request, answer: Answer) -> torch.Tensor:
    """The memory at the depths where the modalities of an answer left."""
    model, encoder = predictor.model, answer.trace.encoder
    image = model.embed_image(model.image_features(request.pixels[None].double()))
    image = model.encoder.run_layers(image, None, 0, encoder.image.depth)
    text = model.embed_text(torch.tensor([request.text_ids]))
    return model.memory(image, model.encoder.run_layers(text, None, 0, encoder.text.depth))


def assert_same_answer(got: Answer, expected: Answer) -> None:
    """Same tokens and depths; scores to rounding of float64."""
    assert got.token_ids == expected.token_ids
    assert got.probabilities.keys() == expected.probabilities.keys()
    for one, other in zip(got.trace.decoder.tokens, expected.trace.decoder.tokens, strict=True):
        assert (one.depth, one.caught_up, one.computed_depth) == (
            other.depth,
            other.caught_up,
            other.computed_depth,
        )
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-10)
    for one_side, other_side in (
        (got.trace.encoder.image, expected.trace.encoder.image),
        (got.trace.encoder.text, expected.trace.encoder.text),
    ):
        assert one_side.depth == other_side.depth
        np.testing.assert_allclose(one_side.scores, other_side.scores, atol=1e-10)
    assert got.trace.cost.flops_full == expected.trace.cost.flops_full


def assert_filled_part_is_exact(
    predictor: Predictor, cache: SlotCache, states: list[torch.Tensor], rows: np.ndarray
) -> None:
    """Every key and value counted as filled equals the teacher-forced pass's of ``rows``."""
    length = len(states[0]) // len(rows)
    for layer in range(predictor.model.config.num_decoder_layers):
        expected = predictor.model.self_key_value(layer, states[layer])
        everything = PendingBlock(rows, 0 * rows, 0 * rows + length, cache.hidden)
        got = cache.self_key_value(layer, everything)
        filled = cache.filled[rows, layer, None]
        is_filled = torch.from_numpy(np.arange(length)[None, :] < filled)
        for part, wanted in zip(got, expected, strict=True):
            grid = wanted.unflatten(0, (len(rows), length))
            torch.testing.assert_close(part[is_filled], grid[is_filled], atol=1e-12, rtol=1e-9)


def catch_up_everything(predictor: Predictor, cache: SlotCache, rows: np.ndarray) -> None:
    """Run what is pending at every layer, by the path that decoding takes."""
    for layer in range(predictor.model.config.num_decoder_layers):
        behind = rows[cache.filled[rows, layer] < cache.lengths[rows]]
        if not len(behind):
            continue
        block = cache.pending(behind, layer)
        hidden = cache.read(block)
        after = predictor.model.run_decoder_layer(layer, hidden, BlockContext(cache, block))
        cache.keep(block, after)
        cache.mark_filled(layer, block)


def every_sequence(num_tokens: int, length: int, end_id: int) -> list[tuple[int, ...]]:
    """All that end with their first end mark, and those of full length without one."""
    others = [token for token in range(num_tokens) if token != end_id]
    ended = [
        (*words, end_id)
        for count in range(length)
        for words in itertools.product(others, repeat=count)
    ]
    return ended + list(itertools.product(others, repeat=length))
