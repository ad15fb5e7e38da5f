"""The demo runner: it starts in order, announces, and leaves no process behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve.cluster.ports import free_port
from tools.demo import DemoError, _refuse_used_port, build_parts

ROOT = Path(__file__).resolve().parent.parent.parent
START_TIMEOUT_S = 30.0

# A part that answers on its port, and starts a process in a session of its own, as Ray does.
FAKE_PART = """
import http.server, os, pathlib, subprocess, sys
port, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
hidden = subprocess.Popen(["sleep", "600"], start_new_session=True)
(folder / f"{port}.pids").write_text(f"{os.getpid()} {hidden.pid}")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        if self.path == "/die":
            os._exit(3)
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""

DRIVER = """
import sys
import tools.demo as demo
ports, folder, fake = sys.argv[1:3], sys.argv[3], sys.argv[4]
demo.build_parts = lambda port, api_port: [
    demo.Part(name, [sys.executable, fake, str(number), folder], {}, f"http://127.0.0.1:{number}/")
    for name, number in (("service", api_port), ("page", port))
]
sys.exit(demo.main(["--port", ports[0], "--api-port", ports[1]]))
"""


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


class RunningDemo:
    """The demo with two fake parts, up to the moment it has announced itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.page_port, self.api_port = free_port(), free_port()
        fake = folder / "fake.py"
        fake.write_text(FAKE_PART)
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                DRIVER,
                *map(str, (self.page_port, self.api_port, folder, fake)),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.announced = self._read_announcement()

    def _read_announcement(self) -> str:
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
        return "".join(lines)

    @property
    def pids(self) -> list[int]:
        return [int(pid) for path in self.folder.glob("*.pids") for pid in path.read_text().split()]

    def wait(self) -> tuple[int, str, str]:
        output, errors = self.process.communicate(timeout=START_TIMEOUT_S)
        return self.process.returncode, output, errors


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[RunningDemo]:
    running = RunningDemo(tmp_path)
    yield running
    running.process.kill()
    for pid in filter(is_alive, running.pids):
        os.kill(pid, signal.SIGKILL)  # they hold the pipes that are read to their end below
    running.process.communicate(timeout=START_TIMEOUT_S)


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_both_addresses_are_printed_when_both_parts_answer(demo: RunningDemo) -> None:
    assert f"page  http://127.0.0.1:{demo.page_port}\n" in demo.announced
    assert f"API   http://127.0.0.1:{demo.api_port} " in demo.announced


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_that_was_started(
    demo: RunningDemo, signum: signal.Signals
) -> None:
    pids = demo.pids
    assert [is_alive(pid) for pid in pids] == [True] * 4
    demo.process.send_signal(signum)
    code, output, errors = demo.wait()
    assert (code, output, errors) == (0, "stopped\n", "")
    assert [pid for pid in pids if is_alive(pid)] == []


def test_a_second_interrupt_does_not_leave_processes_behind(demo: RunningDemo) -> None:
    pids = demo.pids
    demo.process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    demo.process.send_signal(signal.SIGINT)
    assert demo.wait()[0] == 0
    assert [pid for pid in pids if is_alive(pid)] == []


def test_a_part_that_dies_stops_the_other_and_is_named(demo: RunningDemo) -> None:
    pids = demo.pids
    with socket.create_connection(("127.0.0.1", demo.page_port)) as connection:
        connection.sendall(b"GET /die HTTP/1.0\r\n\r\n")
        connection.recv(100)
    code, _, errors = demo.wait()
    assert (code, errors) == (1, "demo: the page ended with exit code 3\n")
    assert [pid for pid in pids if is_alive(pid)] == []


def test_an_interrupt_of_make_alone_stops_everything(tmp_path: Path) -> None:
    makefile = tmp_path / "Makefile"
    makefile.write_text("demo:\n\t@$(COMMAND)\n")
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    fake = tmp_path / "fake.py"
    fake.write_text(FAKE_PART)
    # Plain words, so that make runs the command itself, without a shell, as in our Makefile.
    words = (sys.executable, script, free_port(), free_port(), tmp_path, fake)
    process = subprocess.Popen(
        ["make", "-f", makefile, "demo", f"COMMAND={' '.join(map(str, words))}"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "MAKEFLAGS": ""},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Ctrl-C"):
            break
    pids = [int(pid) for path in tmp_path.glob("*.pids") for pid in path.read_text().split()]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=START_TIMEOUT_S)
    assert len(pids) == 4
    assert [pid for pid in pids if is_alive(pid)] == []


def test_a_used_port_is_refused_with_the_names_to_change() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(DemoError, match=f"port {port} for the page .* OFFRAMP_PORT"):
            _refuse_used_port("page", port)


def test_parts_are_the_service_and_the_page_that_speaks_to_it() -> None:
    service, page = build_parts(port=7001, api_port=8001)
    assert (list(service.command[1:]), list(page.command[1:])) == (["-m", "serve"], ["-m", "app"])
    assert service.environment["OFFRAMP_API_PORT"] == "8001"
    assert page.environment["OFFRAMP_API_URL"] == "http://127.0.0.1:8001"
    assert (service.ready_url, page.ready_url) == (
        "http://127.0.0.1:8001/readyz",
        "http://127.0.0.1:7001/",
    )
