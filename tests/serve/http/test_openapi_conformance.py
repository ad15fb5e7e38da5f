"""Requests made of the OpenAPI description: every answer is one that it describes."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, settings
from schemathesis.checks import positive_data_acceptance
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.cache.result_cache import ResultCache
from serve.engine import Engine, EngineLimits
from serve.http.api import create_app
from serve.service import Service
from serve.settings import ServeSettings
from tests.serve.fakes import FakePredictor, FakeSlots, Gate

NUM_EXAMPLES = 5
KEY = "a-key"
# A text that the description allows need not be a photo.
TOO_STRICT = [positive_data_acceptance]


class Door:
    """Leads to the running application: pytest reads the description before there is one."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None and scope["type"] == "http", (
            "started and closed by `running_app`"
        )
        await self.app(scope, receive, send)


@contextmanager
def running_app() -> Iterator[FastAPI]:
    """An application around the fake predictor."""
    chosen = ServeSettings(embedded_cache=False, api_keys=KEY, request_timeout_s=5.0)
    gate = Gate()
    gate.open()
    engine = Engine(lambda: FakeSlots(chosen.num_slots, gate), EngineLimits(64, 4, 5.0))
    service = Service(FakePredictor(), engine, ResultCache.from_settings(chosen), chosen)
    try:
        yield create_app(service)
    finally:
        asyncio.run(service.aclose())


def read_description(door: Door) -> schemathesis.BaseSchema:
    """The description, its requests going through ``door``."""
    with running_app() as app:
        description = schemathesis.openapi.from_dict(app.openapi())
    description.app = door
    return description


DOOR = Door()
DESCRIPTION = read_description(DOOR)


@pytest.fixture(scope="module", autouse=True)
def _running() -> Iterator[None]:
    with running_app() as app:
        DOOR.app = app
        yield


@DESCRIPTION.parametrize()
@settings(
    max_examples=NUM_EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_described(case: schemathesis.Case) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    case.call_and_validate(headers=headers, excluded_checks=TOO_STRICT)
