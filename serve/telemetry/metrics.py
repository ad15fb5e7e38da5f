"""What the service counts about itself, in Prometheus' form, in a registry of its own.

One registry per replica. Every series carries the replica's name as a label, so that counters of
several replicas never mix, whichever of them a scrape reaches.
"""

from collections.abc import Iterator
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, Metric, generate_latest
from prometheus_client.registry import Collector

from serve.engine import Engine
from serve.schemas import CacheState, ExitTrace
from serve.telemetry.engine_metrics import EngineMetrics
from serve.telemetry.logs import EXPLICIT_POLICY

LATENCY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
DEPTH_BUCKETS = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 48)


class ModelNames(Protocol):
    """What ``offramp_model_info`` says of the model."""

    @property
    def name(self) -> str: ...
    @property
    def hash(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def weights(self) -> str: ...


class ServiceMetrics:
    """Counters, gauges and histograms of one replica."""

    def __init__(self, engine: Engine, model: ModelNames) -> None:
        self.registry = CollectorRegistry()
        self.replica: str | None = None
        self._requests = self._counter("requests", "HTTP answers.", "route", "status")
        self._errors = self._counter("errors", "Errors by their code.", "code")
        self._latency = Histogram(
            "offramp_request_seconds", "Time to the end of the answer.", ["route"],
            buckets=LATENCY_BUCKETS_S, registry=self.registry,
        )  # fmt: skip
        self._cache = self._counter("cache", "Answers by cache state.", "state")
        self._answers = self._counter("answers", "Answers of the model.", "task", "preset")
        self._depth = Histogram(
            "offramp_exit_depth", "Layers run, by exit site, of computed answers.", ["site"],
            buckets=DEPTH_BUCKETS, registry=self.registry,
        )  # fmt: skip
        self._layers_run = self._counter("layers_run", "Exit depths, added up.", "site")
        self._layers_full = self._counter("layers_full", "The same at full depth.", "site")
        self._flops_run = self._counter("flops_run", "Floating point operations done.")
        self._flops_full = self._counter("flops_full", "The same answers' at full depth.")
        Info("offramp_model", "The weights that answer.", registry=self.registry).info(
            {
                "name": model.name,
                "hash": model.hash,
                "device": model.device,
                "dtype": model.dtype,
                "weights": model.weights,
            }
        )
        EngineMetrics(engine, self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"offramp_{name}", text, labels, registry=self.registry)

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Notes one HTTP answer."""
        self._requests.labels(route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def count_error(self, code: str) -> None:
        """Notes one error by its code."""
        self._errors.labels(code).inc()

    def count_answer(
        self, task: str, preset: str | None, cache_state: CacheState, trace: ExitTrace
    ) -> None:
        """Notes one answer of the model; depths and costs only where they were computed now."""
        self._answers.labels(task, preset or EXPLICIT_POLICY).inc()
        self._cache.labels(cache_state).inc()
        if cache_state in ("hit", "coalesced"):
            return
        for site, modality in (("image", trace.encoder.image), ("text", trace.encoder.text)):
            # Depth 0: the request had no such input. Kept for the whole model: nothing ran.
            if modality.depth and not modality.from_cache:
                self._count_depth(site, modality.depth, modality.num_layers)
        for token in trace.decoder.tokens:
            self._count_depth("decoder", token.depth, trace.decoder.num_layers)
        self._flops_run.inc(trace.cost.flops)
        self._flops_full.inc(trace.cost.flops_full)

    def _count_depth(self, site: str, depth: int, num_layers: int) -> None:
        self._depth.labels(site).observe(depth)
        self._layers_run.labels(site).inc(depth)
        self._layers_full.labels(site).inc(num_layers)

    @property
    def collector(self) -> Collector:
        """Everything in the registry, with the replica's name on each series."""
        return _OfReplica(self.registry, self.replica)

    def render(self) -> bytes:
        """The text a Prometheus scrape reads."""
        return generate_latest(self.collector)


class _OfReplica(Collector):
    """The metrics of a registry with the replica's name on every sample."""

    def __init__(self, registry: CollectorRegistry, replica: str | None) -> None:
        self._registry = registry
        self._labels = {} if replica is None else {"replica": replica}

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            family.samples = [
                sample._replace(labels={**sample.labels, **self._labels})
                for sample in family.samples
            ]
            yield family
