"""The page in a process of its own, as ``python -m app`` starts it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serve.cluster.ports import free_port

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 120


@contextmanager
def page_process(api_url: str, **settings: str) -> Iterator[str]:
    """The address of a page in a process of its own; it must stop cleanly when told to."""
    environment = {
        **os.environ,
        "OFFRAMP_API_URL": api_url,
        "OFFRAMP_PORT": str(free_port()),
        **settings,
    }
    command = [sys.executable, "-m", "app"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        watchdog = threading.Timer(START_TIMEOUT_S, process.kill)
        watchdog.start()
        try:
            address = announced(process)
            watchdog.cancel()
            yield address
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0
        finally:
            watchdog.cancel()
            process.kill()


def announced(process: subprocess.Popen[str]) -> str:
    """The address that the page prints when it is ready."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        if line.startswith("Offramp page: "):
            return line.split()[2]
        said += line
    raise AssertionError(f"the page did not start: {said!r}")
