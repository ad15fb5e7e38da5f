"""What the service counts about itself, in Prometheus' form, in a registry of its own.

One registry per replica: a scrape through the proxy reaches one of them, so several replicas are
read through Ray's own metrics, or by asking often.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from serve.engine import Engine
from serve.schemas import ExitTrace

LATENCY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
DEPTH_BUCKETS = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 48)


class ServiceMetrics:
    """Counters, gauges and histograms of one replica."""

    def __init__(self, engine: Engine) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "offramp_requests", "Answers by route and status.", ["route", "status"],
            registry=self.registry,
        )  # fmt: skip
        self._latency = Histogram(
            "offramp_request_seconds", "Time to the answer, by route.", ["route"],
            buckets=LATENCY_BUCKETS_S, registry=self.registry,
        )  # fmt: skip
        self._cache = Counter(
            "offramp_cache", "Answers by cache state.", ["state"], registry=self.registry
        )
        self._depth = Histogram(
            "offramp_exit_depth", "Layers run, by exit site, of computed answers.", ["site"],
            buckets=DEPTH_BUCKETS, registry=self.registry,
        )  # fmt: skip
        self._watch(engine)

    def _watch(self, engine: Engine) -> None:
        gauges = {
            ("offramp_queue_length", "Requests waiting for a slot."): lambda: engine.num_waiting,
            ("offramp_slots_in_use", "Occupied slots."): lambda: engine.num_running,
            ("offramp_slots", "Slots there are."): lambda: engine.num_slots,
        }
        for (name, text), read in gauges.items():
            Gauge(name, text, registry=self.registry).set_function(read)

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Notes one HTTP answer."""
        self._requests.labels(route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def count_answer(self, cache_state: str, trace: ExitTrace) -> None:
        """Notes one answer of the model; depths only where they were computed now."""
        self._cache.labels(cache_state).inc()
        if cache_state in ("hit", "coalesced"):
            return
        for site, modality in (("image", trace.encoder.image), ("text", trace.encoder.text)):
            if modality.depth:  # 0: the request had no such input
                self._depth.labels(site).observe(modality.depth)
        for token in trace.decoder.tokens:
            self._depth.labels("decoder").observe(token.depth)

    def render(self) -> bytes:
        """The text a Prometheus scrape reads."""
        return generate_latest(self.registry)
