"""What the service sent, read: whole answers, events of a stream, and refusals."""

import logging
from collections.abc import Iterator
from typing import TypeVar

import httpx
from httpx_sse import EventSource, ServerSentEvent, SSEError
from pydantic import BaseModel, ValidationError

from app.errors import ServiceError
from serve.schemas import ErrorAnswer, StreamEvent, TokenEvent

logger = logging.getLogger(__name__)

REQUEST_ID_HEADER = "x-request-id"

Answer = TypeVar("Answer", bound=BaseModel)


def parse_answer(response: httpx.Response, answer_type: type[Answer]) -> Answer:
    """The answer of a successful response.

    Raises:
        ServiceError: The body is not what ``serve.schemas`` promises.
    """
    try:
        return answer_type.model_validate_json(response.content)
    except ValidationError as error:
        raise _unknown_form(response, error) from error


def read_events(
    response: httpx.Response, answer_type: type[Answer]
) -> Iterator[TokenEvent | Answer]:
    """The tokens of a successful stream as they arrive, then its answer.

    Raises:
        ServiceError: The answer failed on its way, the stream ended without it, or it is not what
            ``serve.schemas`` promises.
    """
    try:
        for event in EventSource(response).iter_sse():
            if event.event == StreamEvent.TOKEN:
                yield TokenEvent.model_validate_json(event.data)
            elif event.event == StreamEvent.ANSWER:
                yield answer_type.model_validate_json(event.data)
                return
            elif event.event == StreamEvent.ERROR:
                raise _failure(event)
    except (ValidationError, SSEError) as error:
        raise _unknown_form(response, error) from error
    raise ServiceError(
        "The service stopped in the middle of its answer. Try again.", _request_id(response)
    )


def refusal(response: httpx.Response) -> ServiceError:
    """The service's own sentence where it gave one, ours otherwise."""
    try:
        detail = ErrorAnswer.model_validate_json(response.content).error
    except ValidationError:
        return ServiceError(
            f"The service answered with status {response.status_code} and no explanation. "
            "Is the address really that of an Offramp service?",
            _request_id(response),
        )
    return ServiceError(detail.message, detail.request_id)


def _failure(event: ServerSentEvent) -> ServiceError:
    detail = ErrorAnswer.model_validate_json(event.data).error
    return ServiceError(detail.message, detail.request_id)


def _unknown_form(response: httpx.Response, error: Exception) -> ServiceError:
    logger.warning("unreadable answer of %s: %s", response.url.path, error)
    return ServiceError(
        "The service answered in a form this page does not understand. "
        "Are the page and the service of the same version?",
        _request_id(response),
    )


def _request_id(response: httpx.Response) -> str | None:
    request_id: str | None = response.headers.get(REQUEST_ID_HEADER)
    return request_id
