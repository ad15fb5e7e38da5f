"""The encoder at run time: each row of a modality runs until its policy lets it leave.

Rows that left are taken out of the batch, so that a layer costs only the rows still in it.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class EncodedModality:
    """One modality after the encoder.

    Attributes:
        hidden: ``(B, T, D)`` each row's states at the depth where it left.
        traces: Per row.
    """

    hidden: Tensor
    traces: tuple[ModalityTrace, ...]


def encode_modality(
    run_layer: RunLayer,
    num_layers: int,
    embedded: Tensor,
    mask: Tensor | None,
    policies: Sequence[ExitPolicy],
) -> EncodedModality:
    """Run one modality with a policy per row.

    Args:
        run_layer: ``(layer, hidden, mask) -> hidden`` of the backbone.
        num_layers: Layers there are.
        embedded: ``(B, T, D)`` encoder input.
        mask: ``(B, T)`` True at real tokens; None when all are.
        policies: One per row.
    """
    board = ScoreBoard(len(policies), num_layers)
    groups = number_groups(policies)
    depths = np.zeros(len(policies), dtype=np.int64)
    final = torch.empty_like(embedded)
    rows = np.arange(len(policies))
    hidden = embedded
    for layer in range(num_layers):
        previous, hidden = hidden, run_layer(layer, hidden, mask)
        leaves = np.zeros(len(rows), dtype=bool)
        for places in group_rows(groups[rows]):
            policy = policies[rows[places[0]]]
            decided: np.ndarray | bool | None
            decided = board.decide_known(policy, layer + 1, rows[places])
            if decided is None:
                signals = _signals(layer + 1, num_layers, hidden, previous, mask, places)
                decided = board.decide(policy, signals, rows[places])
            leaves[places] = decided
        if leaves.any():
            leaving, staying = np.flatnonzero(leaves), np.flatnonzero(~leaves)
            final[torch.from_numpy(rows[leaving]).to(final.device)] = take_rows(hidden, leaving)
            depths[rows[leaving]] = layer + 1
            if not len(staying):
                break
            hidden, rows = take_rows(hidden, staying), rows[staying]
            mask = None if mask is None else take_rows(mask, staying)
    traces = tuple(
        ModalityTrace(int(depth), num_layers, *board.upto(row, int(depth)))
        for row, depth in enumerate(depths)
    )
    return EncodedModality(final, traces)


def _signals(
    depth: int,
    num_layers: int,
    hidden: Tensor,
    previous: Tensor,
    mask: Tensor | None,
    places: np.ndarray,
) -> ExitSignals:
    count = len(places)
    return ExitSignals(
        depth=depth,
        num_layers=num_layers,
        hidden=take_rows(hidden, places),
        previous=take_rows(previous, places),
        mask=None if mask is None else take_rows(mask, places),
        steps=torch.zeros(count, device=hidden.device),
        max_steps=torch.ones(count, device=hidden.device),
    )
