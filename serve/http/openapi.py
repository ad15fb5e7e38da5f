"""The OpenAPI description of bodies that ``serve.http.inputs`` reads itself, with examples.

FastAPI describes what it parses; the bodies here come as JSON or as a form, so their schemas are
taken from the same wire models and added to the document.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from serve import schemas
from serve.http import chat
from serve.http.inputs import FORM_TYPE, IMAGE_FIELD, JSON_TYPE

_REFERENCE = "#/components/schemas/{model}"
_BODIES: tuple[type[BaseModel], ...] = (
    schemas.CaptionRequest,
    schemas.EntailmentRequest,
    schemas.CompareRequest,
    schemas.EmbedRequest,
    schemas.TagsRequest,
    schemas.TokenEvent,
    chat.ChatRequest,
    chat.ChatChunk,
)
_STREAM_TYPE = "text/event-stream"
_PHOTO = "data:image/jpeg;base64,/9j/4AAQSkZJRg..."
_EXAMPLES: dict[type[BaseModel], dict[str, dict[str, Any]]] = {
    schemas.CaptionRequest: {
        "preset": {"image": _PHOTO, "policy": "balanced"},
        "beams": {"image": _PHOTO, "num_beams": 4},
        "rules": {
            "image": _PHOTO,
            "policy": {
                "image": {"kind": "similarity", "threshold": 0.98},
                "decoder": {"kind": "confidence", "threshold": 0.4},
            },
        },
    },
    schemas.EntailmentRequest: {
        "hypothesis": {"image": _PHOTO, "hypothesis": "A dog runs on the beach."},
        "premise": {
            "image": _PHOTO,
            "hypothesis": "An animal is outside.",
            "premise": "A brown dog runs on the beach.",
            "policy": "full",
        },
    },
    schemas.CompareRequest: {
        "caption": {"image": _PHOTO, "policies": ["full", "fast"]},
        "entailment": {
            "image": _PHOTO,
            "task": "entailment",
            "hypothesis": "A dog runs on the beach.",
            "policies": ["full", "balanced"],
        },
    },
    schemas.EmbedRequest: {
        "photo": {"image": _PHOTO, "policy": "balanced"},
        "text": {"text": "a dog in the snow", "policy": "balanced"},
    },
    schemas.TagsRequest: {
        "preset": {"image": _PHOTO, "policy": "full"},
        "confidence": {
            "image": _PHOTO,
            "policy": {"image": {"kind": "confidence", "threshold": 0.6}},
        },
    },
}


def describe_body(model: type[BaseModel]) -> dict[str, Any]:
    """``openapi_extra`` of a route that takes ``model`` as JSON or as a form."""
    examples = {name: {"value": value} for name, value in _EXAMPLES[model].items()}
    return {
        "requestBody": {
            "required": True,
            "content": {
                JSON_TYPE: {
                    "schema": {"$ref": _REFERENCE.format(model=model.__name__)},
                    "examples": examples,
                },
                FORM_TYPE: {"schema": _form_schema(model)},
            },
        }
    }


def describe_stream(body: type[BaseModel], answer: type[BaseModel]) -> dict[int | str, Any]:
    """``responses`` of a route: the events of its stream, where ``body`` can ask for one."""
    if "stream" not in body.model_fields:
        return {}
    events: dict[str, type[BaseModel]] = {
        schemas.StreamEvent.TOKEN: schemas.TokenEvent,
        schemas.StreamEvent.ANSWER: answer,
        schemas.StreamEvent.ERROR: schemas.ErrorAnswer,
    }
    event = {"oneOf": [_event_schema(name, data) for name, data in events.items()]}
    text = "The answer; with `stream`, events: `token` ones, then `answer` or `error`."
    return {200: {"description": text, "content": {_STREAM_TYPE: {"itemSchema": event}}}}


def describe_chat() -> dict[str, Any]:
    """Arguments of the route of chat completions: its body, and the chunks of its stream."""
    part = {"type": "image_url", "image_url": {"url": _PHOTO}}
    example = {"model": "offramp:fast", "messages": [{"role": "user", "content": [part]}]}
    body = {
        "schema": {"$ref": _REFERENCE.format(model=chat.ChatRequest.__name__)},
        "examples": {"photo": {"value": example}},
    }
    chunk = {
        "type": "object",
        "required": ["data"],
        "properties": {
            "data": {
                "type": "string",
                "contentMediaType": JSON_TYPE,
                "contentSchema": {"$ref": _REFERENCE.format(model=chat.ChatChunk.__name__)},
            }
        },
    }
    text = "The completion; with `stream`, chunks as server-sent events, the last one `[DONE]`."
    return {
        "openapi_extra": {"requestBody": {"required": True, "content": {JSON_TYPE: body}}},
        "responses": {200: {"description": text, "content": {_STREAM_TYPE: {"itemSchema": chunk}}}},
    }


def _event_schema(name: str, data: type[BaseModel]) -> dict[str, Any]:
    content = {"$ref": _REFERENCE.format(model=data.__name__)}
    return {
        "type": "object",
        "required": ["event", "data"],
        "properties": {
            "event": {"const": name},
            "data": {
                "type": "string",
                "contentMediaType": JSON_TYPE,
                "contentSchema": content,
            },
        },
    }


def add_openapi(app: FastAPI) -> None:
    """Makes ``app.openapi()`` include the schemas of the bodies."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _build(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _build(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    _, definitions = models_json_schema(
        [(model, "validation") for model in _BODIES], ref_template=_REFERENCE
    )
    components = document.setdefault("components", {}).setdefault("schemas", {})
    for name, schema in definitions["$defs"].items():
        components.setdefault(name, schema)
    return document


def _form_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The same fields as parts: the photo a file, everything else text."""
    properties: dict[str, Any] = {
        name: {"type": "string", "description": field.description or ""}
        for name, field in model.model_fields.items()
    }
    properties[IMAGE_FIELD] = {"type": "string", "format": "binary"}
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    return {"type": "object", "properties": properties, "required": required}
