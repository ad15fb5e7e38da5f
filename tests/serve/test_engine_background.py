"""Background requests take room that nobody wants, and give it back."""

import pytest

from serve.errors import InvalidInputError, OverloadedError, UnavailableError
from tests.serve.fakes import FakeRequest
from tests.serve.test_engine import WAIT_S, Bench, bench, wait_until

__all__ = ["bench"]


def test_background_runs_while_nobody_waits(bench: Bench) -> None:
    engine = bench.start()
    bench.gate.open()
    assert engine.submit_background(FakeRequest("audit", 2)).result(WAIT_S).text == "audit 2"


def test_background_waits_until_the_queue_is_empty(bench: Bench) -> None:
    engine = bench.start(num_slots=4, admit=1)
    first = engine.submit(FakeRequest("first", 9))
    wait_until(lambda: engine.num_running == 1)
    audit = engine.submit_background(FakeRequest("audit", 1))
    others = [engine.submit(FakeRequest(name, 9)) for name in ("second", "third")]
    bench.gate.open()
    for future in (first, *others, audit):
        future.result(WAIT_S)
    assert bench.slots[0].admitted == [["first"], ["second"], ["third"], ["audit"]]


def test_one_background_request_runs_at_a_time(bench: Bench) -> None:
    engine = bench.start(num_slots=4)
    bench.gate.open()
    futures = [engine.submit_background(FakeRequest(name, 3)) for name in "abc"]
    for future in futures:
        future.result(WAIT_S)
    assert all(len(batch) == 1 for batch in bench.slots[0].batches)


def test_background_gives_its_slot_back_within_one_step(bench: Bench) -> None:
    engine = bench.start(num_slots=1)
    audit = engine.submit_background(FakeRequest("audit", 100))
    wait_until(lambda: engine.num_running == 1)
    wanted = engine.submit(FakeRequest("wanted", 1))
    bench.gate.allow(2)
    assert wanted.result(WAIT_S).text == "wanted 1"
    assert bench.slots[0].batches == [["audit"], ["wanted"]]
    with pytest.raises(OverloadedError, match="no room for background work"):
        audit.result(WAIT_S)


def test_background_stays_where_the_others_have_slots_enough(bench: Bench) -> None:
    engine = bench.start(num_slots=2)
    audit = engine.submit_background(FakeRequest("audit", 3))
    wait_until(lambda: engine.num_running == 1)
    wanted = engine.submit(FakeRequest("wanted", 1))
    bench.gate.open()
    assert wanted.result(WAIT_S).text == "wanted 1"
    assert audit.result(WAIT_S).text == "audit 3"


def test_full_queue_drops_what_waits_in_the_background(bench: Bench) -> None:
    engine = bench.start(num_slots=1, queue=1)
    engine.submit(FakeRequest("running", 9))
    wait_until(lambda: engine.num_running == 1)
    audit = engine.submit_background(FakeRequest("audit"))
    engine.submit(FakeRequest("waiting"))
    with pytest.raises(OverloadedError, match="queue is full"):
        engine.submit(FakeRequest("refused"))
    with pytest.raises(OverloadedError, match="no room"):
        audit.result(WAIT_S)


def test_background_does_not_fill_the_queue_of_the_others(bench: Bench) -> None:
    engine = bench.start(num_slots=1, queue=1)
    engine.submit(FakeRequest("running", 1))
    wait_until(lambda: engine.num_running == 1)
    engine.submit_background(FakeRequest("audit"))
    assert engine.num_waiting == 0
    waiting = engine.submit(FakeRequest("waiting"))
    bench.gate.open()
    assert waiting.result(WAIT_S).text == "waiting 1"


def test_too_much_background_is_refused(bench: Bench) -> None:
    engine = bench.start(num_slots=1)
    engine.submit(FakeRequest("running", 9))
    wait_until(lambda: engine.num_running == 1)
    for number in range(16):
        engine.submit_background(FakeRequest(f"audit {number}"))
    with pytest.raises(OverloadedError, match="too much background work"):
        engine.submit_background(FakeRequest("one more"))


def test_background_with_more_beams_than_slots_is_refused(bench: Bench) -> None:
    engine = bench.start(num_slots=2)
    with pytest.raises(InvalidInputError, match="num_beams: 3 is too many"):
        engine.submit_background(FakeRequest("wide", num_beams=3))
    bench.gate.open()


def test_closing_drops_the_background_and_finishes_the_rest(bench: Bench) -> None:
    engine = bench.start(num_slots=2)
    running = engine.submit(FakeRequest("running", 3))
    wait_until(lambda: engine.num_running == 1)
    audits = [engine.submit_background(FakeRequest(name, 1000)) for name in "ab"]
    bench.gate.allow(1)
    wait_until(lambda: engine.num_running == 2)
    bench.gate.open()
    engine.close(drain_s=5.0)
    assert running.result(0).text == "running 3"
    for audit in audits:
        with pytest.raises((OverloadedError, UnavailableError)):
            audit.result(0)
    with pytest.raises(UnavailableError):
        engine.submit_background(FakeRequest("late"))


def test_request_may_have_less_time_than_the_engine_gives(bench: Bench) -> None:
    engine = bench.start(num_slots=1)
    hurried = engine.submit(FakeRequest("hurried", 100), timeout_s=0.0)
    with pytest.raises(Exception, match="no answer within 0 s"):
        hurried.result(WAIT_S)


def test_queue_delay_is_that_of_the_head_and_ends_at_zero(bench: Bench) -> None:
    engine = bench.start(num_slots=1)
    heard: list[float] = []
    engine.on_queue_delay = heard.append
    first = engine.submit(FakeRequest("first", 2))
    wait_until(lambda: engine.num_running == 1)
    second = engine.submit(FakeRequest("second", 1))
    bench.gate.allow(1)
    wait_until(lambda: len(bench.slots[0].batches) == 1)
    wait_until(lambda: any(delay_s > 0 for delay_s in heard))
    bench.gate.open()
    first.result(WAIT_S), second.result(WAIT_S)
    wait_until(lambda: heard[-1] == 0.0)
