"""The token loop over a fixed set of slots: ``admit``, ``step``, ``release``.

Offline generation is "admit all, step until empty"; the server's continuous batching is the same
object fed over time. One step runs the decoder layer by layer over the rows still undecided; a row
leaves where its own policy fires, whoever shares the batch.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from model_core.config import CatchUp
from model_core.encode import EncodedModality, encode_modality
from model_core.decode_step import DecodingStep
from model_core.evaluation.flops import FlopModel
from model_core.kv_cache import BlockContext, SlotCache
from model_core.model import Backbone
from model_core.request import Request
from model_core.tokenizer import WordPieceTokenizer
from model_core.types import (
    TRACE_SCHEMA_VERSION,
    Answer,
    Cost,
    DecoderTrace,
    EncoderTrace,
    ExitTrace,
    ModalityTrace,
    StageMs,
    StepEvent,
    TokenTrace,
)

MAX_CACHED_INSTRUCTIONS = 64


class TokenRecord(NamedTuple):
    """One decoding step of one slot, as it happened."""

    token_id: int
    depth: int
    scores: tuple[float, ...]
    thresholds: tuple[float, ...]
    caught_up: int


@dataclass
class SlotState:
    """What the host knows of an occupied slot."""

    request: Request
    image: ModalityTrace
    text: ModalityTrace
    stem_ms: float
    encode_ms: float
    decode_ms: float = 0.0
    records: list[TokenRecord] = field(default_factory=list)
    probabilities: dict[str, float] = field(default_factory=dict)
    is_finished: bool = False


class TextMemory(NamedTuple):
    """``(T, D)`` encoded text of one request, and how it got there."""

    hidden: Tensor
    trace: ModalityTrace


class Slots:
    """A fixed number of sequences in flight on one backbone. Not safe for several threads."""

    def __init__(
        self,
        backbone: Backbone,
        tokenizer: WordPieceTokenizer,
        num_slots: int,
        device: torch.device,
        dtype: torch.dtype,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if num_slots < 1:
            raise ValueError(f"num_slots: {num_slots} must be at least 1")
        self.num_slots = num_slots
        self.cache = SlotCache(backbone, num_slots, device, dtype)
        self._backbone = backbone
        self._tokenizer = tokenizer
        self._device = device
        self._dtype = dtype
        self._clock = clock
        self._states: list[SlotState | None] = [None] * num_slots
        self._instructions: OrderedDict[tuple[object, ...], TextMemory] = OrderedDict()
        self._flops = FlopModel(backbone.config, tokenizer.vocabulary_size)

    @property
    def num_free(self) -> int:
        """Slots that ``admit`` can fill."""
        return sum(state is None for state in self._states)

    @torch.inference_mode()
    def admit(self, requests: Sequence[Request]) -> list[int]:
        """Encode a batch of requests and give each a slot, whose number is returned.

        Raises:
            ValueError: There are fewer free slots than requests.
        """
        if len(requests) > self.num_free:
            raise ValueError(f"{len(requests)} requests for {self.num_free} free slots")
        if not requests:
            return []
        started = self._clock()
        pixels = torch.stack([request.pixels for request in requests])
        features = self._backbone.image_features(pixels.to(self._device, self._dtype))
        stem_done = self._clock()
        images = self._encode_images(features, requests)
        texts = self._encode_texts(requests)
        free = [slot for slot, state in enumerate(self._states) if state is None]
        slots = free[: len(requests)]
        for row, (slot, request, text) in enumerate(zip(slots, requests, texts, strict=True)):
            memory = self._backbone.memory(images.hidden[row : row + 1], text.hidden.unsqueeze(0))
            self.cache.open(slot, memory[0])
            self._states[slot] = SlotState(
                request, images.traces[row], text.trace, stem_ms=1e3 * (stem_done - started), encode_ms=0.0
            )
        encode_ms = 1e3 * (self._clock() - stem_done)
        for slot in slots:
            self._state(slot).encode_ms = encode_ms
        return slots

    def _encode_images(self, features: Tensor, requests: Sequence[Request]) -> EncodedModality:
        return encode_modality(
            self._backbone.run_encoder_layer,
            self._backbone.config.num_encoder_layers,
            self._backbone.embed_image(features),
            None,
            [request.exits.image for request in requests],
        )

    def _encode_texts(self, requests: Sequence[Request]) -> list[TextMemory]:
        """Text memories in order; constant instructions are encoded once and kept."""
        found: dict[int, TextMemory] = {}
        to_encode: list[int] = []
        for number, request in enumerate(requests):
            kept = self._instructions.get(_instruction_key(request))
            if kept is None:
                to_encode.append(number)
            else:
                self._instructions.move_to_end(_instruction_key(request))
                found[number] = kept
        if to_encode:
            encoded = self._encode_new_texts([requests[number] for number in to_encode])
            found.update(zip(to_encode, encoded, strict=True))
        return [found[number] for number in range(len(requests))]

    def _encode_new_texts(self, requests: Sequence[Request]) -> list[TextMemory]:
        lengths = [len(request.text_ids) for request in requests]
        ids = torch.full((len(requests), max(lengths)), self._tokenizer.pad_id)
        for row, request in enumerate(requests):
            ids[row, : lengths[row]] = torch.tensor(request.text_ids)
        ids = ids.to(self._device)
        mask = ids != self._tokenizer.pad_id if min(lengths) < max(lengths) else None
        encoded = encode_modality(
            self._backbone.run_encoder_layer,
            self._backbone.config.num_encoder_layers,
            self._backbone.embed_text(ids),
            mask,
            [request.exits.text for request in requests],
        )
        memories = [
            TextMemory(encoded.hidden[row, : lengths[row]], encoded.traces[row])
            for row in range(len(requests))
        ]
        for request, memory in zip(requests, memories, strict=True):
            if request.has_constant_text:
                trace = replace(memory.trace, from_cache=True)
                kept = TextMemory(memory.hidden.clone(), trace)
                self._instructions[_instruction_key(request)] = kept
                if len(self._instructions) > MAX_CACHED_INSTRUCTIONS:
                    self._instructions.popitem(last=False)
        return memories

    @torch.inference_mode()
    def step(self) -> list[StepEvent]:
        """One token for every slot that is not finished; what happened to each."""
        rows = np.array(
            [
                slot
                for slot, state in enumerate(self._states)
                if state is not None and not state.is_finished
            ],
            dtype=np.int64,
        )
        if not len(rows):
            return []
        started = self._clock()
        decoding = DecodingStep(
            self._backbone, self.cache, {int(row): self._state(int(row)).request for row in rows}
        )
        decoding.run(torch.tensor([self._last_token(int(row)) for row in rows]).to(self._device))
        events = [self._record(decoding, int(row)) for row in rows]
        self._copy_exit_states(rows, decoding.depths[rows])
        elapsed_ms = 1e3 * (self._clock() - started)
        for row in rows:
            self._state(int(row)).decode_ms += elapsed_ms
        return events

    def _last_token(self, slot: int) -> int:
        records = self._state(slot).records
        return records[-1].token_id if records else self._tokenizer.start_id

    def _record(self, decoding: DecodingStep, slot: int) -> StepEvent:
        state = self._state(slot)
        depth = int(decoding.depths[slot])
        token_id = decoding.token_ids[slot]
        record = TokenRecord(
            token_id, depth, *decoding.board.upto(slot, depth), int(decoding.caught_up[slot])
        )
        state.records.append(record)
        state.probabilities = decoding.probabilities.get(slot, {})
        is_end = token_id == self._tokenizer.end_id
        state.is_finished = is_end or len(state.records) >= state.request.max_new_tokens
        return StepEvent(slot, self._tokenizer.piece(token_id), depth, state.is_finished)

    def _copy_exit_states(self, rows: np.ndarray, depths: np.ndarray) -> None:
        num_layers = self._backbone.config.num_decoder_layers
        copies = np.array(
            [
                depth < num_layers
                and not self._state(int(row)).is_finished
                and self._state(int(row)).request.exits.catch_up is CatchUp.COPY_HIDDEN
                for row, depth in zip(rows, depths, strict=True)
            ]
        )
        if copies.any():
            self.cache.copy_exit_states(rows[copies], depths[copies])

    def result(self, slot: int) -> Answer:
        """The answer of a finished slot.

        Raises:
            ValueError: The slot is empty or not finished.
        """
        state = self._state(slot)
        if not state.is_finished:
            raise ValueError(f"slot {slot} is not finished")
        token_ids = tuple(record.token_id for record in state.records)
        label = dict((number, name) for name, number in state.request.labels).get(token_ids[-1])
        return Answer(
            task=state.request.task,
            text=self._tokenizer.decode(token_ids) if label is None else label,
            token_ids=token_ids,
            probabilities=dict(state.probabilities),
            trace=self._trace(slot, state),
        )

    def _trace(self, slot: int, state: SlotState) -> ExitTrace:
        config = self._backbone.config
        computed = self.cache.computed_depths(slot)
        tokens = tuple(
            TokenTrace(
                text=self._tokenizer.piece(record.token_id),
                depth=record.depth,
                scores=record.scores,
                thresholds=record.thresholds,
                caught_up=record.caught_up,
                computed_depth=depth,
            )
            for record, depth in zip(state.records, computed, strict=True)
        )
        exits = state.request.exits
        depths = [record.depth for record in state.records]
        cost = Cost(
            layers_run=(state.image.depth + state.text.depth) / 2 + sum(depths) / len(depths),
            layers_full=float(config.num_encoder_layers + config.num_decoder_layers),
            flops=self._flops.answer(
                image_depth=state.image.depth,
                text_depth=0 if state.text.from_cache else state.text.depth,
                text_length=len(state.request.text_ids),
                exit_depths=depths,
                computed_depths=computed,
                reads_every_head=exits.decoder.needs_logits,
                is_copying=exits.catch_up is CatchUp.COPY_HIDDEN,
                num_candidates=len(state.request.labels),
            ),
            flops_full=self._flops.full_answer(
                text_length=len(state.request.text_ids),
                has_cached_text=state.text.from_cache,
                num_tokens=len(depths),
                num_candidates=len(state.request.labels),
            ),
            stage_ms=StageMs(
                state.request.preprocess_ms, state.stem_ms, state.encode_ms, state.decode_ms
            ),
        )
        return ExitTrace(
            TRACE_SCHEMA_VERSION,
            EncoderTrace(state.image, state.text),
            DecoderTrace(config.num_decoder_layers, tokens),
            cost,
        )

    def release(self, slot: int) -> None:
        """Free a slot, finished or not.

        Raises:
            ValueError: The slot is empty.
        """
        self._state(slot)
        self._states[slot] = None

    def _state(self, slot: int) -> SlotState:
        state = self._states[slot]
        if state is None:
            raise ValueError(f"slot {slot} is empty")
        return state


def _instruction_key(request: Request) -> tuple[object, ...]:
    return (request.has_constant_text and request.text_ids, request.exits.text)
