"""The fault proxy in a thread of its own, for whoever has no event loop to run it in."""

import asyncio
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from tools.fault_proxy import Fault, FaultProxy

Result = TypeVar("Result")

TIMEOUT_S = 10.0


class ProxyThread:
    """Stands in front of the server at a URL; use it as a context manager."""

    def __init__(self, target_url: str) -> None:
        """Remembers the server."""
        self._proxy = FaultProxy(target_url)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        """What a Redis client connects to instead of the server."""
        return self._proxy.url

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._proxy.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._run(self._proxy.__aexit__(kind, error, traceback))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TIMEOUT_S)
        self._loop.close()

    def set_fault(self, fault: Fault, delay_s: float = 0.0) -> None:
        """From now on connections, open ones included, have this fault."""
        self._run(self._proxy.set_fault(fault, delay_s))

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(TIMEOUT_S)
