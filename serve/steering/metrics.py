"""Governor and audits as Prometheus metrics."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from serve.policies.book import ChosenPolicy
from serve.steering.audit import AuditResult
from serve.steering.audit_ledger import Audited, AuditLedger
from serve.steering.governor import Governor


class SteeringMetrics:
    """Pressure, presets that were moved, and what audits found."""

    def __init__(
        self, governor: Governor, ledger: AuditLedger, registry: CollectorRegistry
    ) -> None:
        gauges = {
            ("offramp_governor_pressure", "Steps towards cheaper presets."): lambda: (
                governor.pressure.level
            ),
            ("offramp_governor_delay_seconds", "Smoothed wait of the queue's head."): lambda: (
                governor.pressure.smoothed_s
            ),
        }
        for (name, text), read in gauges.items():
            Gauge(name, text, registry=registry).set_function(read)
        self._moves = Counter(
            "offramp_preset_moves", "Requests that got another preset than they asked for.",
            ["task", "asked", "preset", "reason"], registry=registry,
        )  # fmt: skip
        self._audits = Counter(
            "offramp_audit", "Answers chosen for an audit, by what became of it.",
            ["task", "preset", "result"], registry=registry,
        )  # fmt: skip
        registry.register(_LedgerCollector(ledger))

    def count_move(self, moved: ChosenPolicy, task: str) -> None:
        """Notes a request whose preset is not the one it asked for."""
        names = (moved.asked or "", moved.name or "", moved.reason or "")
        self._moves.labels(task, *names).inc()

    def count_audit(self, audited: Audited, result: AuditResult) -> None:
        """Notes how an audit went."""
        self._audits.labels(audited.task, audited.preset, result).inc()


class _LedgerCollector(Collector):
    """What the ledger knows at the time of a scrape."""

    def __init__(self, ledger: AuditLedger) -> None:
        self._ledger = ledger

    def collect(self) -> Iterator[Metric]:
        labels = ["task", "preset"]
        agreement = GaugeMetricFamily(
            "offramp_audit_agreement", "Share of the last audits with the same answer.",
            labels=labels,
        )  # fmt: skip
        quality = GaugeMetricFamily(
            "offramp_audit_quality", "Mean likeness to full depth in the last audits.",
            labels=labels,
        )  # fmt: skip
        high = GaugeMetricFamily(
            "offramp_audit_quality_high", "Upper bound of that likeness.", labels=labels
        )
        trusted = GaugeMetricFamily(
            "offramp_audit_trusted", "0 once the preset was found below its floor.", labels=labels
        )
        for audited, estimate in self._ledger.estimates().items():
            names = [audited.task, audited.preset]
            agreement.add_metric(names, estimate.agreement)
            quality.add_metric(names, estimate.quality)
            high.add_metric(names, estimate.quality_high)
            is_trusted = self._ledger.is_trusted(audited.preset, audited.task)
            trusted.add_metric(names, float(is_trusted))
        yield from (agreement, quality, high, trusted)
