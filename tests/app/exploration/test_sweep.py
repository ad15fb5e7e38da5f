"""A sweep against a service that counts: order, bounds, stops, refusals, failures."""

import asyncio
import json
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from threading import Event

import httpx
import pytest

from app.async_client import AsyncClient
from app.client import Client
from app.errors import ServiceError
from app.exploration import sweep
from app.exploration.examples import Example
from app.exploration.outcomes import Findings, Place
from app.exploration.sweep import Step, run_sweep
from tests.app.conftest import MakeClient, answer_canned


@pytest.fixture
def planned(findings: Findings, tmp_path: Path) -> Findings:
    """Two settings on three photos, nothing asked yet."""
    photos = [tmp_path / f"{number}.png" for number in range(3)]
    for photo in photos:
        photo.write_bytes(photo.name.encode())
    examples = tuple(Example(str(photo), photo.name) for photo in photos)
    return replace(findings, examples=examples, outcomes={})


class Service:
    """Canned answers; holds requests back while ``gate`` is closed, and counts them."""

    def __init__(self, is_open: bool = True) -> None:
        self.gate = asyncio.Event()
        if is_open:
            self.gate.set()
        self.kinds: list[str] = []
        self.under_way = self.most = self.cancelled = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.kinds.append(json.loads(request.content)["policy"]["decoder"]["kind"])
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.under_way -= 1
        return answer_canned(request)


def client_of(service: Service) -> Client:
    return Client("http://service.test", transport=httpx.MockTransport(service))


async def collect(client: Client, planned: Findings, limit: int = 2) -> list[Step]:
    async with AsyncClient(client) as calls:
        return [step async for step in run_sweep(calls, planned, limit, Event())]


async def test_every_setting_is_asked_before_the_next_example(planned: Findings) -> None:
    service = Service()
    with client_of(service) as client:
        steps = await collect(client, planned, limit=1)
    assert service.kinds == ["never", "fixed_depth"] * 3
    assert steps[-1].is_over
    assert set(steps[-1].findings.outcomes) == {Place(s, e) for s in (0, 1) for e in (0, 1, 2)}


async def test_only_so_many_are_under_way(planned: Findings) -> None:
    service = Service(is_open=False)
    with client_of(service) as client:
        sweeping = asyncio.create_task(collect(client, planned, limit=2))
        while service.under_way < 2:
            await asyncio.sleep(0)
        service.gate.set()
        await sweeping
    assert service.most == 2


async def test_page_is_told_of_the_first_answer_at_once(
    planned: Findings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "REPORT_S", 1000.0)
    with client_of(Service()) as client:
        first, last = await collect(client, planned, limit=1)
    assert set(first.findings.outcomes) == {Place(0, 0)}
    assert (first.is_over, last.is_over) == (False, True)


async def test_stop_cancels_what_is_under_way_and_keeps_the_rest(planned: Findings) -> None:
    service, stop = Service(), Event()
    with client_of(service) as client:
        async with AsyncClient(client) as calls:

            async def sweep_all() -> Step:
                return [step async for step in run_sweep(calls, planned, 2, stop)][-1]

            sweeping = asyncio.create_task(sweep_all())
            while len(service.kinds) < 2:
                await asyncio.sleep(0)
            service.gate.clear()
            while service.under_way < 2:
                await asyncio.sleep(0)
            stop.set()
            last = await sweeping
    assert (service.cancelled, service.under_way) == (2, 0)
    assert last.is_over and 0 < last.findings.num_asked < last.findings.num_places


async def test_closing_cancels_what_is_under_way(
    planned: Findings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "REPORT_S", 0.0)
    monkeypatch.setattr(sweep, "POLL_S", 0.001)
    service = Service(is_open=False)
    with client_of(service) as client:
        async with (
            AsyncClient(client) as calls,
            aclosing(run_sweep(calls, planned, 3, Event())) as steps,
        ):
            while service.under_way < 3:
                await anext(steps)
    assert (service.cancelled, service.under_way) == (3, 0)


async def test_refusal_is_kept_in_its_place(planned: Findings, make_client: MakeClient) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if json.loads(request.content)["policy"]["decoder"]["kind"] == "never":
            return answer_canned(request)
        error = {"code": "invalid_input", "message": "too deep", "request_id": "req-7"}
        return httpx.Response(422, json={"error": error})

    last = (await collect(make_client(answer), planned))[-1]
    assert set(last.findings.refusals) == {Place(1, number) for number in range(3)}
    assert last.findings.refusals[Place(1, 0)].message == "too deep"
    assert len(last.findings.outcomes) == 3


async def test_service_that_is_down_ends_the_sweep(planned: Findings, down_client: Client) -> None:
    with pytest.raises(ServiceError, match="does not answer"):
        await collect(down_client, planned)


async def test_sentences_are_asked_with_their_premise(
    planned: Findings, make_client: MakeClient
) -> None:
    bodies = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return answer_canned(request)

    example = replace(planned.examples[0], hypothesis="A cat.", premise="A pet.")
    asked = replace(planned, task="entailment", examples=(example,))
    last = (await collect(make_client(answer), asked))[-1]
    assert {(body["hypothesis"], body["premise"]) for body in bodies} == {("A cat.", "A pet.")}
    assert last.findings.outcomes[Place(0, 0)].text == "entailment"
