"""An asynchronous client that sends calls, and tries again where that helps.

It takes little of the machine that it may share with the service: its parser is compiled, and many
connections cost no more than few.

Two reasons to try again are kept apart: the service is busy (429, 503: wait as long as
``Retry-After`` says) and the replica is gone (a broken connection, or a 5xx that a proxy gives in
its place). Asking the model is free of side effects, so a request may be sent twice.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp

from serve.load.calls import Call

Result = TypeVar("Result")

NO_CACHE = {"cache-control": "no-cache, no-store"}
NO_ANSWER = 0
TIMEOUT = "Timeout"
BUSY = frozenset({429, 503})
BROKEN = frozenset({NO_ANSWER, 500, 502})
MAX_WAIT_S = 30.0


@dataclass(frozen=True)
class RetryRule:
    """How often a request is sent again.

    Attributes:
        num_busy: Times after 429 or 503.
        num_broken: Times after a broken connection, 500 or 502.
        pause_s: Wait before the latter, and where a busy service does not say how long.
    """

    num_busy: int = 0
    num_broken: int = 0
    pause_s: float = 0.5


@dataclass(frozen=True)
class Reply:
    """What came back at the last attempt.

    Attributes:
        status: HTTP status; ``NO_ANSWER`` when the connection broke or nothing came in time.
        body: Bytes of the answer.
        retry_after_s: What a refusal says.
        statuses: Of every attempt, the last included.
        errors: Kind of failure of every attempt without an answer.
    """

    status: int
    body: bytes = b""
    retry_after_s: float | None = None
    statuses: tuple[int, ...] = ()
    errors: tuple[str, ...] = ()


class LoadClient:
    """Sends calls to one service; use it as an asynchronous context manager."""

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
        retries: RetryRule = RetryRule(),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Opens no connection yet; ``sleep`` is for tests."""
        self._url = base_url
        self._headers = {"content-type": "application/json", **(headers or {})}
        self._timeout_s = timeout_s
        self._retries = retries
        self._sleep = sleep

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(
            self._url,
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            # A limit would queue requests here, where nobody measures the wait. Who sends again
            # what broke must not take a kept connection that the other side has closed meanwhile.
            connector=aiohttp.TCPConnector(limit=0, force_close=self._retries.num_broken > 0),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.close()

    async def send(self, call: Call) -> Reply:
        """The reply to a call, after as many attempts as the rule allows."""
        statuses: list[int] = []
        errors: list[str] = []
        num_busy = num_broken = 0
        while True:
            reply = await self._send_once(call)
            statuses.append(reply.status)
            errors += reply.errors
            if reply.status in BUSY and num_busy < self._retries.num_busy:
                num_busy += 1
                await self._sleep(min(reply.retry_after_s or self._retries.pause_s, MAX_WAIT_S))
            elif reply.status in BROKEN and num_broken < self._retries.num_broken:
                num_broken += 1
                await self._sleep(self._retries.pause_s)
            else:
                return replace(reply, statuses=tuple(statuses), errors=tuple(errors))

    async def _send_once(self, call: Call) -> Reply:
        try:
            async with self._http.post(call.path, data=call.body) as answer:
                body = await answer.read()
        except TimeoutError:
            return Reply(NO_ANSWER, errors=(TIMEOUT,))
        except (aiohttp.ClientError, OSError) as error:
            return Reply(NO_ANSWER, errors=(type(error).__name__,))
        return Reply(answer.status, body, _seconds(answer.headers.get("retry-after")))


def with_client(url: str, run: Callable[[LoadClient], Coroutine[Any, Any, Result]]) -> Result:
    """What ``run`` gives with a client that wants nothing from a cache, in a loop of its own."""

    async def connected() -> Result:
        async with LoadClient(url, NO_CACHE) as client:
            return await run(client)

    return asyncio.run(connected())


def _seconds(text: str | None) -> float | None:
    """Seconds in a ``Retry-After``; None for a date, which no service of ours sends."""
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if 0 <= value < math.inf else None
