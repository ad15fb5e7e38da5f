"""The open loop: every call is sent when it is due, whatever became of the ones before.

Latency counts from the time a call was due, not from the time it was sent: a service (or a sender)
that falls behind makes every later call late, and that wait is theirs to answer for. A closed loop
would leave it out ("coordinated omission").
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from serve.load.calls import Call
from serve.load.client import Reply
from serve.load.outcome import Outcome, outcome_of

Send = Callable[[Call], Awaitable[Reply]]
Listener = Callable[[Call, Reply], None]


class Clock:
    """Seconds that only grow, and waiting for them; tests have their own."""

    def now(self) -> float:
        """Seconds."""
        return time.perf_counter()

    async def sleep(self, seconds: float) -> None:
        """Let others run meanwhile."""
        await asyncio.sleep(seconds)


async def run_open_loop(
    send: Send,
    calls: Sequence[Call],
    clock: Clock | None = None,
    on_reply: Listener | None = None,
) -> list[Outcome]:
    """Outcomes in the order of the calls.

    Args:
        send: Sends one call.
        calls: By time.
        clock: The machine's, when None.
        on_reply: Told of every reply.

    Raises:
        ValueError: What answers is not our service.
    """
    clock = clock or Clock()
    started = clock.now()

    async def follow(call: Call) -> Outcome:
        lag_s = clock.now() - started - call.at_s
        reply = await send(call)
        latency_s = clock.now() - started - call.at_s
        if on_reply is not None:
            on_reply(call, reply)
        return outcome_of(call, reply, max(0.0, lag_s), latency_s)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = []
            for call in calls:
                await clock.sleep(max(0.0, started + call.at_s - clock.now()))
                tasks.append(group.create_task(follow(call)))
    except* ValueError as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
