"""The HTTP surface: routes, authentication, and how errors become answers.

Every route is thin: read the upload, ask the service, put the answer on the wire. The description
of the whole surface is at ``/openapi.json``; FastAPI's pages for it load scripts from elsewhere, so
they are off.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException

from model_core.errors import InputError
from model_core.request import EMBEDDING_TASK, TAGS_TASK
from model_core.tagging import chosen_words
from serve import schemas
from serve.cache import CachedAnswer
from serve.errors import (
    HTTP_CODES,
    InvalidInputError,
    ServiceError,
    UnauthorizedError,
    UnavailableError,
    describe_value,
)
from serve.inputs import read_upload
from serve.middleware import (
    RequestMiddleware,
    context_of,
    error_response,
    make_error_response,
)
from serve.openapi import add_openapi, describe_body
from serve.policy_book import ChosenPolicy
from serve.questions import DecodedQuestion, Question
from serve.service import ServedAnswer, Service

API_VERSION = "1"
DESCRIPTION = (
    "Captions and entailment labels from a vision-language model that stops computing as soon as "
    "the answer is there. Every answer tells which layers ran. `Cache-Control: no-cache` computes "
    "an answer anew; `X-Request-ID` names a request."
)
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.ErrorAnswer, "description": text}
    for status, text in (
        (400, "The body cannot be read."),
        (401, "No or a wrong API key."),
        (413, "The photo or the body is too large."),
        (415, "A content type that is not read here."),
        (422, "A field, the photo or the policy cannot be used."),
        (429, "The queue is full; see Retry-After."),
        (503, "Starting or stopping."),
        (504, "No answer within the time limit."),
    )
}

DecodedAnswer = schemas.CaptionAnswer | schemas.EntailmentAnswer


def create_app(service: Service) -> FastAPI:
    """The ASGI application of one replica; closing it closes the service."""

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
    app.include_router(ModelRoutes(service).router())
    app.add_middleware(
        RequestMiddleware,
        metrics=service.metrics,
        model_hash=service.info.hash,
        max_body_bytes=service.settings.max_body_bytes,
    )
    _add_error_handlers(app)
    add_openapi(app)
    return app


def _require_key(keys: Sequence[bytes]) -> Callable[..., Coroutine[Any, Any, None]]:
    """A dependency that lets through who sends one of ``keys``; everybody when there are none."""
    bearer = HTTPBearer(auto_error=False, description="Needed when the operator set API keys.")

    async def check(
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    ) -> None:
        if not keys:
            return
        if credentials is None:
            raise UnauthorizedError("authorization: no API key; send 'Authorization: Bearer KEY'")
        given = credentials.credentials.encode()
        # Compared with every key, so that the time tells nothing.
        matches = [hmac.compare_digest(given, key) for key in keys]
        if not any(matches):
            raise UnauthorizedError("authorization: this API key is not known here")

    return check


class ModelRoutes:
    """Routes that need a key, if there are any."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._max_upload_bytes = service.settings.max_upload_bytes

    def router(self) -> APIRouter:
        """The routes under ``/v1``."""
        check = _require_key(self._service.settings.read_api_keys())
        router = APIRouter(prefix="/v1", dependencies=[Depends(check)], responses=ERRORS)
        posts: tuple[tuple[Any, type[BaseModel], type[BaseModel]], ...] = (
            (self.caption, schemas.CaptionRequest, schemas.CaptionAnswer),
            (self.entailment, schemas.EntailmentRequest, schemas.EntailmentAnswer),
            (self.compare, schemas.CompareRequest, schemas.CompareAnswer),
            (self.embed, schemas.EmbedRequest, schemas.EmbedAnswer),
            (self.tags, schemas.TagsRequest, schemas.TagsAnswer),
        )
        for handler, body, answer in posts:
            router.add_api_route(
                f"/{handler.__name__}",
                handler,
                methods=["POST"],
                response_model=answer,
                openapi_extra=describe_body(body),
            )
        router.add_api_route("/model", self.model, response_model=schemas.ModelReport)
        router.add_api_route("/policies", self.policies, response_model=schemas.PoliciesReport)
        return router

    async def caption(self, request: Request) -> Response:
        """Describes a photo, and tells which layers ran for each token."""
        upload = await read_upload(request, schemas.CaptionRequest, self._max_upload_bytes)
        policy = self._service.policies.choose(upload.fields.policy, "caption")
        question = await self._service.question(
            "caption",
            upload.photo,
            max_new_tokens=upload.fields.max_new_tokens,
            num_beams=upload.fields.num_beams,
        )
        return _as_json(await _answer(self._service, request, question, policy))

    async def entailment(self, request: Request) -> Response:
        """Judges whether a photo entails a sentence."""
        upload = await read_upload(request, schemas.EntailmentRequest, self._max_upload_bytes)
        fields = upload.fields
        policy = self._service.policies.choose(fields.policy, "entailment")
        question = await self._service.question(
            "entailment", upload.photo, fields.hypothesis, fields.premise
        )
        return _as_json(await _answer(self._service, request, question, policy))

    async def compare(self, request: Request) -> Response:
        """Answers the same question under several policies, side by side."""
        upload = await read_upload(request, schemas.CompareRequest, self._max_upload_bytes)
        fields = upload.fields
        choose = self._service.policies.choose
        policies = [choose(choice, fields.task) for choice in fields.policies]
        question = await self._service.question(
            fields.task, upload.photo, fields.hypothesis, fields.premise
        )
        return _as_json(await _compare(self._service, request, question, policies))

    async def embed(self, request: Request) -> Response:
        """The unit vector of a photo or of a sentence, comparable with any other of this model."""
        upload = await read_upload(request, schemas.EmbedRequest, self._max_upload_bytes)
        policy = self._service.policies.choose(upload.fields.policy, EMBEDDING_TASK)
        question = await self._service.embedding_question(upload.photo_or_none, upload.fields.text)
        served = await _ask(self._service, request, question, policy)
        common = _common(self._service, request, served)
        return _as_json(schemas.EmbedAnswer(embedding=served.content.embedding, **common))

    async def tags(self, request: Request) -> Response:
        """Words for what a photo shows, and after how many layers they were there."""
        upload = await read_upload(request, schemas.TagsRequest, self._max_upload_bytes)
        policy = self._service.policies.choose(upload.fields.policy, TAGS_TASK)
        question = await self._service.tags_question(upload.photo)
        served = await _ask(self._service, request, question, policy)
        return _as_json(_tags(served.content, _common(self._service, request, served)))

    async def model(self) -> Response:
        """Which weights answer, and what they take."""
        return _as_json(_model_report(self._service))

    async def policies(self) -> Response:
        """The presets with their rules, the default, and the kinds of policy."""
        return _as_json(self._service.policies.report(self._service.tasks))


class OpenRoutes:
    """Routes for whoever watches the service; they need no key and tell nothing of requests."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def router(self) -> APIRouter:
        """The routes at the top."""
        router = APIRouter()
        for path, handler in (("/healthz", self.healthz), ("/readyz", self.readyz)):
            router.add_api_route(path, handler, response_model=schemas.HealthReport)
        router.add_api_route("/metrics", self.metrics, response_class=PlainTextResponse)
        return router

    async def healthz(self) -> Response:
        """How the replica is; `degraded` still answers, `503` does not."""
        return _as_json(await _health(self._service), self._status())

    async def readyz(self) -> Response:
        """`200` once requests are taken."""
        return _as_json(await _health(self._service), self._status())

    async def metrics(self) -> Response:
        """The counters of this replica, for Prometheus."""
        return Response(self._service.metrics.render(), media_type=CONTENT_TYPE_LATEST)

    def _status(self) -> int:
        return 200 if self._service.engine.is_alive else UnavailableError.status


async def _ask(
    service: Service, request: Request, question: Question, policy: ChosenPolicy
) -> ServedAnswer:
    is_cached = "no-cache" not in request.headers.get("cache-control", "").lower()
    served = await service.answer(question, policy, is_cached)
    context_of(request).note_answer(policy.name, served.cache, served.content.trace)
    return served


async def _answer(
    service: Service, request: Request, question: DecodedQuestion, policy: ChosenPolicy
) -> DecodedAnswer:
    served = await _ask(service, request, question, policy)
    content, common = served.content, _common(service, request, served)
    if content.probabilities:
        return schemas.EntailmentAnswer(
            label=content.text, probabilities=content.probabilities, **common
        )
    return schemas.CaptionAnswer(caption=content.text, **common)


async def _compare(
    service: Service,
    request: Request,
    question: DecodedQuestion,
    policies: Sequence[ChosenPolicy],
) -> schemas.CompareAnswer:
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_answer(service, request, question, policy))
                for policy in policies
            ]
    except* (ServiceError, InputError) as errors:
        # One policy that fails cancels the others; the first reason is the answer.
        raise _first(errors) from None
    answers = [task.result() for task in tasks]
    words = [_words(answer) for answer in answers]
    return schemas.CompareAnswer(
        answers=answers,
        is_same=[word == words[0] for word in words],
        request_id=context_of(request).request_id,
    )


def _first(errors: BaseExceptionGroup[Exception]) -> Exception:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Exception)
    return error


def _words(answer: DecodedAnswer) -> str:
    return answer.caption if isinstance(answer, schemas.CaptionAnswer) else answer.label


def _tags(content: CachedAnswer, common: dict[str, Any]) -> schemas.TagsAnswer:
    shares, threshold = content.probabilities, content.threshold
    assert threshold is not None
    chosen = chosen_words(tuple(shares), tuple(shares.values()), threshold)
    words = [schemas.TagWord.model_validate(word) for word in chosen]
    return schemas.TagsAnswer(words=words, probabilities=shares, threshold=threshold, **common)


def _common(service: Service, request: Request, served: ServedAnswer) -> dict[str, Any]:
    """Fields of ``schemas.AnswerBase``."""
    return {
        "trace": served.content.trace,
        "cache": served.cache,
        "policy": served.policy.as_wire(),
        "model": schemas.ModelName(name=service.info.name, hash=service.info.hash),
        "request_id": context_of(request).request_id,
    }


def _model_report(service: Service) -> schemas.ModelReport:
    info = service.info
    tasks = [
        schemas.TaskReport(
            name=name,
            takes_text=task.takes_text,
            labels=list(task.allowed_outputs),
            max_new_tokens=task.max_new_tokens,
        )
        for name, task in info.tasks.items()
    ]
    return schemas.ModelReport(
        name=info.name,
        hash=info.hash,
        device=info.device,
        dtype=info.dtype,
        num_encoder_layers=info.num_encoder_layers,
        num_decoder_layers=info.num_decoder_layers,
        hidden_size=info.hidden_size,
        vocabulary_size=info.vocabulary_size,
        num_parameters=info.num_parameters,
        tasks=tasks,
    )


async def _health(service: Service) -> schemas.HealthReport:
    engine, cache = service.engine, service.cache
    cache_is_up = await cache.check()
    warnings = []
    if not engine.is_alive:
        warnings.append("the engine takes no requests")
    if not cache_is_up:
        warnings.append(f"the result cache ({cache.name}) does not answer: nothing is reused")
    if engine.num_waiting >= service.settings.queue_limit:
        warnings.append("the queue is full")
    is_degraded = bool(warnings)
    if cache.name == "memory" and service.settings.embedded_cache:
        warnings.append("no shared cache: results are kept in this replica's memory")
    return schemas.HealthReport(
        status="degraded" if is_degraded else "ok",
        cache_backend=cache.name,
        cache_is_up=cache_is_up,
        queue_length=engine.num_waiting,
        slots_in_use=engine.num_running,
        num_slots=engine.num_slots,
        warnings=warnings,
    )


def _as_json(model: BaseModel, status: int = 200) -> Response:
    return Response(model.model_dump_json(), status, media_type="application/json")


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(ServiceError)
    async def service_error(request: Request, error: ServiceError) -> Response:
        return error_response(error, context_of(request).request_id)

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
