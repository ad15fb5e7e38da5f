"""Errors the service answers with, and how a wrong request is put into words.

ServiceError                  status
├── BadRequestError           400  the body cannot be read as what it says it is
├── UnauthorizedError         401  no or a wrong API key
├── ModelNotFoundError        404  a name that no model or preset has
├── BodyTimeoutError          408  the body took too long to arrive
├── PayloadTooLargeError      413  more bytes than allowed
├── UnsupportedMediaError     415  a content type nobody here reads
├── InvalidInputError         422  a field, the photo or the policy cannot be used
├── OverloadedError           429  the queue is full; ``Retry-After`` says when to come back
│   └── RateLimitedError      429  the caller asked too often; ``Retry-After`` likewise
├── ClientGoneError           499  the client left; nobody reads this
├── EngineError               500  the model failed on this request (logged with its traceback)
├── UnavailableError          503  starting or stopping
└── DeadlineExceededError     504  no answer within the time limit

Every body is ``schemas.ErrorAnswer``. Nothing of a traceback, and never more than the first
characters of a value, reaches the client.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ValidationError

from serve import schemas
from serve.rules import (
    ClassifierRule,
    ConfidenceRule,
    EntropyRule,
    ExitRules,
    FixedDepthRule,
    JeiDnnRule,
    MarginRule,
    NeverRule,
    PalbertRule,
    PatienceRule,
    ShallowExitRule,
    SimilarityRule,
    ThresholdDecay,
)

VALUE_CHARS = 80

_PARENTS: dict[str, type[BaseModel]] = {
    "ExitRules": ExitRules,
    "never": NeverRule,
    "fixed_depth": FixedDepthRule,
    "similarity": SimilarityRule,
    "classifier": ClassifierRule,
    "confidence": ConfidenceRule,
    "entropy": EntropyRule,
    "margin": MarginRule,
    "patience": PatienceRule,
    "shallow_exit": ShallowExitRule,
    "palbert": PalbertRule,
    "jei_dnn": JeiDnnRule,
    "decay": ThresholdDecay,
}
_UNION_TAGS = frozenset(_PARENTS) - {"decay"} | {"str"}


class ServiceError(Exception):
    """Base of every error that has a status of its own; its text is shown to the client."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"

    @property
    def headers(self) -> Mapping[str, str]:
        """HTTP headers that belong to this error."""
        return {}


class BadRequestError(ServiceError):
    """The body cannot be read as what its content type says."""

    status = 400
    code = "bad_request"


class UnauthorizedError(ServiceError):
    """There is no API key in the request, or a wrong one."""

    status = 401
    code = "unauthorized"

    @property
    def headers(self) -> Mapping[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class ModelNotFoundError(ServiceError):
    """The model of a chat completion is none of those that are served."""

    status = 404
    code = "model_not_found"


class BodyTimeoutError(ServiceError):
    """The body did not arrive in time."""

    status = 408
    code = "body_timeout"

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Connection": "close"}  # what still comes is not read


class PayloadTooLargeError(ServiceError):
    """The body or the photo has more bytes than allowed."""

    status = 413
    code = "too_large"


class UnsupportedMediaError(ServiceError):
    """The content type of the body or of the data URL is not one that is read here."""

    status = 415
    code = "unsupported_media_type"


class InvalidInputError(ServiceError):
    """A field, the photo or the policy cannot be used."""

    status = 422
    code = "invalid_input"


class OverloadedError(ServiceError):
    """The queue is full."""

    status = 429
    code = "overloaded"

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": str(self.retry_after_s)}


class RateLimitedError(OverloadedError):
    """The caller sent more requests than it may."""

    code = "rate_limited"


class ClientGoneError(ServiceError):
    """The client left before its answer was there; for the log and the counters."""

    status = 499
    code = "client_closed_request"


class EngineError(ServiceError):
    """The model failed on this request; the cause is in the log, under the request's id."""

    code = "engine_failure"


class UnavailableError(ServiceError):
    """The replica is starting or stopping."""

    status = 503
    code = "unavailable"

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": "1"}


class DeadlineExceededError(ServiceError):
    """The answer took longer than the time limit."""

    status = 504
    code = "deadline_exceeded"


HTTP_CODES: Mapping[int, str] = {
    400: BadRequestError.code,
    404: "not_found",
    405: "method_not_allowed",
    413: PayloadTooLargeError.code,
}


_OPENAI_TYPES: Mapping[int, str] = {401: "authentication_error", 429: "rate_limit_error"}


def error_answer(status: int, code: str, message: str, request_id: str) -> schemas.ErrorAnswer:
    """The body of a 4xx or 5xx answer."""
    of_class = "server_error" if status >= 500 else "invalid_request_error"
    detail = schemas.ErrorDetail(
        code=code,
        message=message,
        request_id=request_id,
        type=_OPENAI_TYPES.get(status, of_class),
    )
    return schemas.ErrorAnswer(error=detail)


def describe_value(value: object) -> str:
    """At most ``VALUE_CHARS`` characters of a value, so that no photo is ever sent back."""
    text = repr(value[: VALUE_CHARS + 1]) if isinstance(value, str | bytes) else repr(value)
    return text if len(text) <= VALUE_CHARS else f"{text[:VALUE_CHARS]}..."


def invalid_fields(error: ValidationError, model: type[BaseModel]) -> ServiceError:
    """What was wrong with a request: each field, its value and what is allowed."""
    items = error.errors(include_url=False, include_context=False)
    if any(item["type"] == "json_invalid" for item in items):
        return BadRequestError(f"the body is not valid JSON: {items[0]['msg']}")
    messages = [_describe_item(item, model) for item in _without_other_branches(items)]
    return InvalidInputError("; ".join(dict.fromkeys(messages)))


def _without_other_branches(items: Iterable[Any]) -> list[Any]:
    """Drops 'should be a string' where a policy was spelled out as an object."""
    items = list(items)
    rest = [item for item in items if not (item["loc"] and item["loc"][-1] == "str")]
    return rest if any(isinstance(item["input"], dict) for item in items) and rest else items


def _describe_item(item: Any, model: type[BaseModel]) -> str:
    location: tuple[int | str, ...] = item["loc"]
    name = ".".join(str(part) for part in location if part not in _UNION_TAGS) or "body"
    if item["type"] == "extra_forbidden":
        parent = _PARENTS.get(str(location[-2]), model) if len(location) > 1 else model
        name = ".".join(str(p) for p in (*_named(location[:-1]), location[-1]))
        return f"{name}: unknown field; allowed are {', '.join(parent.model_fields)}"
    if item["type"] == "missing":
        return f"{name}: this field is required"
    if item["type"] == "value_error":  # a sentence of ours, about several fields together
        return f"{name}: {item['msg'].removeprefix('Value error, ')}"
    if location and location[0] == "image":
        return f"{name}: {item['msg']}"
    return f"{name}: {item['msg']} (got {describe_value(item['input'])})"


def _named(location: tuple[int | str, ...]) -> list[int | str]:
    return [part for part in location if part not in _UNION_TAGS]
