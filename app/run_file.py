"""Run files: a finished comparison with its photo, saved as JSON, opened again without a service.

Everything the page shows of a comparison is in the file. A file comes from anywhere, so its size,
version, fields and photo are checked before anything of it is used.
"""

import base64
import binascii
import hashlib
import io
from typing import Literal, Self

from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.errors import InputError
from app.setting import Plan, first_fault
from app.state import SUPPORTED_SCHEMA_VERSION, Shown, read_json

RUN_VERSION = 1
MAX_RUN_BYTES = 24 << 20
# Format -> suffix by which a browser knows the photo again.
PHOTO_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp", "GIF": ".gif"}


class Run(BaseModel):
    """A finished comparison.

    Attributes:
        saved_at: ISO 8601 time in UTC.
        photo: Base64 of the photo's file.
        answers: One per setting, in the plan's order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_version: Literal[1] = 1
    saved_at: str = Field(max_length=40)
    plan: Plan
    photo: str
    answers: tuple[Shown, ...]

    @model_validator(mode="after")
    def _one_answer_per_setting(self) -> Self:
        if len(self.answers) != len(self.plan.settings):
            raise ValueError(
                f"{len(self.answers)} answers for {len(self.plan.settings)} settings; "
                "there must be one for each"
            )
        versions = {answer.trace.schema_version for answer in self.answers}
        if versions - {SUPPORTED_SCHEMA_VERSION}:
            raise ValueError(
                f"traces of schema version {sorted(versions)}; this page opens version "
                f"{SUPPORTED_SCHEMA_VERSION}"
            )
        return self

    @property
    def photo_hash(self) -> str:
        """SHA-256 of the photo's file."""
        return hashlib.sha256(base64.b64decode(self.photo)).hexdigest()


def dump_run(run: Run) -> str:
    """The JSON text of a run file."""
    return run.model_dump_json(indent=1)


def load_run(content: bytes) -> Run:
    """The run in a file.

    Raises:
        InputError: Too large, not JSON, of another version, damaged, or its photo is none.
    """
    document = read_json(content, MAX_RUN_BYTES, "run file")
    version = document.get("run_version")
    if version is None:
        raise InputError("This file holds no comparison: `run_version` is missing.")
    if version != RUN_VERSION:
        raise InputError(
            f"This run file is of version {version!r}; this page opens version {RUN_VERSION}."
        )
    try:
        run = Run.model_validate(document)
    except ValidationError as error:
        raise InputError(f"This run file is damaged at {first_fault(error)}.") from error
    photo_suffix(photo_bytes(run))
    return run


def photo_bytes(run: Run) -> bytes:
    """The photo's file.

    Raises:
        InputError: The text is not base64.
    """
    try:
        return base64.b64decode(run.photo, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError("This run file is damaged at `photo`: it is not base64.") from error


def photo_suffix(photo: bytes) -> str:
    """The suffix of the photo's format, read from its first bytes; nothing is decoded.

    Raises:
        InputError: It is no photo.
    """
    try:
        with Image.open(io.BytesIO(photo), formats=list(PHOTO_SUFFIXES)) as image:
            return PHOTO_SUFFIXES[str(image.format)]
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise InputError(
            f"The photo in this run file is none of {', '.join(PHOTO_SUFFIXES)}."
        ) from error
