"""A closed loop: so many callers, each of whom asks again as soon as it is answered.

It finds what a service can do when it never waits for work. Its latencies say nothing about a
public address, where nobody waits for the others: use ``run_open_loop`` for those.
"""

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from serve.load.calls import Call
from serve.load.client import LoadClient, with_client
from serve.load.outcome import Outcome, outcome_of
from serve.load.run import Clock, Send

NUM_CALLERS = 32
NUM_READY = 256


@dataclass(frozen=True)
class Saturation:
    """What a closed loop got.

    Attributes:
        outcomes: In the order of their ends.
        seconds: From the first call to the last answer.
    """

    outcomes: list[Outcome]
    seconds: float

    @property
    def answered_per_s(self) -> float:
        """Answers per second."""
        return sum(outcome.is_ok for outcome in self.outcomes) / self.seconds


async def saturate(
    send: Send, calls: Iterator[Call], num_callers: int, seconds: float, clock: Clock | None = None
) -> Saturation:
    """What ``num_callers`` got who asked for ``seconds``; calls under way are waited for.

    Args:
        send: Sends one call.
        calls: The next one to send; when they run out, so does the loop.
        num_callers: Calls under way at any time.
        seconds: How long new ones are sent.
        clock: The machine's, when None.
    """
    clock = clock or Clock()
    started = clock.now()
    outcomes: list[Outcome] = []

    async def ask_again() -> None:
        while (sent_s := clock.now() - started) < seconds:
            call = next(calls, None)
            if call is None:
                return
            reply = await send(call)
            latency_s = clock.now() - started - sent_s
            outcomes.append(outcome_of(replace(call, at_s=sent_s), reply, 0.0, latency_s))

    async with asyncio.TaskGroup() as group:
        for _ in range(num_callers):
            group.create_task(ask_again())
    return Saturation(outcomes, clock.now() - started)


def throughput(
    url: str, calls: Iterator[Call], seconds: float, num_callers: int = NUM_CALLERS
) -> Saturation:
    """What a service can do: the callers ask without a pause, and the cache is not used.

    The calls are made ready first and repeat, so that the client takes little of the machine.
    """
    ready = itertools.cycle(list(itertools.islice(calls, NUM_READY)))

    async def run(client: LoadClient) -> Saturation:
        return await saturate(client.send, ready, num_callers, seconds)

    return with_client(url, run)
