"""The token loop over a fixed set of slots: ``admit``, ``step``, ``release``.

Offline generation is "admit all, step until empty"; the server's continuous batching is the same
object fed over time. One step runs the decoder layer by layer over the rows still undecided; a row
leaves where its own policy fires, whoever shares the batch.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from model_core.config import CatchUp
from model_core.decode_step import DecodingStep
from model_core.evaluation.flops import FlopModel
from model_core.kv_cache import SlotCache
from model_core.request import Request
from model_core.request_encoder import EncodedRequest, RequestEncoder
from model_core.types import (
    TRACE_SCHEMA_VERSION,
    Answer,
    Cost,
    DecoderTrace,
    EncoderTrace,
    ExitTrace,
    StageMs,
    StepEvent,
    TokenTrace,
)


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
    encoded: EncodedRequest
    decode_ms: float = 0.0
    records: list[TokenRecord] = field(default_factory=list)
    probabilities: dict[str, float] = field(default_factory=dict)
    is_finished: bool = False


class Slots:
    """A fixed number of sequences in flight on one backbone. Not safe for several threads."""

    def __init__(
        self,
        encoder: RequestEncoder,
        num_slots: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """``num_slots`` empty slots on the backbone, device and dtype of ``encoder``."""
        if num_slots < 1:
            raise ValueError(f"num_slots: {num_slots} must be at least 1")
        self.num_slots = num_slots
        self._encoder = encoder
        self._backbone = encoder.backbone
        self._tokenizer = encoder.tokenizer
        self._device = encoder.device
        self.cache = SlotCache(encoder.backbone, num_slots, encoder.device, encoder.dtype)
        self._clock = clock
        self._states: list[SlotState | None] = [None] * num_slots
        self._flops = FlopModel(self._backbone.config, self._tokenizer.vocabulary_size)

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
        free = [slot for slot, state in enumerate(self._states) if state is None]
        slots = free[: len(requests)]
        encoded = self._encoder.encode(requests)
        for slot, request, memory in zip(slots, requests, encoded, strict=True):
            self.cache.open(slot, memory.memory)
            self._states[slot] = SlotState(request, memory)
        return slots

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
        label = {number: name for name, number in state.request.labels}.get(token_ids[-1])
        return Answer(
            task=state.request.task,
            text=self._tokenizer.decode(token_ids) if label is None else label,
            token_ids=token_ids,
            probabilities=dict(state.probabilities),
            trace=self._trace(slot, state),
        )

    def _trace(self, slot: int, state: SlotState) -> ExitTrace:
        tokens = tuple(
            TokenTrace(
                text=self._tokenizer.piece(record.token_id),
                depth=record.depth,
                scores=record.scores,
                thresholds=record.thresholds,
                caught_up=record.caught_up,
                computed_depth=computed_depth,
            )
            for record, computed_depth in zip(
                state.records, self.cache.computed_depths(slot), strict=True
            )
        )
        encoded = state.encoded
        return ExitTrace(
            TRACE_SCHEMA_VERSION,
            EncoderTrace(encoded.image, encoded.text),
            DecoderTrace(self._backbone.config.num_decoder_layers, tokens),
            self._cost(state, tokens),
        )

    def _cost(self, state: SlotState, tokens: Sequence[TokenTrace]) -> Cost:
        config, request, encoded = self._backbone.config, state.request, state.encoded
        depths = [token.depth for token in tokens]
        mean_encoder_depth = (encoded.image.depth + encoded.text.depth) / 2
        return Cost(
            layers_run=mean_encoder_depth + sum(depths) / len(depths),
            layers_full=float(config.num_encoder_layers + config.num_decoder_layers),
            flops=self._flops.answer(
                image_depth=encoded.image.depth,
                text_depth=0 if encoded.text.from_cache else encoded.text.depth,
                text_length=len(request.text_ids),
                exit_depths=depths,
                computed_depths=[token.computed_depth for token in tokens],
                reads_every_head=request.exits.decoder.needs_logits,
                is_copying=request.exits.catch_up is CatchUp.COPY_HIDDEN,
                num_candidates=len(request.labels),
            ),
            flops_full=self._flops.full_answer(
                text_length=len(request.text_ids),
                has_cached_text=encoded.text.from_cache,
                num_tokens=len(depths),
                num_candidates=len(request.labels),
            ),
            stage_ms=StageMs(
                request.preprocess_ms, encoded.stem_ms, encoded.encode_ms, state.decode_ms
            ),
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
