"""Captions of photo files as rows of a table; a file that cannot be used is a row that says why."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from model_core.config import ExitConfig
from model_core.errors import InputError
from model_core.photo_vectors import PhotoFile
from model_core.predictor import Predictor
from model_core.preprocessing import decode_photo
from model_core.types import Answer

TASK = "caption"

# ``error`` is null where there is a caption, and everything else but ``path`` where there is not.
COLUMNS = pa.schema(
    [
        ("path", pa.string()),
        ("caption", pa.string()),
        ("image_depth", pa.int32()),
        ("text_depth", pa.int32()),
        ("mean_decoder_depth", pa.float64()),
        ("layers_run", pa.float64()),
        ("layers_full", pa.float64()),
        ("flops", pa.int64()),
        ("flops_full", pa.int64()),
        ("error", pa.string()),
    ]
)


@dataclass(frozen=True)
class PhotoLimits:
    """Bytes and pixels of the largest photo that is read."""

    max_bytes: int
    max_pixels: int


class FolderCaptioner:
    """Captions photos below one folder with one model under one policy."""

    def __init__(
        self, predictor: Predictor, folder: Path, exits: ExitConfig, limits: PhotoLimits
    ) -> None:
        self._predictor = predictor
        self._folder = folder
        self._exits = exits
        self._limits = limits

    def rows(self, photos: Sequence[PhotoFile]) -> list[dict[str, Any]]:
        """One row of ``COLUMNS`` per photo, in order."""
        requests: dict[str, Any] = {}
        rows: dict[str, dict[str, Any]] = {}
        for photo in photos:
            try:
                requests[photo.name] = self._request(photo)
            except InputError as error:
                rows[photo.name] = error_row(photo.name, str(error))
            except OSError as error:
                reason = error.strerror or type(error).__name__
                rows[photo.name] = error_row(photo.name, f"image: cannot be read ({reason})")
        answers = self._predictor.answer(list(requests.values()))
        for name, answer in zip(requests, answers, strict=True):
            rows[name] = answer_row(name, answer)
        return [rows[photo.name] for photo in photos]

    def _request(self, photo: PhotoFile) -> Any:
        if photo.size > self._limits.max_bytes:
            raise InputError(
                f"image: {photo.size} bytes; at most {self._limits.max_bytes} are allowed"
            )
        image = decode_photo((self._folder / photo.name).read_bytes(), self._limits.max_pixels)
        return self._predictor.request(TASK, image, self._exits)


def answer_row(path: str, answer: Answer) -> dict[str, Any]:
    """A caption with what it cost."""
    trace = answer.trace
    depths = [token.depth for token in trace.decoder.tokens]
    return {
        "path": path,
        "caption": answer.text,
        "image_depth": trace.encoder.image.depth,
        "text_depth": trace.encoder.text.depth,
        "mean_decoder_depth": sum(depths) / len(depths) if depths else None,
        "layers_run": trace.cost.layers_run,
        "layers_full": trace.cost.layers_full,
        "flops": trace.cost.flops,
        "flops_full": trace.cost.flops_full,
        "error": None,
    }


def error_row(path: str, reason: str) -> dict[str, Any]:
    """A photo without a caption, and why."""
    return {**dict.fromkeys(COLUMNS.names), "path": path, "error": reason}


def to_table(rows: Iterable[dict[str, Any]]) -> pa.Table:
    """The rows as a table of ``COLUMNS``."""
    return pa.Table.from_pylist(list(rows), COLUMNS)
