"""What the result cache counts about itself, and its form for Prometheus."""

from collections import Counter
from collections.abc import Iterable
from enum import Enum
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serve.cache.breaker import BreakerState


class CacheEvent(Enum):
    """What may happen to the cache; each is counted."""

    HIT = "hit"
    MISS = "miss"
    STORED = "stored"
    COALESCED = "coalesced"
    """An answer shared by requests of one replica."""
    COALESCED_REPLICAS = "coalesced_replicas"
    """An answer that another replica was computing."""
    WAITED_IN_VAIN = "waited_in_vain"
    """That replica did not answer in time."""
    CORRUPTED = "corrupted"
    TOO_LARGE = "too_large"
    ERROR = "error"
    """The backend failed."""
    SKIPPED = "skipped"
    """Not asked, since it failed a moment ago."""


CacheCounts = Counter[CacheEvent]


class Counted(Protocol):
    """What is read at each scrape; ``serve.cache.result_cache.ResultCache`` has it."""

    @property
    def counts(self) -> CacheCounts: ...
    @property
    def breaker_state(self) -> BreakerState: ...


class _CacheCollector(Collector):
    def __init__(self, cache: Counted) -> None:
        self._cache = cache

    def collect(self) -> Iterable[Metric]:
        """Every event, those that never happened as 0, and the state of the breaker."""
        events = CounterMetricFamily(
            "offramp_result_cache_events", "What happened to the result cache.", labels=["event"]
        )
        for event in CacheEvent:
            events.add_metric([event.value], self._cache.counts[event])
        breaker = GaugeMetricFamily(
            "offramp_result_cache_breaker", "1 for the state of its circuit breaker.",
            labels=["state"],
        )  # fmt: skip
        for state in BreakerState:
            breaker.add_metric([state.value], float(state is self._cache.breaker_state))
        yield from (events, breaker)


def watch_cache(registry: CollectorRegistry, cache: Counted) -> None:
    """Adds the cache's counts to what ``registry`` shows."""
    registry.register(_CacheCollector(cache))
