"""Which token sequences a request keeps while it is decoded: bookkeeping without model or tensors.

Beam search as in Hugging Face's ``generate`` with ``early_stopping=False``, and greedy decoding as
its smallest case. The beams of a request stand in rows of the batch; this module says which row is
to be copied where, and whoever owns the rows copies them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Candidates(NamedTuple):
    """The likeliest next tokens of one row, best first, and the natural logs of their shares."""

    token_ids: Sequence[int]
    log_probabilities: Sequence[float]


@dataclass(frozen=True)
class Beam:
    """One sequence of tokens, running or finished.

    Attributes:
        token_ids: The end mark included, once it is there.
        rows: The row that decided each token: the beam's way through the batch.
        log_probability: Sum over the tokens.
    """

    token_ids: tuple[int, ...] = ()
    rows: tuple[int, ...] = ()
    log_probability: float = 0.0

    def score(self, length_penalty: float) -> float:
        """``log_probability / length ** length_penalty``, the end mark counted in the length."""
        divisor: float = len(self.token_ids) ** length_penalty
        return self.log_probability / divisor


class RowCopy(NamedTuple):
    """Row ``target`` goes on as a copy of ``source``; no target is the source of another copy."""

    source: int
    target: int


class Advance(NamedTuple):
    """What one step changed: beams that finished in it, and the rows to copy before the next."""

    finished: list[Beam]
    copies: list[RowCopy]


class BeamSearch:
    """The search of one request over its rows.

    Every step extends each running beam by its candidates and ranks all of them by the sum of their
    log-probabilities; ties keep the order of the beams. Of the best ``2 * num_beams``, those with
    the end mark finish if they are among the first ``num_beams`` and are dropped if not, and the
    first ``num_beams`` others run on. At ``max_new_tokens`` the first ``num_beams`` finish as they
    are. The ``num_beams`` finished beams with the best ``Beam.score`` are kept. The search ends
    when nothing runs, or when there are that many and none scores lower than the likeliest running
    beam does at its present length. A longer one might still overtake it: this is Hugging Face's
    ``early_stopping=False`` and not its ``"never"``, which seldom ends before ``max_new_tokens``.

    With one row that is offered one candidate a step this is greedy decoding; the log-probability
    is then of no consequence.

    Attributes:
        rows: Rows that belong to the request; the first runs alone in the first step.
        beams: Running beams by the row they stand in, likeliest first; empty when done.
        finished: Finished beams, best first.
    """

    def __init__(
        self, rows: Sequence[int], max_new_tokens: int, end_id: int, length_penalty: float = 1.0
    ) -> None:
        """A search of ``len(rows)`` beams."""
        self.rows = tuple(rows)
        self.beams: dict[int, Beam] = {self.rows[0]: Beam()}
        self.finished: list[Beam] = []
        self._max_new_tokens = max_new_tokens
        self._end_id = end_id
        self._length_penalty = length_penalty

    @property
    def is_done(self) -> bool:
        """True once nothing runs any more."""
        return not self.beams

    @property
    def parents(self) -> set[int]:
        """Rows whose newest token some running beam goes on from."""
        return {beam.rows[-1] for beam in self.beams.values() if beam.rows}

    @property
    def leader(self) -> Beam:
        """The likeliest running beam; the best finished one when done."""
        return next(iter(self.beams.values())) if self.beams else self.finished[0]

    def advance(self, candidates: Mapping[int, Candidates]) -> Advance:
        """Take one step.

        Args:
            candidates: For each row of ``beams``: at least its ``2 * num_beams`` likeliest tokens
                (or all there are), or the one that greedy decoding takes.
        """
        num_beams = len(self.rows)
        running: list[Beam] = []
        finished: list[Beam] = []
        for place, beam in enumerate(self._extend(candidates)):
            is_cut = len(beam.token_ids) >= self._max_new_tokens
            if is_cut or beam.token_ids[-1] == self._end_id:
                if place < num_beams:
                    finished.append(beam)
            elif len(running) < num_beams:
                running.append(beam)
        ranked = sorted([*self.finished, *finished], key=self._score, reverse=True)
        self.finished = ranked[:num_beams]
        return Advance(finished, self._place([] if self._is_settled(running) else running))

    def _extend(self, candidates: Mapping[int, Candidates]) -> list[Beam]:
        """The ``2 * num_beams`` likeliest extensions of the running beams, best first."""
        width = 2 * len(self.rows)
        extensions = [
            (beam.log_probability + log_probability, row, token_id)
            for row, beam in self.beams.items()
            for token_id, log_probability in zip(
                candidates[row].token_ids[:width],
                candidates[row].log_probabilities[:width],
                strict=True,
            )
        ]
        extensions.sort(key=lambda extension: -extension[0])  # stable: ties keep their order
        return [
            Beam((*self.beams[row].token_ids, token_id), (*self.beams[row].rows, row), total)
            for total, row, token_id in extensions[:width]
        ]

    def _is_settled(self, running: Sequence[Beam]) -> bool:
        if not running or len(self.finished) < len(self.rows):
            return not running
        return self._score(self.finished[-1]) >= self._score(running[0])

    def _score(self, beam: Beam) -> float:
        return beam.score(self._length_penalty)

    def _place(self, running: Sequence[Beam]) -> list[RowCopy]:
        """Give the beams rows: the first of a parent stays, others take rows nobody needs."""
        parents = {beam.rows[-1] for beam in running}
        free = iter([row for row in self.rows if row not in parents])
        placed: dict[int, Beam] = {}
        copies: list[RowCopy] = []
        for beam in running:
            row = parent = beam.rows[-1]
            if parent in placed:
                row = next(free)
                copies.append(RowCopy(parent, row))
            placed[row] = beam
        self.beams = placed
        return copies
