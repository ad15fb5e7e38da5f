"""What HAProxy makes of our answers, with the configuration that Ray gives it."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
from ray.serve.config import HTTPOptions

from serve.cluster.haproxy import changed_environment, find_haproxy, haproxy_environment
from serve.cluster.local_cluster import SOCKETS
from serve.cluster.ports import free_port
from serve.errors import BodyTimeoutError
from serve.schemas import ErrorAnswer
from tests.serve.asgi import Event, listening, parse_events, wait_until
from tests.serve.conftest import Running, Start, encode_photo, to_base64
from tests.serving import Served

HAPROXY = find_haproxy()
pytestmark = [
    pytest.mark.skipif(HAPROXY is None, reason="Ray brings no HAProxy here"),
    pytest.mark.timeout(120),
]

BODY_TIMEOUT_S = 1
NUM_TRIES = 50
PARTS = ("a", " dog", ",", " runs", "")


def haproxy_before(ports: Sequence[int], values: dict[str, str]) -> HAProxyApi:
    """HAProxy as Ray starts it before replicas that listen on these ports."""
    config = HAProxyConfig(
        socket_path=values["RAY_SERVE_HAPROXY_SOCKET_PATH"],
        server_state_base=values["RAY_SERVE_HAPROXY_SERVER_STATE_BASE"],
        server_state_file=values["RAY_SERVE_HAPROXY_SERVER_STATE_FILE"],
        metrics_socket_path=values["RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH"],
        metrics_port=int(values["RAY_SERVE_HAPROXY_METRICS_PORT"]),
        stats_port=int(values["RAY_SERVE_HAPROXY_STATS_PORT"]),
        nbthread=int(values["RAY_SERVE_HAPROXY_NBTHREAD"]),
        retry_on=values["RAY_SERVE_HAPROXY_RETRY_ON"],
        retries=int(values["RAY_SERVE_HAPROXY_RETRIES"]),
        bufsize=int(values["RAY_SERVE_HAPROXY_TUNE_BUFSIZE"]),
        http_options=HTTPOptions(host="127.0.0.1", port=free_port()),
    )
    api = HAProxyApi(config, config_file_path=values["RAY_SERVE_HAPROXY_CONFIG_FILE_LOC"])
    servers = [ServerConfig(f"replica-{port}", "127.0.0.1", port) for port in ports]
    # Ray's replicas answer its own health check; here the application has to.
    backend = BackendConfig(
        "http-app", "/", servers=servers, app_name="app", http_health_check_path="/readyz"
    )
    api.set_backend_configs({backend.name: backend})
    return api


@asynccontextmanager
async def client_of(
    running: Running, other_ports: Sequence[int] = ()
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of HAProxy, which stands before the application, and before others like it."""
    async with listening(running.app) as port, haproxy_client([port, *other_ports]) as client:
        yield client


@asynccontextmanager
async def haproxy_client(ports: Sequence[int]) -> AsyncIterator[httpx.AsyncClient]:
    """A client of HAProxy, which stands before replicas that listen on these ports."""
    assert HAPROXY is not None
    with TemporaryDirectory(prefix="p-", dir=SOCKETS) as folder:
        values = haproxy_environment(HAPROXY, Path(folder), BODY_TIMEOUT_S)
        with changed_environment(values):
            api = haproxy_before(ports, values)
            await api.start()
            url = f"http://127.0.0.1:{api.cfg.frontend_port}"
            try:
                async with httpx.AsyncClient(base_url=url, timeout=20) as client:
                    yield client
            finally:
                await api.stop()


async def events_of(response: httpx.Response) -> AsyncIterator[Event]:
    """Events of a stream, each as soon as it is there."""
    text = ""
    async for more in response.aiter_text():
        text += more
        while "\n\n" in text:
            block, _, text = text.partition("\n\n")
            for event in parse_events(f"{block}\n\n"):
                yield event


def texts(event: Event) -> list[str]:
    return [token["text"] for token in event.data["tokens"]]


def caption_body(width: int, **fields: Any) -> dict[str, Any]:
    """A photo of its own for each width."""
    return {"image": to_base64(encode_photo(width, 30)), **fields}


async def test_first_event_arrives_before_the_last_is_computed(start: Start) -> None:
    running = await start(is_gated=True)
    running.predictor.caption_parts = PARTS
    async with client_of(running) as client:
        body = caption_body(20, stream=True)
        running.gate.allow(1)
        async with client.stream("POST", "/v1/caption", json=body) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            events = events_of(response)
            assert texts(await anext(events)) == ["a"]
            assert len(running.slots.batches) == 1  # of the five steps of this answer
            running.gate.allow(1)
            assert texts(await anext(events)) == [" dog"]
            running.gate.open()
            rest = [event async for event in events]
    assert "".join(text for event in rest[:-1] for text in texts(event)) == ", runs"
    assert rest[-1].data["caption"] == "a dog, runs"


async def test_client_that_leaves_is_noticed_before_its_answer_is_computed(start: Start) -> None:
    running = await start(is_gated=True)
    running.predictor.caption_parts = tuple(" word" for _ in range(1000))
    async with client_of(running) as client:
        running.gate.allow(1)
        async with client.stream(
            "POST", "/v1/caption", json=caption_body(20, stream=True)
        ) as response:
            await anext(events_of(response))
        while running.service.engine.num_running:
            running.gate.allow(1)
            await asyncio.sleep(0.01)
        assert len(running.slots.batches) < 1000
        metrics = (await client.get("/metrics")).text
    assert 'offramp_requests_total{route="/v1/caption",status="499"} 1.0' in metrics


@asynccontextmanager
async def dying_replica(heard: list[bytes]) -> AsyncIterator[int]:
    """The port of a replica that seems well, and dies of every question after reading it."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = re.search(rb"content-length: (\d+)", head)
        if length is None:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        else:
            heard.append(await reader.readexactly(int(length[1])))
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_question_that_a_replica_did_not_live_to_answer_goes_to_another(start: Start) -> None:
    running = await start()
    heard: list[bytes] = []
    async with dying_replica(heard) as port, client_of(running, [port]) as client:
        bodies = [caption_body(300 + number) for number in range(4)]
        answers = [await client.post("/v1/caption", json=body) for body in bodies]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert heard
    assert all(json.loads(body) in bodies for body in heard)


async def test_question_that_kills_replicas_kills_two_at_most() -> None:
    heard: list[bytes] = []
    async with (
        dying_replica(heard) as one,
        dying_replica(heard) as two,
        dying_replica(heard) as three,
        haproxy_client([one, two, three]) as client,
    ):
        answer = await client.post("/v1/caption", json=caption_body(20))
    assert answer.status_code == 500
    assert len(heard) == 2


async def test_body_that_does_not_come_whole_is_refused_as_the_service_would(start: Start) -> None:
    async with client_of(await start()) as client:
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(as_sent(caption_body(20))[:-1])
        reply = (await asyncio.wait_for(reader.read(), 20)).decode()
        writer.close()
    head, _, body = reply.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 408 ")
    assert "content-type: application/json" in head
    error = ErrorAnswer.model_validate_json(body).error
    assert error.code == BodyTimeoutError.code
    assert "within 1 s" in error.message
    assert error.request_id


async def test_refusal_arrives_unchanged_and_is_sent_once(start: Start) -> None:
    running = await start(is_gated=True, num_slots=1, queue_limit=1)
    engine = running.service.engine
    async with client_of(running) as client, asyncio.TaskGroup() as group:
        group.create_task(client.post("/v1/caption", json=caption_body(20)))
        await wait_until(lambda: engine.num_running == 1)
        group.create_task(client.post("/v1/caption", json=caption_body(21)))
        await wait_until(lambda: engine.num_waiting == 1)
        headers = {"x-request-id": "mine"}
        body = caption_body(22)
        refused = await client.post("/v1/caption", json=body, headers=headers)
        metrics = (await client.get("/metrics")).text
        direct = await running.client.post("/v1/caption", json=body, headers=headers)
        running.gate.open()
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert refused.json()["error"]["code"] == "overloaded"
    assert refused.content == direct.content
    assert {name: refused.headers[name] for name in direct.headers} == dict(direct.headers)
    assert 'offramp_requests_total{route="/v1/caption",status="429"} 1.0' in metrics


def num_left(served: Served) -> float:
    """Captions whose client had left."""
    text = served.client.get("/metrics").text
    found = re.findall(r"^offramp_requests_total{.*status=\"499\".*} (.+)$", text, re.MULTILINE)
    return sum(map(float, found))


def as_sent(body: dict[str, Any]) -> bytes:
    """A request that no cache answers."""
    content = json.dumps(body).encode()
    head = (
        "POST /v1/caption HTTP/1.1\r\nHost: test\r\nCache-Control: no-cache\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


@pytest.mark.cluster
@pytest.mark.timeout(300)
def test_replica_notices_who_leaves_haproxy(served: Served) -> None:
    url = served.client.base_url
    before = num_left(served)
    for _ in range(NUM_TRIES):  # those who are answered too soon have not left
        with ExitStack() as stack:
            for number in range(40):  # more than there are slots
                connection = socket.create_connection((url.host, url.port))
                stack.enter_context(connection).sendall(as_sent(caption_body(20 + number)))
            served.client.get("/healthz").raise_for_status()  # by now some have reached it
        if num_left(served) > before:
            break
    assert num_left(served) > before
