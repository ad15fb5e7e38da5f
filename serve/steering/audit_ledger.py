"""What audits found of each preset, and which presets are not trusted any more.

A preset is judged by its last audits for one task. It loses trust when even the upper bound of its
estimated quality is below the floor, so that a few unlucky photos do not do it, and gets it back
only from the operator: it is not asked any more, so nothing new is learnt of it.
"""

import logging
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from serve.policies.preset_order import next_safer
from serve.steering.agreement import Agreement, upper_bound

logger = logging.getLogger(__name__)


class Audited(NamedTuple):
    """A preset, and the task it was asked for."""

    preset: str
    task: str


class Estimate(NamedTuple):
    """Of the last audits: how many, the share that agreed, mean likeness and its upper bound."""

    num_audits: int
    agreement: float
    quality: float
    quality_high: float


@dataclass(frozen=True)
class AuditLimits:
    """How presets are judged.

    Attributes:
        caption_floor: Least mean likeness of captions.
        label_floor: Least share of equal labels.
        window: How many of the last audits count.
        min_audits: How many there have to be.
    """

    caption_floor: float = 0.7
    label_floor: float = 0.8
    window: int = 400
    min_audits: int = 50


@dataclass
class _Record:
    found: deque[Agreement]
    floor: float
    is_trusted: bool = True

    def estimate(self) -> Estimate:
        likeness = [one.likeness for one in self.found]
        count = len(likeness)
        agreement = sum(one.is_same for one in self.found) / count
        return Estimate(count, agreement, sum(likeness) / count, upper_bound(likeness))


@dataclass
class AuditLedger:
    """The audits of one replica."""

    limits: AuditLimits
    _records: dict[Audited, _Record] = field(default_factory=dict)

    def note(self, audited: Audited, found: Agreement, has_labels: bool) -> None:
        """Takes in one audit; the preset may lose its trust by it."""
        if audited not in self._records:
            floor = self.limits.label_floor if has_labels else self.limits.caption_floor
            self._records[audited] = _Record(deque(maxlen=self.limits.window), floor)
        record = self._records[audited]
        record.found.append(found)
        if record.is_trusted and len(record.found) >= self.limits.min_audits:
            record.is_trusted = record.estimate().quality_high >= record.floor
            if not record.is_trusted:
                logger.warning("%s", self._sentence(audited, record))

    def is_trusted(self, preset: str, task: str) -> bool:
        """False once audits have shown the preset to be below the floor for the task."""
        record = self._records.get(Audited(preset, task))
        return record is None or record.is_trusted

    def estimates(self) -> dict[Audited, Estimate]:
        """What is known, of everything that was audited."""
        return {audited: record.estimate() for audited, record in self._records.items()}

    def warnings(self) -> list[str]:
        """A sentence for each preset that is not trusted."""
        return [
            self._sentence(audited, record)
            for audited, record in self._records.items()
            if not record.is_trusted
        ]

    def reset(self) -> None:
        """Forgets all audits and trusts every preset again."""
        self._records.clear()

    def _sentence(self, audited: Audited, record: _Record) -> str:
        estimate = record.estimate()
        return (
            f"preset {audited.preset} is not used for {audited.task}: audits find it too far from "
            f"full depth (quality {estimate.quality:.2f}, at most {estimate.quality_high:.2f}, "
            f"floor {record.floor:g}, {estimate.num_audits} audits); requests get "
            f"{next_safer(audited.preset)} or safer"
        )
