"""The token loop over a fixed set of slots: ``admit``, ``step``, ``release``.

Offline generation is "admit all, step until empty"; the server's continuous batching is the same
object fed over time. One step runs the decoder layer by layer over the rows still undecided; a row
leaves where its own policy fires, whoever shares the batch. A slot is a row of the cache: a request
takes one for each of its beams, and is known by the first. A request whose answer is there once the
encoder has run takes a slot like any other, and is finished by the next step.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from model_core.beam import BeamSearch, Candidates, RowCopy
from model_core.config import CatchUp
from model_core.cost import CostModel
from model_core.decode_step import DecodingStep
from model_core.kv_cache import SlotCache
from model_core.request import Request
from model_core.request_encoder import EncodedRequest, RequestEncoder
from model_core.transcript import Transcript, encoder_answer
from model_core.types import Answer, StepEvent
from model_core.verification import Draft, verify


class SlotState(NamedTuple):
    """What the host knows of an occupied slot; all slots of a request hold the same one.

    ``draft`` is None for a request whose tokens count as they are chosen.
    """

    search: BeamSearch
    transcript: Transcript
    draft: Draft | None

    @property
    def request(self) -> Request:
        """What was asked."""
        return self.transcript.request

    @property
    def rows(self) -> Sequence[int]:
        """The slots that the request holds."""
        return self.search.rows

    @property
    def is_done(self) -> bool:
        """True once the search has ended."""
        return self.search.is_done


@dataclass
class ReadyState:
    """A request that the encoder has answered.

    Attributes:
        rows: The slot that it holds.
        answer: The answer.
        is_done: True once a step has told so.
    """

    rows: list[int]
    answer: Answer
    is_done: bool = False


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
        self._states: list[SlotState | ReadyState | None] = [None] * num_slots
        self._costs = CostModel(self._backbone.config, self._tokenizer.vocabulary_size)

    @property
    def num_free(self) -> int:
        """Slots that ``admit`` can fill; a request takes ``num_beams`` of them."""
        return sum(state is None for state in self._states)

    @torch.inference_mode()
    def admit(self, requests: Sequence[Request]) -> list[int]:
        """Encode a batch of requests and give each its slots; the first slot of each is returned.

        Raises:
            ValueError: There are fewer free slots than the requests have beams.
        """
        num_wanted = sum(request.num_beams for request in requests)
        if num_wanted > self.num_free:
            raise ValueError(
                f"{len(requests)} requests for {self.num_free} free slots; they take {num_wanted}"
            )
        if not requests:
            return []
        free = iter([slot for slot, state in enumerate(self._states) if state is None])
        firsts = []
        for request, encoded in zip(requests, self._encoder.encode(requests), strict=True):
            slots = [next(free) for _ in range(request.num_beams)]
            state = self._start(request, encoded, slots)
            for slot in slots:
                self._states[slot] = state
            firsts.append(slots[0])
        return firsts

    def _start(
        self, request: Request, encoded: EncodedRequest, slots: list[int]
    ) -> SlotState | ReadyState:
        if not request.wanted.needs_decoder:
            answer = encoder_answer(request, encoded, self._backbone, self._costs)
            return ReadyState(slots, answer)
        self.cache.open(slots, encoded.output)
        search = BeamSearch(
            slots, request.max_new_tokens, self._tokenizer.end_id, request.length_penalty
        )
        draft = None if request.exits.lookahead is None else Draft()
        return SlotState(search, Transcript(request, encoded), draft)

    @torch.inference_mode()
    def step(self) -> list[StepEvent]:
        """One token for every request that is not finished; what happened to each.

        A request that drafts has no event until full depth has checked its drafts, and then one for
        each token that is settled. One that the encoder has answered is finished by the first step.
        """
        ready = self._finish_ready()
        unfinished = dict(self._unfinished())
        if not unfinished:
            return ready
        started = self._clock()
        running = {row: state for state in unfinished.values() for row in state.search.beams}
        decoding = DecodingStep(
            self._backbone, self.cache, {row: state.request for row, state in running.items()}
        )
        last_token_ids = [self._last_token(running[row], row) for row in sorted(running)]
        decoding.run(torch.tensor(last_token_ids).to(self._device))
        direct = {slot: state for slot, state in unfinished.items() if state.draft is None}
        copies = [copy for state in direct.values() for copy in self._advance(state, decoding)]
        self._copy_exit_states(direct.values(), decoding.depths)
        if copies:
            self.cache.copy_rows(*(np.array(side) for side in zip(*copies, strict=True)))
        events = [self._event(slot, state) for slot, state in direct.items()]
        drafting = {slot: state for slot, state in unfinished.items() if state.draft is not None}
        events += self._draft(drafting, decoding)
        elapsed_ms = 1e3 * (self._clock() - started)
        for state in unfinished.values():
            state.transcript.decode_ms += elapsed_ms
        return ready + events

    def _finish_ready(self) -> list[StepEvent]:
        events = []
        for slot, state in enumerate(self._states):
            if isinstance(state, ReadyState) and not state.is_done:
                state.is_done = True
                events.append(StepEvent(slot, "", 0, is_finished=True))
        return events

    def _draft(self, states: Mapping[int, SlotState], decoding: DecodingStep) -> list[StepEvent]:
        """Write down the drafts of a step; have full depth check those that are due."""
        due: dict[int, Draft] = {}
        for slot, (_, transcript, draft) in states.items():
            assert draft is not None
            transcript.add_step(decoding, [slot])
            draft.token_ids.append(decoding.candidates[slot].token_ids[0])
            lookahead = transcript.request.exits.lookahead or 1
            if draft.is_due(lookahead, transcript.request.max_new_tokens, self._tokenizer.end_id):
                due[slot] = draft
        if not due:
            return []
        events = []
        for slot, verified in verify(self._backbone, self.cache, due).items():
            search, transcript, _ = states[slot]
            settled = due[slot].settle(verified.choices)
            transcript.settle(len(verified.choices) - len(settled), len(settled), verified)
            self.cache.truncate(slot, due[slot].first)
            for token_id in settled:
                for beam in search.advance({slot: Candidates((token_id,), (0.0,))}).finished:
                    depths = self.cache.computed_depths(slot)
                    transcript.computed_depths[beam.rows] = depths
                events.append(self._event(slot, states[slot]))
        return events

    def _unfinished(self) -> Iterator[tuple[int, SlotState]]:
        for slot, state in enumerate(self._states):
            if isinstance(state, SlotState) and not state.is_done and slot == state.rows[0]:
                yield slot, state

    def _last_token(self, state: SlotState, row: int) -> int:
        if state.draft is not None and state.draft.token_ids:
            return state.draft.token_ids[-1]
        token_ids = state.search.beams[row].token_ids
        return token_ids[-1] if token_ids else self._tokenizer.start_id

    def _advance(self, state: SlotState, decoding: DecodingStep) -> list[RowCopy]:
        """Extend the beams of one request; the copies that its cache rows need."""
        state.transcript.add_step(decoding, list(state.search.beams))
        advance = state.search.advance(decoding.candidates)
        for beam in advance.finished:
            # Now, before another beam moves into the row.
            depths = self.cache.computed_depths(beam.rows[-1])
            state.transcript.computed_depths[beam.rows] = depths
        return advance.copies

    def _copy_exit_states(self, states: Iterable[SlotState], depths: np.ndarray) -> None:
        """Fill the newest position above its exit where the rule is ``copy_hidden``."""
        num_layers = self._backbone.config.num_decoder_layers
        rows: list[int] = []
        for state in states:
            if state.request.exits.catch_up is CatchUp.COPY_HIDDEN:
                early = [row for row in state.search.parents if depths[row] < num_layers]
                work = state.transcript.work
                work.positions_copied += sum(num_layers - int(depths[row]) for row in early)
                rows += early
        if rows:
            ordered = np.array(sorted(rows))
            self.cache.copy_exit_states(ordered, depths[ordered])

    def _event(self, slot: int, state: SlotState) -> StepEvent:
        beam = state.search.leader
        added_text = self._tokenizer.text_parts(beam.token_ids)[-1]
        return StepEvent(slot, added_text, state.transcript.last_depth(beam), state.is_done)

    def result(self, slot: int) -> Answer:
        """The answer of a finished slot: of its best beam.

        Raises:
            ValueError: The slot is empty or not finished.
        """
        state = self._state(slot)
        if not state.is_done:
            raise ValueError(f"slot {slot} is not finished")
        if isinstance(state, ReadyState):
            return state.answer
        return state.transcript.answer(
            state.search.finished[0], self._tokenizer, self._backbone, self._costs
        )

    def release(self, slot: int) -> None:
        """Free the slots of a request, finished or not.

        Raises:
            ValueError: The slot is empty.
        """
        for row in self._state(slot).rows:
            self._states[row] = None

    def _state(self, slot: int) -> SlotState | ReadyState:
        state = self._states[slot]
        if state is None:
            raise ValueError(f"slot {slot} is empty")
        return state
