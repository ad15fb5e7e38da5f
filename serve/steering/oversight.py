"""Governor, audits, and the choice of presets that follows from them, wired to one service."""

import random

from prometheus_client import CollectorRegistry

from serve.policies.book import PolicyBook
from serve.settings import ServeSettings
from serve.steering.audit import Auditor, AuditSource
from serve.steering.audit_ledger import AuditLedger, AuditLimits
from serve.steering.governor import Governor, GovernorLimits
from serve.steering.metrics import SteeringMetrics
from serve.steering.preset_choice import Steering


class Oversight:
    """What watches over one service; the engine tells its governor how long requests wait."""

    def __init__(
        self,
        settings: ServeSettings,
        source: AuditSource,
        book: PolicyBook,
        registry: CollectorRegistry,
    ) -> None:
        self.governor = Governor(
            GovernorLimits(
                high_delay_s=settings.governor_high_delay_s,
                low_delay_s=settings.governor_low_delay_s,
                raise_every_s=settings.governor_raise_every_s,
                lower_after_s=settings.governor_lower_after_s,
            ),
            settings.governor,
        )
        self.ledger = AuditLedger(
            AuditLimits(
                caption_floor=settings.audit_caption_floor,
                label_floor=settings.audit_label_floor,
                window=settings.audit_window,
                min_audits=settings.audit_min_count,
            )
        )
        metrics = SteeringMetrics(self.governor, self.ledger, registry)
        self.steering = Steering(
            book, self.governor, self.ledger, settings.default_min_quality, metrics.count_move
        )
        self.auditor = Auditor(
            source, self.ledger, settings.audit_fraction, metrics.count_audit, random.Random()
        )
        source.engine.on_queue_delay = self.governor.hear
