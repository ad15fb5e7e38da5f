"""The service and the page in the foreground, as ``make demo`` starts them.

Owns the life of the two processes: start, wait until both answer, print where they are, and stop
them with everything they have started when the caller presses Ctrl-C, when this process is asked to
end, or when one of the two dies. What they do is theirs: ``python -m serve`` and ``python -m app``.
"""

import argparse
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

HOST = "127.0.0.1"
READY_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 30.0
POLL_S = 0.25
PR_SET_CHILD_SUBREAPER = 36  # Linux: orphans of our children become ours, so that we can end them


@dataclass(frozen=True)
class Part:
    """One of the processes to run: its name, its command, and where it answers when ready."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    ready_url: str


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


class Caller:
    """The process that started this one, watched so that nothing goes on when it has given up.

    ``make`` does not hand an interrupt to its commands when it alone gets one: it restores the
    default action and waits. That it no longer catches interrupts is how this is seen from here.
    """

    def __init__(self) -> None:
        self._pid = os.getppid()
        self._is_interruptible_make = self._is_make() and self._catches_interrupts()

    def is_gone(self) -> bool:
        """True when the caller has ended, or is a ``make`` that was interrupted."""
        if os.getppid() != self._pid:
            return True
        return self._is_interruptible_make and not self._catches_interrupts()

    def _is_make(self) -> bool:
        return self._read("comm").strip() in {"make", "gmake"}

    def _catches_interrupts(self) -> bool:
        caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", self._read("status"), flags=re.MULTILINE)
        return caught is not None and bool(int(caught[1], 16) >> (signal.SIGINT - 1) & 1)

    def _read(self, name: str) -> str:
        try:
            return Path(f"/proc/{self._pid}/{name}").read_text()
        except OSError:  # it ended, or this system has no /proc
            return ""


class Demo:
    """Starts the parts one after the other and stops them in the opposite order."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._caller = Caller()
        self._processes: list[tuple[Part, subprocess.Popen[bytes]]] = []
        self._should_stop = False

    def request_stop(self, *_: object) -> None:
        """Ask ``run`` to stop; safe to call from a signal handler, and more than once."""
        self._should_stop = True

    def run(self, announce: Callable[[], None]) -> None:
        """Start all parts, call ``announce`` when they are ready, and wait until asked to stop.

        Raises:
            DemoError: A part ended by itself or was not ready in time.
        """
        try:
            for part in self._parts:
                self._start(part)
                self._wait_until_ready(part)
            if not self._should_stop:
                announce()
            while not self._should_stop:
                self._check()
                time.sleep(POLL_S)
        finally:
            self._stop()

    def _start(self, part: Part) -> None:
        if self._should_stop:
            return
        # An own session keeps Ctrl-C away from the part: it is stopped in order, by us.
        process = subprocess.Popen(
            part.command, env={**os.environ, **part.environment}, start_new_session=True
        )
        self._processes.append((part, process))

    def _wait_until_ready(self, part: Part) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not (self._should_stop or _is_ready(part.ready_url)):
            self._check()
            if time.monotonic() > deadline:
                raise DemoError(f"the {part.name} was not ready after {READY_TIMEOUT_S:.0f} s")
            time.sleep(POLL_S)

    def _check(self) -> None:
        if self._caller.is_gone():
            self.request_stop()
        for part, process in self._processes:
            if process.poll() is not None:
                raise DemoError(f"the {part.name} ended with exit code {process.returncode}")

    def _stop(self) -> None:
        for _, process in reversed(self._processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(STOP_TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        end_descendants()


def end_descendants() -> None:
    """End every process that stands below this one, those that their parent left behind too."""
    while pids := _descendants(os.getpid()):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        _reap()
        time.sleep(0.05)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends (Linux; elsewhere nothing happens)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended while we looked
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found: list[int] = []
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5.0, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _refuse_used_port(name: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise DemoError(
                f"port {port} for the {name} cannot be used ({error.strerror}); choose others with "
                "OFFRAMP_PORT and OFFRAMP_API_PORT"
            ) from error


def build_parts(port: int, api_port: int) -> list[Part]:
    """The service, then the page that speaks to it."""
    api_url = f"http://{HOST}:{api_port}"
    serve = {"OFFRAMP_API_PORT": str(api_port), "OFFRAMP_API_HOST": HOST}
    app = {"OFFRAMP_PORT": str(port), "OFFRAMP_HOST": HOST, "OFFRAMP_API_URL": api_url}
    return [
        Part("service", [sys.executable, "-m", "serve"], serve, f"{api_url}/readyz"),
        Part("page", [sys.executable, "-m", "app"], app, f"http://{HOST}:{port}/"),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo until it is stopped: 0 when it was asked to stop, 1 when it broke."""
    parser = argparse.ArgumentParser(prog="python -m tools.demo", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port of the page")
    parser.add_argument("--api-port", type=int, required=True, help="port of the HTTP API")
    options = parser.parse_args(arguments)
    started = time.monotonic()

    def announce() -> None:
        print(f"ready after {time.monotonic() - started:.0f} s", flush=True)
        print(f"  page  http://{HOST}:{options.port}", flush=True)
        print(f"  API   http://{HOST}:{options.api_port}  (described at /openapi.json)", flush=True)
        print("Ctrl-C stops both.", flush=True)

    demo = Demo(build_parts(options.port, options.api_port))
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, demo.request_stop)
    adopt_orphans()
    try:
        _refuse_used_port("page", options.port)
        _refuse_used_port("API", options.api_port)
        demo.run(announce)
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print("stopped", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
