"""Many requests to the service at a time, each of which can be cancelled.

Cancelling a call closes its connection, by which the service learns that nobody waits any more. A
service whose queue is full answers 429 and says when to come again: that is waited for.
"""

import asyncio
import logging
from types import TracebackType
from typing import Self, TypeVar

import httpx
from pydantic import BaseModel

from app.client import Client
from app.responses import parse_answer, refusal
from serve.schemas import CaptionAnswer, CaptionRequest, EntailmentAnswer, EntailmentRequest

logger = logging.getLogger(__name__)

FIRST_WAIT_S = 1.0  # when a 429 does not say how long
MAX_WAIT_S = 30.0
PATIENCE_S = 300.0  # of one call, all its waits together

Answer = TypeVar("Answer", bound=BaseModel)


class AsyncClient:
    """Calls the service that ``client`` calls, from one event loop.

    Attributes:
        num_waiting: Calls that wait because the service is busy.
    """

    def __init__(self, client: Client) -> None:
        self._connection = client.connection
        self.num_waiting = 0
        self._http = httpx.AsyncClient(
            base_url=self._connection.base_url,
            headers=self._connection.headers,
            timeout=self._connection.timeout,
            transport=self._connection.transport,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def caption(self, request: CaptionRequest) -> CaptionAnswer:
        """The caption of a photo with its exits."""
        return await self._post("/v1/caption", request, CaptionAnswer)

    async def entailment(self, request: EntailmentRequest) -> EntailmentAnswer:
        """The label of a photo and a sentence with its exits."""
        return await self._post("/v1/entailment", request, EntailmentAnswer)

    async def _post(self, path: str, body: BaseModel, answer_type: type[Answer]) -> Answer:
        content = await asyncio.to_thread(body.model_dump_json, exclude_none=True)
        response = await self._send(path, content)
        waited = 0.0
        while response.status_code == httpx.codes.TOO_MANY_REQUESTS and waited < PATIENCE_S:
            wait = retry_after_s(response)
            waited += wait
            await self._wait(wait)
            response = await self._send(path, content)
        if not response.is_success:
            raise refusal(response)
        return parse_answer(response, answer_type)

    async def _send(self, path: str, content: str) -> httpx.Response:
        headers = {"content-type": "application/json"}
        try:
            return await self._http.post(path, content=content, headers=headers)
        except httpx.HTTPError as error:
            logger.warning("POST %s failed: %r", path, error)
            raise self._connection.failure(error) from error

    async def _wait(self, wait_s: float) -> None:
        self.num_waiting += 1
        try:
            await asyncio.sleep(wait_s)
        finally:
            self.num_waiting -= 1


def retry_after_s(response: httpx.Response) -> float:
    """How long a busy service asks to wait; a date, which ours never sends, counts as unsaid."""
    try:
        asked = float(response.headers["retry-after"])
    except (KeyError, ValueError):
        return FIRST_WAIT_S
    return min(max(asked, 0.0), MAX_WAIT_S)
