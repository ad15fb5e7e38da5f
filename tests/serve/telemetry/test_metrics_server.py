"""Each replica of a machine answers a scrape on a port of its own."""

import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from serve.cluster.ports import free_port
from serve.telemetry import metrics_server
from serve.telemetry.metrics_server import start_metrics_server
from tests.serve.conftest import Start


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


async def test_two_replicas_take_two_ports_and_keep_their_counts_apart(
    start: Start, image: str, stack: ExitStack
) -> None:
    first_port = free_port()
    texts = []
    for name, num_requests in (("one", 1), ("two", 2)):
        running = await start()
        running.service.metrics.replica = name
        server = start_metrics_server(running.service.metrics, "127.0.0.1", first_port)
        assert server is not None
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        for _ in range(num_requests):
            await running.client.post("/v1/caption", json={"image": image})
        texts.append(httpx.get(f"http://127.0.0.1:{server.server_port}/metrics").text)
    line = 'offramp_requests_total{{replica="{}",route="/v1/caption",status="200"}} {}.0'
    assert line.format("one", 1) in texts[0]
    assert line.format("two", 2) in texts[1]


async def test_no_free_port_is_said_and_the_service_goes_on(
    start: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_server, "MAX_REPLICAS", 1)
    running = await start()
    with socket.socket() as taken, caplog.at_level(logging.WARNING):
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert start_metrics_server(running.service.metrics, "127.0.0.1", port) is None
    assert f"none of 1 ports from {port} on is free at 127.0.0.1" in caplog.text
