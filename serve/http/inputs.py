"""Reading a request's body: JSON with a data URL or base64, or a multipart form with a file.

Either way the result is the same wire model and the bytes of the photo. Nothing is decoded beyond
that: what the bytes are is for ``model_core.preprocessing`` to say.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile

from serve import schemas
from serve.errors import (
    BadRequestError,
    InvalidInputError,
    PayloadTooLargeError,
    UnsupportedMediaError,
    describe_value,
    invalid_fields,
)

JSON_TYPE = "application/json"
FORM_TYPE = "multipart/form-data"
IMAGE_FIELD = "image"
MAX_FORM_FIELDS = 16

_DATA_URL = re.compile(r"data:(?P<media>[^;,]*)(?P<parameters>(?:;[^;,]*)*),")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)

WireRequest = TypeVar(
    "WireRequest",
    schemas.CaptionRequest,
    schemas.EntailmentRequest,
    schemas.CompareRequest,
    schemas.EmbedRequest,
    schemas.TagsRequest,
)


@dataclass(frozen=True)
class Upload(Generic[WireRequest]):
    """A checked request and its photo.

    Attributes:
        fields: The request; ``image`` may be a placeholder.
        photo_or_none: Bytes of the photo; None where the request may go without and does.
    """

    fields: WireRequest
    photo_or_none: bytes | None

    @property
    def photo(self) -> bytes:
        """Bytes of the photo of a request that has to bring one."""
        if self.photo_or_none is None:
            raise InvalidInputError(f"{IMAGE_FIELD}: this field is required")
        return self.photo_or_none


async def read_upload(
    request: Request, model: type[WireRequest], max_upload_bytes: int
) -> Upload[WireRequest]:
    """The request in a body of one of the two content types.

    Raises:
        ServiceError: 400, 413, 415 or 422; the message says what was wrong and what is allowed.
    """
    photo: bytes | None
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == JSON_TYPE:
        fields = _validate_json(await request.body(), model)
        text: str | None = fields.image
        photo = None if text is None else decode_image_text(text, max_upload_bytes)
    elif media_type == FORM_TYPE:
        async with request.form(max_files=1, max_fields=MAX_FORM_FIELDS) as form:
            is_required = model.model_fields[IMAGE_FIELD].is_required()
            has_photo = is_required or IMAGE_FIELD in form
            photo = await _read_form_photo(form, max_upload_bytes) if has_photo else None
            fields = _validate(_form_values(form), model)
    else:
        raise UnsupportedMediaError(
            f"content-type: {describe_value(media_type)} is not read here; "
            f"send {JSON_TYPE} or {FORM_TYPE}"
        )
    return Upload(fields, photo)


def decode_image_text(text: str, max_upload_bytes: int) -> bytes:
    """The bytes in a data URL or in plain base64.

    Raises:
        UnsupportedMediaError: A data URL of something that is not an image.
        InvalidInputError: An address, not base64, or empty.
        PayloadTooLargeError: More bytes than allowed.
    """
    payload = text.strip()
    if _ADDRESS.match(payload):
        raise InvalidInputError(
            "image: is an address, and addresses are not fetched; send the photo itself as a data "
            "URL, as base64 or as a file of a form"
        )
    if payload.startswith("data:"):
        header = _DATA_URL.match(payload)
        if header is None or "base64" not in header["parameters"].lower().split(";"):
            raise InvalidInputError("image: a data URL must look like data:image/jpeg;base64,...")
        if not header["media"].lower().startswith("image/"):
            raise UnsupportedMediaError(
                f"image: the data URL holds {describe_value(header['media'])}; "
                "allowed are image/* types"
            )
        payload = payload[header.end() :]
    if not payload:
        raise InvalidInputError("image: is empty; send a data URL or base64 of a photo")
    try:
        photo = base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInputError(
            f"image: is not valid base64 ({len(payload)} characters): {error}"
        ) from None
    return _check_size(photo, max_upload_bytes)


def _check_size(photo: bytes, max_upload_bytes: int) -> bytes:
    if len(photo) > max_upload_bytes:
        raise PayloadTooLargeError(
            f"image: {len(photo)} bytes; at most {max_upload_bytes} are allowed"
        )
    return photo


def _validate_json(body: bytes, model: type[WireRequest]) -> WireRequest:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise invalid_fields(error, model) from None


def _validate(values: Mapping[str, Any], model: type[WireRequest]) -> WireRequest:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid_fields(error, model) from None


async def _read_form_photo(form: FormData, max_upload_bytes: int) -> bytes:
    part = form.get(IMAGE_FIELD)
    if isinstance(part, UploadFile):
        return _check_size(await part.read(), max_upload_bytes)
    if isinstance(part, str):
        return decode_image_text(part, max_upload_bytes)
    raise InvalidInputError(f"{IMAGE_FIELD}: this field is required (a file part of the form)")


def _form_values(form: FormData) -> dict[str, Any]:
    """Fields of a form as they would stand in JSON."""
    values: dict[str, Any] = {}
    for name in form:
        parts = form.getlist(name)
        if name == IMAGE_FIELD:
            values[name] = "(file)"
        elif any(isinstance(part, UploadFile) for part in parts):
            raise InvalidInputError(
                f"{describe_value(name)}: is a file; only {IMAGE_FIELD} may be one"
            )
        elif name == "policies":
            values[name] = _parse_policies([str(part) for part in parts])
        elif len(parts) > 1:
            raise InvalidInputError(
                f"{describe_value(name)}: is given {len(parts)} times; once is allowed"
            )
        else:
            values[name] = _parse_rules(name, str(parts[0])) if name == "policy" else parts[0]
    return values


def _parse_rules(name: str, text: str) -> Any:
    """A preset's name as it is; an object from its JSON."""
    return _parse_json(name, text) if text.lstrip().startswith("{") else text


def _parse_policies(parts: list[str]) -> Any:
    """A JSON list in one part, names with commas in one part, or one policy per part."""
    if len(parts) > 1:
        return [_parse_rules("policies", part) for part in parts]
    text = parts[0].strip()
    if text.startswith("["):
        return _parse_json("policies", text)
    return [name.strip() for name in text.split(",")]


def _parse_json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadRequestError(f"{name}: is not valid JSON (got {describe_value(text)})") from error
