"""The ASGI application: routes put together, and how errors become answers.

The description of the whole surface is at ``/openapi.json``; FastAPI's pages for it load scripts
from elsewhere, so they are off.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from model_core.errors import InputError
from serve.errors import HTTP_CODES, EngineError, InvalidInputError, ServiceError, describe_value
from serve.http.chat_routes import ChatRoutes
from serve.http.middleware import (
    RequestMiddleware,
    context_of,
    error_response,
    make_error_response,
)
from serve.http.model_routes import ModelRoutes
from serve.http.open_routes import OpenRoutes
from serve.http.openapi import add_openapi
from serve.service import Service

logger = logging.getLogger(__name__)

API_VERSION = "1"
DESCRIPTION = (
    "Captions and entailment labels from a vision-language model that stops computing as soon as "
    "the answer is there. Every answer tells which layers ran. `Cache-Control: no-cache` computes "
    "an answer anew, `no-store` does not keep it; `X-Request-ID` names a request."
)


def create_app(service: Service, sends_request_id: bool = True) -> FastAPI:
    """The ASGI application of one replica; closing it closes the service.

    Args:
        service: What answers.
        sends_request_id: False where the server in front puts the id on every answer itself.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await service.aclose()

    app = FastAPI(
        title="Offramp",
        version=API_VERSION,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    app.include_router(OpenRoutes(service).router())
    admit = [Depends(service.drain.admit)]
    app.include_router(ModelRoutes(service).router(), dependencies=admit)
    app.include_router(ChatRoutes(service).router(), dependencies=admit)
    app.add_middleware(
        RequestMiddleware,
        metrics=service.metrics,
        tracing=service.tracing,
        model_hash=service.info.hash,
        max_body_bytes=service.settings.max_body_bytes,
        body_timeout_s=service.settings.body_timeout_s,
        sends_request_id=sends_request_id,
    )
    _allow_origins(app, service.settings.cors_origins)
    _add_error_handlers(app)
    add_openapi(app)
    return app


def _allow_origins(app: FastAPI, origins: Sequence[str]) -> None:
    """Lets pages of these origins ask; outermost, so that errors can be read there too."""
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Cache-Control", "Content-Type", "X-Request-ID"],
            expose_headers=["Retry-After", "X-Request-ID"],
        )


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(ServiceError)
    async def service_error(request: Request, error: ServiceError) -> Response:
        request_id = context_of(request).request_id
        if isinstance(error, EngineError):
            cause = type(error.__cause__).__name__
            logger.error("request %s failed in the engine: %s", request_id, cause)
        return error_response(error, request_id)

    @app.exception_handler(InputError)
    async def input_error(request: Request, error: InputError) -> Response:
        return error_response(InvalidInputError(str(error)), context_of(request).request_id)

    @app.exception_handler(RequestValidationError)
    async def validation_error(request: Request, error: RequestValidationError) -> Response:
        parts = [
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']} "
            f"(got {describe_value(item['input'])})"
            for item in error.errors()
        ]
        return error_response(InvalidInputError("; ".join(parts)), context_of(request).request_id)

    @app.exception_handler(StarletteHTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        status = error.status_code
        code = HTTP_CODES.get(status, "http_error")
        message = f"{request.method} {request.url.path}: {error.detail}"
        request_id = context_of(request).request_id
        return make_error_response(status, code, message, request_id, error.headers)
