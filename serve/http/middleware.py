"""Around every request: its id, the limits of its body, its log line, and the last-resort error.

Pure ASGI, because a body must be counted while it is read, and a cancelled request must stay
cancelled. No photo and no text of a user is ever logged.
"""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.errors import ServiceError, error_answer
from serve.http.request_body import bounded_receive
from serve.schemas import CacheState, ExitTrace
from serve.telemetry.failure_report import UNEXPECTED, describe_failure
from serve.telemetry.logs import AnswerNote, RequestLine
from serve.telemetry.metrics import ServiceMetrics
from serve.telemetry.tracing import Close, Tracing

logger = logging.getLogger(__name__)

REQUEST_ID_HEADER = "x-request-id"
CLIENT_CLOSED_REQUEST = 499
# Asked all the time, by machines.
QUIET_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SCOPE_KEY = "offramp.context"


@dataclass
class RequestContext:
    """What is known of a request, for its answer and its log line."""

    request_id: str
    started_at: float = field(default_factory=time.monotonic)
    status: int = CLIENT_CLOSED_REQUEST
    error_code: str | None = None
    answers: list[AnswerNote] = field(default_factory=list)

    def note_answer(self, policy: str | None, cache: CacheState, trace: ExitTrace) -> None:
        """Keeps policy, cache state and depths for the log line."""
        self.answers.append(AnswerNote.of(policy, cache, trace))


def context_of(request: Request) -> RequestContext:
    """The context the middleware made for this request."""
    context = request.scope[_SCOPE_KEY]
    assert isinstance(context, RequestContext)
    return context


def error_response(error: ServiceError, request_id: str) -> Response:
    """The answer that an error becomes."""
    return make_error_response(error.status, error.code, str(error), request_id, error.headers)


def make_error_response(
    status: int,
    code: str,
    message: str,
    request_id: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An ``ErrorAnswer`` as a response."""
    body = error_answer(status, code, message, request_id).model_dump_json()
    return ErrorResponse(code, body, status, headers)


class ErrorResponse(Response):
    """A response that notes its code in the context of the request it answers."""

    def __init__(
        self, code: str, body: str, status: int, headers: Mapping[str, str] | None
    ) -> None:
        super().__init__(body, status, headers, media_type="application/json")
        self._code = code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[_SCOPE_KEY].error_code = self._code
        await super().__call__(scope, receive, send)


class RequestMiddleware:
    """Gives each HTTP request its context, and watches over it."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: ServiceMetrics,
        tracing: Tracing,
        model_hash: str,
        max_body_bytes: int,
        body_timeout_s: float,
        sends_request_id: bool = True,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._tracing = tracing
        self._model_hash = model_hash[:12]
        self._max_body_bytes = max_body_bytes
        self._body_timeout_s = body_timeout_s
        self._sends_request_id = sends_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Request(scope).headers
        context = RequestContext(_request_id(headers))
        scope[_SCOPE_KEY] = context
        tracing = Tracing() if scope["path"] in QUIET_PATHS else self._tracing
        with tracing.request(headers) as close_span:
            try:
                await self._watch(scope, receive, send, context)
            finally:
                self._report(scope, context, close_span)

    async def _watch(
        self, scope: Scope, receive: Receive, send: Send, context: RequestContext
    ) -> None:
        has_started = False

        async def send_with_id(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                context.status = message["status"]
                if self._sends_request_id:
                    header = (REQUEST_ID_HEADER.encode(), context.request_id.encode())
                    message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        bounded = bounded_receive(scope, receive, self._max_body_bytes, self._body_timeout_s)
        try:
            await self._app(scope, bounded, send_with_id)
        except asyncio.CancelledError:
            raise
        except ClientDisconnect:
            logger.debug("request %s: the client left while it sent the body", context.request_id)
        except Exception as error:
            logger.error("request %s failed: %s", context.request_id, describe_failure(error))
            if has_started:
                raise
            response = make_error_response(
                500, ServiceError.code, UNEXPECTED,
                context.request_id,
            )  # fmt: skip
            await response(scope, receive, send_with_id)

    def _report(self, scope: Scope, context: RequestContext, close_span: Close) -> None:
        seconds = time.monotonic() - context.started_at
        route = getattr(scope.get("route"), "path", "unmatched")
        line = RequestLine(
            request_id=context.request_id,
            route=route,
            status=context.status,
            ms=1000 * seconds,
            model=self._model_hash,
            error=context.error_code,
            answers=tuple(context.answers),
        )
        logger.log(logging.DEBUG if route in QUIET_PATHS else logging.INFO, line)
        close_span(line)
        self._metrics.count_request(route, context.status, seconds)
        if context.error_code is not None:
            self._metrics.count_error(context.error_code)


def _request_id(headers: Mapping[str, str]) -> str:
    """The caller's id when it is harmless, else a new one."""
    given = headers.get(REQUEST_ID_HEADER, "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
