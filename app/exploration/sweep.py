"""Asking the service for every setting and example, a few at a time, until done or stopped.

Example after example, each under all settings: every setting has a point as soon as the first
examples are through. Stopping cancels what is under way.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from threading import Event
from typing import NamedTuple

from app.async_client import AsyncClient
from app.client import encode_photo
from app.errors import ServiceError
from app.exploration.examples import CAPTION, Example
from app.exploration.grid import Setting
from app.exploration.outcomes import Findings, Outcome, Place, Refusal, outcome_of
from serve.schemas import CaptionRequest, EntailmentRequest

POLL_S = 0.2  # how soon a stop is seen
REPORT_S = 1.0  # how often a page is told, after the first answer

Asked = asyncio.Task[tuple[Place, Outcome | Refusal]]


class Step(NamedTuple):
    """A sweep at one moment.

    Attributes:
        findings: So far.
        seconds: Since it began.
        num_waiting: Requests that wait because the service is busy.
        is_over: True of the last one.
    """

    findings: Findings
    seconds: float
    num_waiting: int
    is_over: bool


async def run_sweep(
    client: AsyncClient, findings: Findings, num_at_a_time: int, stop: Event
) -> AsyncGenerator[Step, None]:
    """The findings, again and again as they grow, and at the end.

    Args:
        client: Of the service.
        findings: With settings and examples; nothing asked yet.
        num_at_a_time: Requests under way together.
        stop: Ends the sweep when set; so does closing this iterator.

    Raises:
        ServiceError: The service does not answer.
    """
    began = reported = time.monotonic()
    outcomes: dict[Place, Outcome] = {}
    refusals: dict[Place, Refusal] = {}
    places = places_in_order(findings)
    running: set[Asked] = set()

    def step(is_over: bool = False) -> Step:
        grown = Findings(
            findings.task, findings.settings, findings.examples, dict(outcomes), dict(refusals)
        )
        return Step(grown, time.monotonic() - began, client.num_waiting, is_over)

    try:
        while not stop.is_set():
            start_tasks(running, places, num_at_a_time, client, findings)
            if not running:
                break
            done, running = await asyncio.wait(
                running, timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED
            )
            is_first = bool(done) and not outcomes and not refusals
            keep_results(done, outcomes, refusals)
            if is_first or time.monotonic() - reported >= REPORT_S:
                reported = time.monotonic()
                yield step()
    finally:
        await cancel(running)
    yield step(is_over=True)


async def cancel(running: set[Asked]) -> None:
    """Ends requests under way, and returns when they have ended."""
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


def keep_results(
    done: set[Asked], outcomes: dict[Place, Outcome], refusals: dict[Place, Refusal]
) -> None:
    """Put what was found in its place.

    Raises:
        ServiceError: One of them got no answer.
    """
    failed = [error for task in done if (error := task.exception())]
    for place, found in (task.result() for task in done if not task.exception()):
        if isinstance(found, Refusal):
            refusals[place] = found
        else:
            outcomes[place] = found
    if failed:
        raise failed[0]


def places_in_order(findings: Findings) -> Iterator[Place]:
    """Every place, example by example."""
    return (
        Place(setting, example)
        for example in range(len(findings.examples))
        for setting in range(len(findings.settings))
    )


def start_tasks(
    running: set[Asked],
    places: Iterator[Place],
    limit: int,
    client: AsyncClient,
    findings: Findings,
) -> None:
    """Add to ``running`` until there are ``limit``, or nothing is left to ask."""
    while len(running) < limit and (place := next(places, None)) is not None:
        setting, example = findings.settings[place.setting], findings.examples[place.example]
        running.add(asyncio.create_task(ask(client, findings.task, place, setting, example)))


async def ask(
    client: AsyncClient, task: str, place: Place, setting: Setting, example: Example
) -> tuple[Place, Outcome | Refusal]:
    """One answer in its place, or why there is none.

    Raises:
        ServiceError: The service does not answer; what it refuses is no error here.
    """
    image = await asyncio.to_thread(encode_photo, example.path)
    try:
        if task == CAPTION:
            answer = await client.caption(CaptionRequest(image=image, policy=setting.rules))
            return place, outcome_of(answer)
        request = EntailmentRequest(
            image=image,
            hypothesis=example.hypothesis or "",
            premise=example.premise,
            policy=setting.rules,
        )
        return place, outcome_of(await client.entailment(request))
    except ServiceError as error:
        if error.request_id is None:
            raise
        return place, Refusal(error.message, error.request_id)
