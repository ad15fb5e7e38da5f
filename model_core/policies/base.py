"""What an exit policy sees, and the one comparison every exit goes through.

A policy is a frozen pydantic model: its fields are its YAML form, its methods are pure. It keeps
no state of a request, so that one object serves any batch. ``score`` says how safe stopping is,
higher is safer, for every policy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple, Self

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

CARRIED_DTYPE = torch.float32  # holds ids of word pieces exactly, whatever the model computes in


class ExitSite(StrEnum):
    """Where a policy may be asked: each modality of the encoder, and the decoder."""

    IMAGE = "image"
    TEXT = "text"
    DECODER = "decoder"


@dataclass
class ExitSignals:
    """What is known of a group of rows at one depth.

    Attributes:
        depth: Layers already run, 1..L.
        num_layers: L.
        hidden: ``(B, T, D)`` states after ``depth`` layers (T = 1 in the decoder).
        previous: ``(B, T, D)`` states one layer earlier (the embedding at depth 1).
        mask: ``(B, T)``, True at real tokens; None when all are.
        steps: ``(B,)`` 0-based decoding step of each row; zeros in the encoder.
        max_steps: ``(B,)`` most steps each row may take; ones in the encoder.
        compute_features: Gives the ``(B, D)`` exit features here; None where there is no
            exit head. Like the next two it is called at most once, and only when a policy asks.
        compute_logits: Gives the ``(B, V)`` logits of these features.
        compute_learned: Gives the ``(B,)`` score of the heads that were trained for a kind of
            policy, from these signals.
        has_many_labels: True where the logits are log odds of labels of which several may hold, and
            not of one choice.
        carried: ``(B, C)`` what the policy left here one depth earlier, which its score replaces;
            None before the first depth, and for a policy that carries nothing.
    """

    depth: int
    num_layers: int
    hidden: Tensor
    previous: Tensor
    mask: Tensor | None
    steps: Tensor
    max_steps: Tensor
    compute_features: Callable[[], Tensor] | None = None
    compute_logits: Callable[[Tensor], Tensor] | None = None
    compute_learned: "Callable[[str, ExitSignals], Tensor] | None" = None
    has_many_labels: bool = False
    carried: Tensor | None = None
    _features: Tensor | None = field(default=None, repr=False)
    _logits: Tensor | None = field(default=None, repr=False)
    _learned: dict[str, Tensor] = field(default_factory=dict, repr=False)

    @property
    def num_rows(self) -> int:
        """Rows in this group."""
        return self.hidden.shape[0]

    def carried_from_before(self, count: int) -> Tensor:
        """``(B, count)`` what the policy carried here; zeros where nothing has been yet."""
        if self.carried is None:
            return self.hidden.new_zeros(self.num_rows, count, dtype=CARRIED_DTYPE)
        return self.carried

    @property
    def has_features(self) -> bool:
        """True once the exit features of this depth are there, for whoever leaves here."""
        return self._features is not None

    def features(self) -> Tensor:
        """``(B, D)`` exit features at this depth, computed on the first call.

        Raises:
            ValueError: This site has no exit head.
        """
        if self._features is None:
            if self.compute_features is None:
                raise ValueError("this exit site has no head; use a hidden-state policy here")
            self._features = self.compute_features()
        return self._features

    @property
    def has_logits(self) -> bool:
        """True once some policy has paid for the exit head at this depth."""
        return self._logits is not None

    def logits(self) -> Tensor:
        """``(B, V)`` logits of the exit head at this depth, computed on the first call.

        Raises:
            ValueError: This site has no exit head.
        """
        if self._logits is None:
            if self.compute_logits is None:
                raise ValueError("this exit site has no head; use a hidden-state policy here")
            self._logits = self.compute_logits(self.features())
        return self._logits

    def learned_score(self, kind: str) -> Tensor:
        """``(B,)`` score of the heads trained for policies of ``kind``, computed on the first call.

        Raises:
            ValueError: This site has no such heads.
        """
        if kind not in self._learned:
            if self.compute_learned is None:
                raise ValueError(f"this exit site has no learned heads; policy '{kind}' needs them")
            self._learned[kind] = self.compute_learned(kind, self)
        return self._learned[kind]


class KnownScore(NamedTuple):
    """Score and threshold of a policy that looks at nothing but the depth."""

    score: float
    threshold: float


class ExitPolicy(BaseModel):
    """Decides, row by row, whether to stop at a depth.

    A policy keeps no state of a request: what it has to remember from depth to depth is carried
    row by row in the signals (``num_carried`` numbers).
    """

    grid: ClassVar[tuple[float, ...]] = ()
    """Values of its one number, safe to cheap, that calibration and sweeps try."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_depth: int = Field(
        default=1, ge=1, le=1000, description="No exit before this many layers have run."
    )

    @classmethod
    def settings(cls, num_layers: int, first_exit: int = 1) -> Sequence[Self]:  # noqa: ARG003
        """Policies to try where exits stand at depths ``first_exit`` to ``num_layers``.

        Safe to cheap; full depth is not among them.
        """
        return [cls.model_validate({"threshold": value}) for value in cls.grid]

    @property
    def num_carried(self) -> int:
        """How many numbers it carries from depth to depth for each row."""
        return 0

    @property
    def needs_logits(self) -> bool:
        """True when the score reads the exit head, which most sites of an encoder do not have."""
        return False

    @property
    def reads_many_labels(self) -> bool:
        """True when the score can also read a head of labels of which several may hold."""
        return False

    @property
    def needs_features(self) -> bool:
        """True when the score reads the exit features, of which logits are made."""
        return self.needs_logits

    @property
    def learned_kind(self) -> str | None:
        """Kind of the learned heads that give the score (``model_core.policy_heads``), if any."""
        return None

    def known_score(self, depth: int) -> KnownScore | None:  # noqa: ARG002
        """Score and threshold at ``depth`` where nothing else is needed to tell; else None.

        Such a policy costs a running model nothing: no tensor is touched for it.
        """
        return None

    def score(self, signals: ExitSignals) -> Tensor:
        """``(B,)`` how safe it is to stop here, higher is safer."""
        return signals.hidden.new_full((signals.num_rows,), self._known(signals).score)

    def thresholds(self, signals: ExitSignals) -> Tensor:
        """``(B,)`` what the scores are compared with; may depend on the decoding step."""
        return signals.hidden.new_full((signals.num_rows,), self._known(signals).threshold)

    def _known(self, signals: ExitSignals) -> KnownScore:
        known = self.known_score(signals.depth)
        if known is None:
            raise NotImplementedError
        return known


class ThresholdPolicy(ExitPolicy):
    """A policy whose scores are all compared with one number; subclasses say its bounds."""

    threshold: float

    def thresholds(self, signals: ExitSignals) -> Tensor:
        return signals.hidden.new_full((signals.num_rows,), self.threshold)


@dataclass(frozen=True)
class ExitDecision:
    """The outcome at one depth for a group of rows.

    Attributes:
        exit_mask: ``(B,)`` True = leaves here.
        scores: ``(B,)``.
        thresholds: ``(B,)``.
    """

    exit_mask: Tensor
    scores: Tensor
    thresholds: Tensor


def depth_without_exit(policy: ExitPolicy, first_exit: int) -> int | None:
    """The depth that ``policy`` names, where it is below ``first_exit``; else None."""
    depth: int | None = getattr(policy, "depth", None)
    return depth if depth is not None and depth < first_exit else None


def decide(policy: ExitPolicy, signals: ExitSignals) -> ExitDecision:
    """Apply the rule ``score >= threshold``; at the last layer every row leaves."""
    scores = policy.score(signals)
    thresholds = policy.thresholds(signals)
    if (forced := _forced(policy, signals.depth, signals.num_layers)) is None:
        exit_mask = _passes(scores, thresholds)
    else:
        exit_mask = torch.full_like(scores, forced, dtype=torch.bool)
    return ExitDecision(exit_mask, scores, thresholds)


def decides_to_leave(policy: ExitPolicy, known: KnownScore, depth: int, num_layers: int) -> bool:
    """What ``decide`` says to every row of a policy whose score at ``depth`` is ``known``."""
    forced = _forced(policy, depth, num_layers)
    return _passes(known.score, known.threshold) if forced is None else forced


def _passes(score: Any, threshold: Any) -> Any:
    return score >= threshold


def _forced(policy: ExitPolicy, depth: int, num_layers: int) -> bool | None:
    """True at the last layer, False before the policy may fire, None where the score decides."""
    if depth >= num_layers:
        return True
    return False if depth < policy.min_depth else None
