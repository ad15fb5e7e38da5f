"""The encoder at run time: each row of a modality runs until its policy lets it leave.

Rows that left are taken out of the batch, so that a layer costs only the rows still in it.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from model_core.policies import ExitPolicy, ExitSignals, decide, decides_to_leave
from model_core.types import ModalityTrace

RunLayer = Callable[[int, Tensor, Tensor | None], Tensor]


class ScoreBoard:
    """Scores and thresholds per row and depth, for the traces.

    Below the first exit no policy is asked: the score there is 0 and the threshold 1, as where a
    policy can not fire.
    """

    def __init__(self, num_rows: int, num_layers: int, first_exit_depth: int = 1) -> None:
        self.scores = np.zeros((num_rows, num_layers))
        self.thresholds = np.zeros((num_rows, num_layers))
        self.thresholds[:, : first_exit_depth - 1] = 1.0
        self.first_exit_depth = first_exit_depth

    @property
    def num_layers(self) -> int:
        """Depths that can be written down."""
        return self.scores.shape[1]

    def upto(self, row: int, depth: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Scores and thresholds of ``row`` at depths 1..``depth``."""
        return tuple(self.scores[row, :depth].tolist()), tuple(
            self.thresholds[row, :depth].tolist()
        )

    def traces(self, depths: np.ndarray) -> tuple[ModalityTrace, ...]:
        """The trace of each row, which left at its ``(B,)`` depth."""
        return tuple(
            ModalityTrace(int(depth), self.num_layers, *self.upto(row, int(depth)))
            for row, depth in enumerate(depths)
        )

    def first_decision(self, policy: ExitPolicy, rows: np.ndarray) -> int:
        """The first exit at which ``rows`` may leave, or at which the policy has to see them.

        Below it nothing need be asked: their scores are written here.
        """
        for depth in range(self.first_exit_depth, self.scores.shape[1]):
            if self.decide_known(policy, depth, rows) is not False:
                return depth
        return self.scores.shape[1]

    def decide_known(self, policy: ExitPolicy, depth: int, rows: np.ndarray) -> bool | None:
        """Whether ``rows`` leave at ``depth``, where the policy need not see them; else None."""
        known = policy.known_score(depth)
        if known is None:
            return None
        self.scores[rows, depth - 1], self.thresholds[rows, depth - 1] = known
        return decides_to_leave(policy, known, depth, self.scores.shape[1])

    def decide(self, policy: ExitPolicy, signals: ExitSignals, rows: np.ndarray) -> np.ndarray:
        """``(B,)`` True where ``rows`` leave; one transfer from the device."""
        decision = decide(policy, signals)
        on_host = torch.stack(
            [decision.exit_mask.to(decision.scores.dtype), decision.scores, decision.thresholds]
        ).to("cpu", torch.float64)
        leaves, scores, thresholds = on_host.numpy()
        self.scores[rows, signals.depth - 1] = scores
        self.thresholds[rows, signals.depth - 1] = thresholds
        return np.asarray(leaves > 0)


def number_groups(keys: Sequence[Hashable]) -> np.ndarray:
    """``(B,)`` one number for all rows whose keys are equal: a batch may hold many policies."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def group_rows(numbers: np.ndarray) -> list[np.ndarray]:
    """Places of each number in ``(R,)`` numbers of groups."""
    if (numbers == numbers[0]).all():
        return [np.arange(len(numbers))]
    return [np.flatnonzero(numbers == number) for number in np.unique(numbers)]


def take_rows(values: Tensor, places: np.ndarray) -> Tensor:
    """``values[places]``, without a copy when it is all of them in order."""
    if len(places) == len(values):
        return values
    return values.index_select(0, torch.from_numpy(places).to(values.device))


class EncoderHead(Protocol):
    """Exit heads of an encoder, for labels of which several may hold (``tag_heads``)."""

    def features(self, depth: int, states: Tensor) -> Tensor:
        """``(B, D)`` exit features of ``(B, T, D)`` states at ``depth``."""

    def logits(self, depth: int, features: Tensor) -> Tensor:
        """``(B, N)`` log odds of exit features at ``depth``."""


class EncodedRow(NamedTuple):
    """``(T, D)`` states of one row where it left, its trace, and ``(N,)`` logits if it has any."""

    hidden: Tensor
    trace: ModalityTrace
    logits: Tensor | None = None


@dataclass(frozen=True)
class EncodedModality:
    """One modality after the encoder.

    Attributes:
        hidden: ``(B, T, D)`` each row's states at the depth where it left.
        traces: Per row.
        logits: Per row, ``(N,)`` what the exit head says of its states; None without a head.
    """

    hidden: Tensor
    traces: tuple[ModalityTrace, ...]
    logits: tuple[Tensor | None, ...]

    def rows(self, lengths: Sequence[int] | None = None) -> list[EncodedRow]:
        """One by one; ``lengths`` says how many tokens of each are real, all when None."""
        limits = lengths or [self.hidden.shape[1]] * len(self.traces)
        return [
            EncodedRow(hidden[:length], trace, logits)
            for hidden, trace, logits, length in zip(
                self.hidden, self.traces, self.logits, limits, strict=True
            )
        ]


@dataclass(frozen=True)
class EncoderDepth:
    """The rows still running at one depth; what the exit head says of them is read once."""

    depth: int
    num_layers: int
    hidden: Tensor
    previous: Tensor
    mask: Tensor | None
    head: EncoderHead | None
    read: dict[int, Tensor] = field(default_factory=dict)

    def signals(self, places: np.ndarray, has_head: bool = True) -> ExitSignals:
        """What a policy sees of the rows at ``places``, all with the exit head or all without."""
        hidden, head = take_rows(self.hidden, places), self.head if has_head else None
        return ExitSignals(
            depth=self.depth,
            num_layers=self.num_layers,
            hidden=hidden,
            previous=take_rows(self.previous, places),
            mask=None if self.mask is None else take_rows(self.mask, places),
            steps=torch.zeros(len(places), device=hidden.device),
            max_steps=torch.ones(len(places), device=hidden.device),
            compute_features=None if head is None else partial(head.features, self.depth, hidden),
            compute_logits=None if head is None else partial(head.logits, self.depth),
            has_many_labels=head is not None,
        )

    def decide(
        self,
        board: ScoreBoard,
        policy: ExitPolicy,
        places: np.ndarray,
        rows: np.ndarray,
        has_head: bool,
    ) -> np.ndarray | bool:
        """Which of the rows at ``places``, whose numbers are ``rows``, leave here."""
        known = board.decide_known(policy, self.depth, rows)
        if known is not None:
            return known
        signals = self.signals(places, has_head)
        decided = board.decide(policy, signals, rows)
        if signals.has_logits:
            self.read.update(zip(places.tolist(), signals.logits(), strict=True))
        return decided

    def logits(self, places: np.ndarray) -> list[Tensor]:
        """``(N,)`` each, of the rows at ``places``; what no policy has read is read now."""
        missing = np.array([place for place in places.tolist() if place not in self.read])
        if len(missing):
            logits = self.signals(missing).logits()
            self.read.update(zip(missing.tolist(), logits, strict=True))
        return [self.read[place] for place in places.tolist()]


def encode_modality(
    run_layer: RunLayer,
    num_layers: int,
    embedded: Tensor,
    mask: Tensor | None,
    policies: Sequence[ExitPolicy],
    head: EncoderHead | None = None,
    has_head: Sequence[bool] | None = None,
) -> EncodedModality:
    """Run one modality with a policy per row.

    Args:
        run_layer: ``(layer, hidden, mask) -> hidden`` of the backbone.
        num_layers: Layers there are.
        embedded: ``(B, T, D)`` encoder input.
        mask: ``(B, T)`` True at real tokens; None when all are.
        policies: One per row.
        head: Exit heads that policies may read, and that answer where a row leaves.
        has_head: Which rows have them; all when None.
    """
    board = ScoreBoard(len(policies), num_layers)
    has_heads = [head is not None] * len(policies) if has_head is None else has_head
    groups = number_groups(list(zip(policies, has_heads, strict=True)))
    depths = np.zeros(len(policies), dtype=np.int64)
    final = torch.empty_like(embedded)
    logits: dict[int, Tensor] = {}
    rows = np.arange(len(policies))
    hidden = embedded
    for layer in range(num_layers):
        previous, hidden = hidden, run_layer(layer, hidden, mask)
        here = EncoderDepth(layer + 1, num_layers, hidden, previous, mask, head)
        leaves = np.zeros(len(rows), dtype=bool)
        for places in group_rows(groups[rows]):
            policy, reads_head = policies[rows[places[0]]], has_heads[rows[places[0]]]
            leaves[places] = here.decide(board, policy, places, rows[places], reads_head)
            if reads_head:
                left = places[leaves[places]]
                logits.update(zip(rows[left].tolist(), here.logits(left), strict=True))
        if leaves.any():
            leaving, staying = np.flatnonzero(leaves), np.flatnonzero(~leaves)
            final[torch.from_numpy(rows[leaving]).to(final.device)] = take_rows(hidden, leaving)
            depths[rows[leaving]] = layer + 1
            if not len(staying):
                break
            hidden, rows = take_rows(hidden, staying), rows[staying]
            mask = None if mask is None else take_rows(mask, staying)
    in_order = tuple(logits.get(row) for row in range(len(depths)))
    return EncodedModality(final, board.traces(depths), in_order)
