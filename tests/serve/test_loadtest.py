"""The command: wrong usage, a service that is not there, and a run against a small server."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from serve.cluster.ports import free_port
from serve.load.report import LoadReport
from serve.loadtest import main

ANSWER = {
    "cache": "off",
    "policy": {"name": "fast"},
    "trace": {"cost": {"layers_run": 6.0, "layers_full": 12.0}},
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(b"{}")

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        self.server.seen.append((dict(self.headers), json.loads(self.rfile.read(length))))  # type: ignore[attr-defined]
        self._answer(json.dumps(ANSWER).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[dict[str, str], dict[str, str]]] = []


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def run(server: Server, *options: str) -> int:
    url = f"http://127.0.0.1:{server.server_port}"
    return main(["--url", url, "--rate", "100", "--seconds", "0.2", *options])


def test_run_is_reported_and_drawn(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, plot = tmp_path / "results" / "load.json", tmp_path / "load.svg"
    assert run(server, "--out", str(out), "--plot", str(plot), "--policy", "fast") == 0
    report = LoadReport.model_validate_json(out.read_text(encoding="utf-8"))
    assert report.total.num_ok == report.total.num == len(server.seen) > 5
    assert (report.layers_saved, report.presets) == (0.5, {"fast": report.total.num})
    assert plot.read_text(encoding="utf-8").startswith("<?xml")
    assert "| all |" in capsys.readouterr().out


def test_requests_carry_key_policy_and_cache_control(server: Server, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret\n")
    options = ["--policy", "full", "--min-quality", "fast", "--no-cache", "--mix", "tags=1"]
    assert run(server, *options, "--api-key-file", str(tmp_path / "key")) == 0
    headers, body = server.seen[0]
    assert headers["authorization"] == "Bearer secret"
    assert headers["cache-control"] == "no-cache, no-store"
    assert (body["policy"], body["min_quality"]) == ("full", "fast")


def test_highest_rate_is_printed(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(server, "--find-capacity", "--p95-ms", "0.001", "--rate", "400") == 0
    assert "highest rate with p95 below 0.001 ms: 0.0/s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mix", "dance=1"], "'dance' must be one of"),
        (["--rate", "0"], "must both be above 0"),
        (["--api-key-file", "missing"], "missing: cannot be read"),
        (["--photos", "missing"], "holds no photo"),
    ],
)
def test_wrong_usage_is_explained(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options) == 2
    assert message in capsys.readouterr().err


def test_empty_key_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key").write_text("\n")
    assert main(["--api-key-file", str(tmp_path / "key")]) == 2
    assert "holds no key" in capsys.readouterr().err


def test_service_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", f"http://127.0.0.1:{free_port()}"]) == 1
    assert "does not answer" in capsys.readouterr().err
