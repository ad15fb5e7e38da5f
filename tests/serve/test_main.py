"""``python -m serve`` as an operator runs it: started, asked, stopped, nothing left."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_core.config import CONFIG_ROOT
from serve.cluster.ports import free_port

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

START_S = 180.0
STOP_S = 30.0


def processes_with(text: str) -> list[str]:
    """Command lines of running processes that hold ``text``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in command:
            found.append(command)
    return found


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: Ray and Valkey put Unix sockets there."""
    with tempfile.TemporaryDirectory(prefix="o-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
def process(tiny_checkpoint: Path, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    # Without what a cluster of this session has told its own processes, such as HAProxy's ports.
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment = {**own, "OFFRAMP_API_PORT": str(port), "TMPDIR": str(folder)}
    environment.pop("REDIS_URL", None)
    command = [sys.executable, "-m", "serve", "--set", f"checkpoint={tiny_checkpoint}"]
    with (folder / "out").open("wb") as out:
        running = subprocess.Popen(
            command, cwd=CONFIG_ROOT.parent, env=environment, stdout=out, stderr=out
        )
    yield running, port
    if running.poll() is None:
        running.kill()
        running.wait()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc to see what is left")
def test_service_starts_answers_and_leaves_nothing_behind(
    process: tuple[subprocess.Popen[bytes], int], folder: Path
) -> None:
    running, port = process
    output = folder / "out"
    deadline = time.monotonic() + START_S
    while b"Offramp API: http://127.0.0.1" not in output.read_bytes():
        assert running.poll() is None, output.read_text()
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.2)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as response:
        assert json.load(response)["cache_backend"] == "embedded"
    assert processes_with(str(folder / "offramp-cache-"))
    running.send_signal(signal.SIGTERM)
    assert running.wait(STOP_S) == 0, output.read_text()
    assert not processes_with(str(folder / "offramp-cache-"))
    assert not list(folder.glob("offramp-cache-*"))
