"""The engine's metrics, on slots without a model."""

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from serve.engine import Engine, EngineLimits
from serve.telemetry.engine_metrics import EngineMetrics
from serve.telemetry.engine_observer import Timeline
from tests.serve.fakes import FakeRequest, FakeSlots, Gate
from tests.serve.test_engine import WAIT_S, wait_until


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture
def engine(gate: Gate) -> Iterator[Engine]:
    engine = Engine(lambda: FakeSlots(4, gate), EngineLimits())
    yield engine
    gate.open()
    engine.close(drain_s=1.0)


@pytest.fixture
def registry(engine: Engine) -> CollectorRegistry:
    registry = CollectorRegistry()
    EngineMetrics(engine, registry)
    return registry


def test_gauges_follow_queue_and_slots(
    engine: Engine, registry: CollectorRegistry, gate: Gate
) -> None:
    futures = [engine.submit(FakeRequest("beams", 1, num_beams=3))]
    wait_until(lambda: engine.num_running == 3)
    futures.append(engine.submit(FakeRequest("waits", 1, num_beams=2)))
    names = ("offramp_queue_length", "offramp_slots_in_use", "offramp_slots")
    assert [registry.get_sample_value(name) for name in names] == [1.0, 3.0, 4.0]
    gate.open()
    for future in futures:
        future.result(WAIT_S)
    wait_until(lambda: engine.num_running == 0)
    assert [registry.get_sample_value(name) for name in names] == [0.0, 0.0, 4.0]


def test_batches_steps_and_waits_are_counted(
    engine: Engine, registry: CollectorRegistry, gate: Gate
) -> None:
    first = engine.submit(FakeRequest("first", 2))
    wait_until(lambda: engine.num_running == 1)
    others = [engine.submit(FakeRequest(name, 1)) for name in "ab"]
    gate.open()
    for future in (first, *others):
        future.result(WAIT_S)
    sums = {
        "offramp_encoder_batch_requests_count": 2.0,  # the first alone, then two together
        "offramp_encoder_batch_requests_sum": 3.0,
        "offramp_encoder_batch_seconds_count": 2.0,
        "offramp_step_rows_count": 2.0,
        "offramp_step_rows_sum": 4.0,  # one row, then three
        "offramp_step_seconds_count": 2.0,
        "offramp_queue_wait_seconds_count": 3.0,
    }
    assert {name: registry.get_sample_value(name) for name in sums} == sums


def test_failed_batch_is_no_batch(engine: Engine, registry: CollectorRegistry, gate: Gate) -> None:
    gate.open()
    future = engine.submit(FakeRequest("bad", 1, fails_at_admit=True))
    assert future.exception(WAIT_S) is not None
    assert registry.get_sample_value("offramp_encoder_batch_seconds_count") == 0.0
    assert registry.get_sample_value("offramp_queue_wait_seconds_count") == 1.0


def test_timeline_is_complete_and_in_order(engine: Engine, gate: Gate) -> None:
    gate.open()
    timeline = Timeline()
    engine.submit(FakeRequest("one", 1), timeline=timeline).result(WAIT_S)
    times = [
        timeline.submitted_s,
        timeline.admitted_s,
        timeline.encoded_s,
        timeline.finished_s,
    ]
    assert None not in times
    assert times == sorted(times, key=lambda time: time or 0.0)
