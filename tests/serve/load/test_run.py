"""Latency counts from when a call was due: a sender that falls behind does not hide the wait."""

import json

import pytest

from serve.load.calls import Call
from serve.load.client import Reply
from serve.load.run import Clock, run_open_loop

ANSWER = json.dumps(
    {
        "cache": "hit",
        "policy": {"name": None},
        "trace": {"cost": {"layers_run": 1, "layers_full": 1}},
    }
).encode()


class FakeClock(Clock):
    """Time passes only by sleeping, or when a test says so."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        until = self.time + seconds
        await super().sleep(0)  # the others run first, and may take their time
        self.time = max(self.time, until)


def calls_at(*times: float) -> list[Call]:
    return [Call(time, "tags", "/v1/tags", b"") for time in times]


async def test_latency_counts_from_the_schedule_when_the_sender_is_blocked() -> None:
    clock = FakeClock()

    async def blocks_for_two_seconds(_: Call) -> Reply:
        clock.time += 2.0  # nobody else runs meanwhile
        return Reply(200, ANSWER)

    outcomes = await run_open_loop(blocks_for_two_seconds, calls_at(0.0, 1.0, 10.0), clock)
    # The first blocks until 2; the second, due at 1, is sent at 2 and ends at 4.
    assert [outcome.latency_s for outcome in outcomes] == [2.0, 3.0, 2.0]
    assert [outcome.lag_s for outcome in outcomes] == [0.0, 1.0, 0.0]


async def test_calls_are_sent_on_time_while_others_wait() -> None:
    clock, sent = FakeClock(), []

    async def waits_until_ten(_: Call) -> Reply:
        sent.append(clock.now() - 100.0)
        while clock.now() < 110.0:
            await Clock.sleep(clock, 0)
        return Reply(200, ANSWER)

    outcomes = await run_open_loop(waits_until_ten, calls_at(1.0, 4.0, 10.0), clock)
    assert sent == [1.0, 4.0, 10.0]
    assert [outcome.latency_s for outcome in outcomes] == [9.0, 6.0, 0.0]


async def test_every_reply_is_told() -> None:
    told = []

    async def answer(_: Call) -> Reply:
        return Reply(429)

    calls = calls_at(0.0, 0.5)
    await run_open_loop(answer, calls, FakeClock(), lambda call, reply: told.append(call))
    assert told == calls


async def test_answer_of_somebody_else_ends_the_run() -> None:
    async def answer(_: Call) -> Reply:
        return Reply(200, b"<html>")

    with pytest.raises(ValueError, match="not an answer of the service"):
        await run_open_loop(answer, calls_at(0.0), FakeClock())
