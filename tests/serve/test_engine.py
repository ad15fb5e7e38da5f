"""The engine without Ray and without a model."""

import time
from collections.abc import Callable, Iterator

import pytest
from PIL import Image

from model_core.config import ExitConfig
from model_core.predictor import Predictor
from model_core.types import StepEvent
from serve.engine import Engine, EngineLimits
from serve.errors import (
    DeadlineExceededError,
    EngineError,
    InvalidInputError,
    OverloadedError,
    UnavailableError,
)
from tests.serve.fakes import FakeRequest, FakeSlots, Gate

WAIT_S = 10.0


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "this never became true"
        time.sleep(0.002)


class Bench:
    """An engine whose steps the test allows one by one."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.slots: list[FakeSlots] = []
        self.engines: list[Engine] = []

    def start(
        self, num_slots: int = 4, queue: int = 8, admit: int = 4, timeout_s: float = WAIT_S
    ) -> Engine:
        def make_slots() -> FakeSlots:
            self.slots.append(FakeSlots(num_slots, self.gate))
            return self.slots[-1]

        self.engines.append(Engine(make_slots, EngineLimits(queue, admit, timeout_s)))
        return self.engines[-1]


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.gate.open()
    for engine in made.engines:
        engine.close(drain_s=1.0)


def test_requests_join_and_leave_a_running_batch(bench: Bench) -> None:
    engine = bench.start()
    long = engine.submit(FakeRequest("long", 3))
    wait_until(lambda: engine.num_running == 1)
    short = engine.submit(FakeRequest("short", 1))
    bench.gate.allow(1)
    wait_until(lambda: engine.num_running == 2)
    bench.gate.allow(1)
    assert short.result(WAIT_S).text == "short 1"
    assert not long.done()
    bench.gate.allow(1)
    assert long.result(WAIT_S).text == "long 3"
    assert bench.slots[0].batches == [["long"], ["long", "short"], ["long"]]


def test_admission_between_two_steps_is_bounded(bench: Bench) -> None:
    engine = bench.start(admit=2)
    first = engine.submit(FakeRequest("a", 2))
    wait_until(lambda: engine.num_running == 1)
    others = [engine.submit(FakeRequest(name, 1)) for name in "bcd"]
    bench.gate.open()
    for future in (first, *others):
        future.result(WAIT_S)
    assert bench.slots[0].admitted == [["a"], ["b", "c"], ["d"]]


def test_request_with_beams_waits_for_its_slots_and_nobody_passes_it(bench: Bench) -> None:
    engine = bench.start(num_slots=4)
    long = engine.submit(FakeRequest("long", 3))
    wait_until(lambda: engine.num_running == 1)
    wide = engine.submit(FakeRequest("wide", 1, num_beams=4))
    small = engine.submit(FakeRequest("small", 1))
    bench.gate.allow(2)
    wait_until(lambda: len(bench.slots[0].batches) == 2)
    assert (engine.num_waiting, engine.num_running) == (2, 1)
    bench.gate.open()
    assert [future.result(WAIT_S).text for future in (long, wide, small)] == [
        *("long 3", "wide 1", "small 1")
    ]
    assert bench.slots[0].admitted == [["long"], ["wide"], ["small"]]


def test_beams_and_others_are_admitted_together_while_they_fit(bench: Bench) -> None:
    engine = bench.start(num_slots=4)
    first = engine.submit(FakeRequest("first", 2))
    wait_until(lambda: engine.num_running == 1)
    others = [
        engine.submit(FakeRequest(name, 1, num_beams=beams))
        for name, beams in (("two", 2), ("one", 1), ("three", 3))
    ]
    bench.gate.allow(1)
    wait_until(lambda: engine.num_running == 4)
    bench.gate.open()
    for future in (first, *others):
        future.result(WAIT_S)
    assert bench.slots[0].admitted == [["first"], ["two", "one"], ["three"]]


def test_cancelling_a_request_with_beams_frees_all_its_slots(bench: Bench) -> None:
    engine = bench.start(num_slots=3)
    gone = engine.submit(FakeRequest("gone", 100, num_beams=3))
    wait_until(lambda: engine.num_running == 3)
    after = engine.submit(FakeRequest("after", 1, num_beams=2))
    assert gone.cancel()
    bench.gate.allow(2)
    assert after.result(WAIT_S).text == "after 1"
    wait_until(lambda: bench.slots[0].num_free == 3)


def test_more_beams_than_slots_are_refused_at_once(bench: Bench) -> None:
    engine = bench.start(num_slots=2)
    with pytest.raises(InvalidInputError, match=r"num_beams: 3 is too many.*allowed are 1 to 2"):
        engine.submit(FakeRequest("wide", 1, num_beams=3))
    bench.gate.open()
    assert engine.submit(FakeRequest("fits", 1, num_beams=2)).result(WAIT_S).text == "fits 1"


def test_real_slots_answer_as_offline(predictor: Predictor, photos: list[Image.Image]) -> None:
    requests = [
        predictor.request("caption", photo, ExitConfig(), num_beams=num_beams)
        for photo, num_beams in zip(photos, (1, 4, 3, 1, 2, 1), strict=True)
    ]
    engine = Engine(lambda: predictor.new_slots(4), EngineLimits())
    try:
        futures = [engine.submit(request) for request in requests]
        answers = [future.result(WAIT_S) for future in futures]
    finally:
        engine.close(drain_s=1.0)
    expected = [predictor.answer([request])[0].token_ids for request in requests]
    assert [answer.token_ids for answer in answers] == expected


def test_full_queue_refuses_with_a_time_to_come_back(bench: Bench) -> None:
    engine = bench.start(num_slots=1, queue=1)
    engine.submit(FakeRequest("running"))
    wait_until(lambda: engine.num_running == 1)
    engine.submit(FakeRequest("waiting"))
    with pytest.raises(OverloadedError, match=r"queue is full \(1 requests wait\)") as caught:
        engine.submit(FakeRequest("refused"))
    assert caught.value.headers == {"Retry-After": "1"}


def test_cancelling_frees_the_slot_within_one_step(bench: Bench) -> None:
    engine = bench.start(num_slots=1)
    cancelled = engine.submit(FakeRequest("gone", 100))
    wait_until(lambda: engine.num_running == 1)
    waiting = engine.submit(FakeRequest("next", 1))
    assert cancelled.cancel()
    bench.gate.allow(2)
    assert waiting.result(WAIT_S).text == "next 1"
    assert bench.slots[0].batches == [["gone"], ["next"]]


def test_late_request_fails_and_frees_its_slot(bench: Bench) -> None:
    engine = bench.start(num_slots=1, timeout_s=0.05)
    late = engine.submit(FakeRequest("late", 100))
    wait_until(lambda: engine.num_running == 1)
    time.sleep(0.06)
    bench.gate.allow(1)
    with pytest.raises(DeadlineExceededError, match=r"no answer within 0\.05 s"):
        late.result(WAIT_S)
    wait_until(lambda: bench.slots[0].num_free == 1)


def test_late_request_in_the_queue_fails_too(bench: Bench) -> None:
    engine = bench.start(num_slots=1, timeout_s=0.2)
    engine.submit(FakeRequest("running", 100))
    wait_until(lambda: engine.num_running == 1)
    queued = engine.submit(FakeRequest("queued"))
    time.sleep(0.25)
    bench.gate.allow(1)
    with pytest.raises(DeadlineExceededError):
        queued.result(WAIT_S)
    assert bench.slots[0].admitted == [["running"]]


def test_failing_step_fails_its_batch_and_the_thread_goes_on(bench: Bench) -> None:
    engine = bench.start()
    bench.gate.open()
    broken = engine.submit(FakeRequest("broken", 5, fails_at_step=True))
    with pytest.raises(EngineError, match="a decoding step failed") as caught:
        broken.result(WAIT_S)
    assert "private" not in str(caught.value)
    assert engine.submit(FakeRequest("after")).result(WAIT_S).text == "after 1"
    assert len(bench.slots) == 2


def test_failing_admission_fails_only_the_culprit(bench: Bench) -> None:
    engine = bench.start()
    first = engine.submit(FakeRequest("first", 2))
    wait_until(lambda: engine.num_running == 1)
    good, bad = (
        engine.submit(FakeRequest("good", 1)),
        engine.submit(FakeRequest("bad", fails_at_admit=True)),
    )
    bench.gate.open()
    with pytest.raises(EngineError, match="admitting"):
        bad.result(WAIT_S)
    assert good.result(WAIT_S).text == "good 1"
    assert first.result(WAIT_S).text == "first 2"


def test_listener_hears_every_step_and_may_fail(bench: Bench) -> None:
    engine = bench.start()
    bench.gate.open()
    heard: list[StepEvent] = []

    def fail(event: StepEvent) -> None:
        raise ValueError("listener")

    good = engine.submit(FakeRequest("good", 3), heard.append)
    bad = engine.submit(FakeRequest("bad", 3), fail)
    assert good.result(WAIT_S).text == "good 3"
    assert bad.result(WAIT_S).text == "bad 3"
    assert [event.is_finished for event in heard] == [False, False, True]


def test_closing_finishes_what_runs_and_refuses_the_rest(bench: Bench) -> None:
    engine = bench.start()
    running = engine.submit(FakeRequest("running", 2))
    wait_until(lambda: engine.num_running == 1)
    bench.gate.open()
    engine.close(drain_s=5.0)
    assert running.result(0).text == "running 2"
    with pytest.raises(UnavailableError, match="stopping"):
        engine.submit(FakeRequest("late"))


def test_closing_without_time_fails_what_is_left(bench: Bench) -> None:
    engine = bench.start(num_slots=1)
    running = engine.submit(FakeRequest("running", 100))
    wait_until(lambda: engine.num_running == 1)
    bench.gate.allow(1)
    bench.gate.open()
    engine.close(drain_s=0.0)
    with pytest.raises(UnavailableError):
        running.result(0)
    assert not engine.is_alive
