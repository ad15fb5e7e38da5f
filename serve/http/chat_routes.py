"""Routes in the form of OpenAI's API: captions as chat completions, and the names of models."""

import time
from collections.abc import Mapping
from functools import partial

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from fastapi.sse import format_sse_event
from pydantic import BaseModel, ValidationError

from serve.errors import (
    ModelNotFoundError,
    UnsupportedMediaError,
    describe_value,
    invalid_fields,
)
from serve.http import chat
from serve.http.auth import require_key
from serve.http.connection import while_connected
from serve.http.inputs import JSON_TYPE, decode_image_text
from serve.http.middleware import context_of
from serve.http.model_routes import ERRORS, answer_fields, ask_model
from serve.http.openapi import describe_chat
from serve.http.rate_limit import limit_rate
from serve.http.responses import as_json
from serve.http.streaming import respond_with_events
from serve.policies.book import ChosenPolicy
from serve.schemas import ErrorAnswer, StreamedToken
from serve.service import ServedAnswer, Service

TASK = "caption"


class ChatRoutes:
    """Chat completions and models; they need a key as all routes of the model do."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def router(self) -> APIRouter:
        """The routes under ``/v1``."""
        guards = [
            Depends(require_key(self._service.settings.read_api_keys())),
            Depends(limit_rate(self._service.rate_limiter)),
        ]
        errors = {404: ERRORS[422] | {"description": "No such model."}, **ERRORS}
        router = APIRouter(prefix="/v1", dependencies=guards, responses=errors)
        router.add_api_route(
            "/chat/completions",
            self.completions,
            methods=["POST"],
            response_model=chat.ChatAnswer,
            **describe_chat(),
        )
        router.add_api_route("/models", self.models, response_model=chat.ModelList)
        router.add_api_route("/models/{name}", self.model, response_model=chat.ModelCard)
        return router

    async def completions(self, request: Request) -> Response:
        """Describes the photo of a conversation; its texts are not read."""
        service = self._service
        body = await _read(request)
        preset = self._preset_of(body.model)
        policy = service.oversight.steering.choose(preset, TASK, body.min_quality)
        limit = service.info.tasks[TASK].max_new_tokens if TASK in service.info.tasks else None
        asked = body.limit
        question = await service.question(
            TASK,
            decode_image_text(body.photo_url, service.settings.max_upload_bytes),
            max_new_tokens=asked if asked is None or limit is None else min(asked, limit),
        )
        wording = ChatWording(service, request, body, policy)
        ask = partial(ask_model, service, request, question, policy, timeout_s=body.timeout_s)
        if body.stream:
            return await respond_with_events(request, ask, wording)
        return as_json(wording.whole(await while_connected(request, ask())))

    async def models(self) -> Response:
        """The names that `model` may have: the model, and with each preset."""
        return as_json(chat.ModelList(data=[chat.ModelCard(id=name) for name in self._names()]))

    async def model(self, name: str) -> Response:
        """One of them."""
        self._preset_of(name)
        return as_json(chat.ModelCard(id=name))

    def _preset_of(self, name: str) -> str | None:
        names = self._names()
        if name not in names:
            raise ModelNotFoundError(
                f"model: {describe_value(name)} is not served here; use one of {', '.join(names)}"
            )
        return names[name]

    def _names(self) -> Mapping[str, str | None]:
        """Presets by the names that ask for them; None is the default."""
        presets = [preset.name for preset in self._service.policies.report([]).presets]
        names: dict[str, str | None] = {}
        for base in (chat.BASE_MODEL, self._service.info.name):
            names[base] = None
            names |= {f"{base}{chat.SEPARATOR}{preset}": preset for preset in presets}
        return names


class ChatWording:
    """One completion, whole or in chunks."""

    def __init__(
        self, service: Service, request: Request, body: chat.ChatRequest, policy: ChosenPolicy
    ) -> None:
        self._service = service
        self._request = request
        self._ignored = body.ignored
        options = body.stream_options
        self._has_usage = options is not None and options.include_usage
        self._id = f"chatcmpl-{context_of(request).request_id}"
        self._created = int(time.time())
        self._model = f"{service.info.name}{chat.SEPARATOR}{policy.name}"
        self._role: str | None = "assistant"

    def whole(self, served: ServedAnswer) -> chat.ChatAnswer:
        """The completion that is not streamed."""
        message = chat.AssistantMessage(content=served.content.text)
        return chat.ChatAnswer(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=[chat.Choice(message=message, finish_reason=_finish_reason(served))],
            usage=_usage(served),
            offramp=self._detail(served),
        )

    def tokens(self, tokens: list[StreamedToken]) -> bytes:
        delta = chat.Delta.model_validate(
            {"role": self._role, "content": "".join(token.text for token in tokens)}
        )
        self._role = None
        return self._chunk(choices=[chat.ChunkChoice(delta=delta)])

    def answer(self, served: ServedAnswer) -> bytes:
        end = chat.ChunkChoice(delta=chat.Delta(), finish_reason=_finish_reason(served))
        last = self._chunk(choices=[end], offramp=self._detail(served))
        usage = self._chunk(choices=[], usage=_usage(served)) if self._has_usage else b""
        return last + usage + format_sse_event(data_str="[DONE]")

    def error(self, error: ErrorAnswer) -> bytes:
        return _data(error)

    def _chunk(self, **fields: object) -> bytes:
        head = {"id": self._id, "created": self._created, "model": self._model}
        return _data(chat.ChatChunk.model_validate(head | fields))

    def _detail(self, served: ServedAnswer) -> chat.ChatDetail:
        fields = answer_fields(self._service, self._request, served)
        return chat.ChatDetail(ignored=self._ignored, **fields)


async def _read(request: Request) -> chat.ChatRequest:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != JSON_TYPE:
        raise UnsupportedMediaError(
            f"content-type: {describe_value(media_type)} is not read here; send {JSON_TYPE}"
        )
    try:
        return chat.ChatRequest.model_validate_json(await request.body())
    except ValidationError as error:
        raise invalid_fields(error, chat.ChatRequest) from None


def _finish_reason(served: ServedAnswer) -> chat.FinishReason:
    """The end mark, whose text is empty, or the limit."""
    return "length" if served.content.trace.decoder.tokens[-1].text else "stop"


def _usage(served: ServedAnswer) -> chat.Usage:
    num_read, num_written = served.content.num_memory_tokens, len(served.content.tokens)
    return chat.Usage(
        prompt_tokens=num_read,
        completion_tokens=num_written,
        total_tokens=num_read + num_written,
    )


def _data(model: BaseModel) -> bytes:
    unset = {name for name in ("usage", "offramp") if getattr(model, name, None) is None}
    return format_sse_event(data_str=model.model_dump_json(exclude=unset))
