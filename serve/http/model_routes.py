"""Routes that ask the model: thin, each reads the upload, asks the service and words the answer."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel

from model_core.errors import InputError
from model_core.request import EMBEDDING_TASK, TAGS_TASK
from model_core.tagging import chosen_words
from serve import schemas
from serve.cache.cache_control import read_cache_control
from serve.cache.result_cache import CachedAnswer
from serve.errors import ServiceError
from serve.http.auth import require_key
from serve.http.connection import while_connected
from serve.http.inputs import read_upload
from serve.http.middleware import context_of
from serve.http.openapi import describe_body, describe_stream
from serve.http.rate_limit import limit_rate
from serve.http.responses import as_json
from serve.http.streaming import AnswerEvents, respond_with_events
from serve.policies.book import ChosenPolicy
from serve.questions import DecodedQuestion, Question
from serve.service import ServedAnswer, Service
from serve.token_feed import Follow, follow_nothing

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.ErrorAnswer, "description": text}
    for status, text in (
        (400, "The body cannot be read."),
        (401, "No or a wrong API key."),
        (408, "The body took too long to arrive."),
        (413, "The photo or the body is too large."),
        (415, "A content type that is not read here."),
        (422, "A field, the photo or the policy cannot be used."),
        (429, "The queue is full, or too many requests of this key; see Retry-After."),
        (503, "Starting or stopping."),
        (504, "No answer within the time limit."),
    )
}

SteeredRequest = (
    schemas.CaptionRequest | schemas.EntailmentRequest | schemas.EmbedRequest | schemas.TagsRequest
)
DecodedAnswer = schemas.CaptionAnswer | schemas.EntailmentAnswer


class ModelRoutes:
    """Routes that need a key, if there are any."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._max_upload_bytes = service.settings.max_upload_bytes

    def router(self) -> APIRouter:
        """The routes under ``/v1``."""
        guards = [
            Depends(require_key(self._service.settings.read_api_keys())),
            Depends(limit_rate(self._service.rate_limiter)),
        ]
        router = APIRouter(prefix="/v1", dependencies=guards, responses=ERRORS)
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
                responses=describe_stream(body, answer),
                openapi_extra=describe_body(body),
            )
        router.add_api_route("/model", self.model, response_model=schemas.ModelReport)
        router.add_api_route("/policies", self.policies, response_model=schemas.PoliciesReport)
        return router

    async def caption(self, request: Request) -> Response:
        """Describes a photo, and tells which layers ran for each token."""
        upload = await read_upload(request, schemas.CaptionRequest, self._max_upload_bytes)
        policy = self._choose(upload.fields, "caption")
        question = await self._service.question(
            "caption",
            upload.photo,
            max_new_tokens=upload.fields.max_new_tokens,
            num_beams=upload.fields.num_beams,
        )
        return await self._respond(request, question, policy, upload.fields)

    async def entailment(self, request: Request) -> Response:
        """Judges whether a photo entails a sentence."""
        upload = await read_upload(request, schemas.EntailmentRequest, self._max_upload_bytes)
        fields = upload.fields
        policy = self._choose(fields, "entailment")
        question = await self._service.question(
            "entailment", upload.photo, fields.hypothesis, fields.premise
        )
        return await self._respond(request, question, policy, fields)

    async def compare(self, request: Request) -> Response:
        """Answers the same question under several policies, side by side."""
        upload = await read_upload(request, schemas.CompareRequest, self._max_upload_bytes)
        fields = upload.fields
        choose = self._service.policies.choose  # what is compared is what was named
        policies = [choose(choice, fields.task) for choice in fields.policies]
        question = await self._service.question(
            fields.task, upload.photo, fields.hypothesis, fields.premise
        )
        answers = _compare(self._service, request, question, policies)
        return as_json(await while_connected(request, answers))

    async def embed(self, request: Request) -> Response:
        """The unit vector of a photo or of a sentence, comparable with any other of this model."""
        upload = await read_upload(request, schemas.EmbedRequest, self._max_upload_bytes)
        policy = self._choose(upload.fields, EMBEDDING_TASK)
        question = await self._service.embedding_question(upload.photo_or_none, upload.fields.text)
        timeout_s = upload.fields.timeout_s
        ask = ask_model(self._service, request, question, policy, timeout_s=timeout_s)
        served = await while_connected(request, ask)
        common = answer_fields(self._service, request, served)
        return as_json(schemas.EmbedAnswer(embedding=served.content.embedding, **common))

    async def tags(self, request: Request) -> Response:
        """Words for what a photo shows, and after how many layers they were there."""
        upload = await read_upload(request, schemas.TagsRequest, self._max_upload_bytes)
        policy = self._choose(upload.fields, TAGS_TASK)
        question = await self._service.tags_question(upload.photo)
        timeout_s = upload.fields.timeout_s
        ask = ask_model(self._service, request, question, policy, timeout_s=timeout_s)
        served = await while_connected(request, ask)
        return as_json(_tags(served.content, answer_fields(self._service, request, served)))

    def _choose(self, fields: SteeredRequest, task: str) -> ChosenPolicy:
        return self._service.oversight.steering.choose(fields.policy, task, fields.min_quality)

    async def model(self) -> Response:
        """Which weights answer, and what they take."""
        return as_json(_model_report(self._service))

    async def policies(self) -> Response:
        """The presets with their rules, the default, and the kinds of policy."""
        return as_json(self._service.policies.report(self._service.tasks))

    async def _respond(
        self,
        request: Request,
        question: DecodedQuestion,
        policy: ChosenPolicy,
        fields: schemas.CaptionRequest | schemas.EntailmentRequest,
    ) -> Response:
        service = self._service
        ask = partial(ask_model, service, request, question, policy, timeout_s=fields.timeout_s)
        if fields.stream:
            wording = AnswerEvents(partial(_decoded, service, request))
            return await respond_with_events(request, ask, wording)
        served = await while_connected(request, ask())
        return as_json(_decoded(service, request, served))


async def ask_model(
    service: Service,
    request: Request,
    question: Question,
    policy: ChosenPolicy,
    follow: Follow = follow_nothing,
    timeout_s: float | None = None,
) -> ServedAnswer:
    """The service's answer, with its cache used as the request says, and noted for its log line."""
    cache_use = read_cache_control(request.headers.get("cache-control", ""))
    served = await service.answer(question, policy, cache_use, follow, timeout_s)
    context_of(request).note_answer(served.policy.name, served.cache, served.content.trace)
    return served


async def _answer(
    service: Service, request: Request, question: DecodedQuestion, policy: ChosenPolicy
) -> DecodedAnswer:
    return _decoded(service, request, await ask_model(service, request, question, policy))


def _decoded(service: Service, request: Request, served: ServedAnswer) -> DecodedAnswer:
    content, common = served.content, answer_fields(service, request, served)
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


def answer_fields(service: Service, request: Request, served: ServedAnswer) -> dict[str, Any]:
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
