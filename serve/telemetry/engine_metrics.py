"""What the engine does, as Prometheus metrics: queue, slots, encoder batches and decoding steps."""

from prometheus_client import CollectorRegistry, Gauge, Histogram

from serve.engine import Engine
from serve.telemetry.engine_observer import EngineObserver

WAIT_BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
STEP_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56)
ROW_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class EngineMetrics(EngineObserver):
    """Gauges read from an engine, and histograms of what it tells; it observes the engine."""

    def __init__(self, engine: Engine, registry: CollectorRegistry) -> None:
        self._wait = Histogram(
            "offramp_queue_wait_seconds", "Time in the queue of requests that left it for a slot.",
            buckets=WAIT_BUCKETS_S, registry=registry,
        )  # fmt: skip
        self._batch_seconds = Histogram(
            "offramp_encoder_batch_seconds", "Time to encode the requests admitted together.",
            buckets=STEP_BUCKETS_S, registry=registry,
        )  # fmt: skip
        self._batch_requests = Histogram(
            "offramp_encoder_batch_requests", "Requests encoded together.",
            buckets=ROW_BUCKETS, registry=registry,
        )  # fmt: skip
        self._step_seconds = Histogram(
            "offramp_step_seconds", "Time of one decoding step.",
            buckets=STEP_BUCKETS_S, registry=registry,
        )  # fmt: skip
        self._step_rows = Histogram(
            "offramp_step_rows", "Slots occupied in a decoding step.",
            buckets=ROW_BUCKETS, registry=registry,
        )  # fmt: skip
        gauges = {
            ("offramp_queue_length", "Requests waiting for a slot."): lambda: engine.num_waiting,
            ("offramp_slots_in_use", "Occupied slots."): lambda: engine.num_running,
            ("offramp_slots", "Slots there are."): lambda: engine.num_slots,
        }
        for (name, text), read in gauges.items():
            Gauge(name, text, registry=registry).set_function(read)
        engine.observer = self

    def note_wait(self, wait_s: float) -> None:
        self._wait.observe(wait_s)

    def note_encoder_batch(self, num_requests: int, duration_s: float) -> None:
        self._batch_seconds.observe(duration_s)
        self._batch_requests.observe(num_requests)

    def note_step(self, num_rows: int, duration_s: float) -> None:
        self._step_seconds.observe(duration_s)
        self._step_rows.observe(num_rows)
