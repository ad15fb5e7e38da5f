"""An application around the fake predictor, and photos to send."""

import base64
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI
from PIL import Image

from serve.cache.backends import EmbeddedServer
from serve.cache.result_cache import ResultCache
from serve.engine import Engine, EngineLimits
from serve.http.api import create_app
from serve.service import Service
from serve.settings import ServeSettings
from serve.telemetry.tracing import Tracing
from tests.serve.fakes import FakeInfo, FakePredictor, FakeSlots, Gate
from tools.fault_proxy import FaultProxy


def encode_photo(width: int = 8, height: int = 6, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, form)
    return file.getvalue()


def to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture
def photo() -> bytes:
    return encode_photo()


@pytest.fixture
def image(photo: bytes) -> str:
    return f"data:image/png;base64,{to_base64(photo)}"


@dataclass
class Running:
    """A service without Ray, and a client for it."""

    client: httpx.AsyncClient
    app: FastAPI
    service: Service
    predictor: FakePredictor
    gate: Gate
    slots: FakeSlots


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts services with the settings a test wants; stopped after the test."""
    async with AsyncExitStack() as stack:

        async def run(
            is_gated: bool = False,
            info: FakeInfo | None = None,
            tracing: Tracing | None = None,
            **values: object,
        ) -> Running:
            settings = ServeSettings(**{"embedded_cache": False, **values})
            predictor, gate = FakePredictor(info), Gate()
            if not is_gated:
                gate.open()
            limits = EngineLimits(settings.queue_limit, 4, settings.request_timeout_s)
            made: list[FakeSlots] = []

            def make_slots() -> FakeSlots:
                made.append(FakeSlots(settings.num_slots, gate))
                return made[-1]

            engine = Engine(make_slots, limits)
            stack.callback(gate.open)
            cache = ResultCache.from_settings(settings)
            service = Service(predictor, engine, cache, settings, tracing)
            app = create_app(service)
            await stack.enter_async_context(app.router.lifespan_context(app))
            client = httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://test", timeout=20
            )
            await stack.enter_async_context(client)
            stack.callback(gate.open)
            return Running(client, app, service, predictor, gate, made[0])

        yield run


@pytest.fixture
async def running(start: Start) -> Running:
    return await start()


@pytest.fixture
def valkey() -> Iterator[EmbeddedServer]:
    """A real server for one test."""
    server = EmbeddedServer()
    yield server
    server.close()


@pytest.fixture
async def proxy(valkey: EmbeddedServer) -> AsyncIterator[FaultProxy]:
    """What a test reaches it through, and can break."""
    async with FaultProxy(valkey.url) as proxy:
        yield proxy
