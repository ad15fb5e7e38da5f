"""Finished rows on disk, so that a job that was stopped goes on where it was.

A part file holds the rows of one chunk of photos. It stands in a folder named after what the rows
depend on beside the photos (model, number format, policy), and each row carries the key of its
photo: path, size and time of change. A photo that changed has another key, so its old row is not
used again.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

from model_core.config import ExitConfig
from model_core.photo_vectors import PhotoFile
from serve.batch.caption_rows import COLUMNS, TASK, to_table

FORMAT_VERSION = 1
KEY = "key"
PART_COLUMNS = COLUMNS.append(pa.field(KEY, pa.string()))


def photo_key(photo: PhotoFile) -> str:
    """The same for a file that has not changed."""
    return _digest(list(photo))


def job_name(model_hash: str, numerics: str, exits: ExitConfig) -> str:
    """The same for jobs whose rows can stand in one table."""
    return _digest([FORMAT_VERSION, TASK, model_hash, numerics, exits.model_dump(mode="json")])


class PartFiles:
    """The part files of one job."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is made when the first part is written."""
        self._folder = folder

    def write(self, photos: Sequence[PhotoFile], rows: Sequence[dict[str, Any]]) -> None:
        """Keeps the rows of ``photos``; whoever reads meanwhile sees all of them or none."""
        keys = [photo_key(photo) for photo in photos]
        table = to_table(rows).append_column(KEY, pa.array(keys, pa.string()))
        self._folder.mkdir(parents=True, exist_ok=True)
        _replace(self._folder / f"{_digest(keys)}.parquet", table)

    def read(self, photos: Sequence[PhotoFile]) -> dict[str, dict[str, Any]]:
        """The rows that are finished, by the name of their photo; damaged parts count as none."""
        wanted = {photo_key(photo): photo.name for photo in photos}
        rows = {}
        for path in sorted(self._folder.glob("*.parquet")):
            for row in _read_part(path):
                name = wanted.get(row.pop(KEY))
                if name is not None:
                    rows[name] = row
        return rows


def write_result(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Replaces the file at ``path`` by a table of ``rows``, in one go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, to_table(rows))


def _read_part(path: Path) -> list[dict[str, Any]]:
    try:
        table = parquet.read_table(path)
    except (pa.ArrowException, OSError):
        return []
    rows: list[dict[str, Any]] = table.to_pylist() if table.schema.equals(PART_COLUMNS) else []
    return rows


def _replace(path: Path, table: pa.Table) -> None:
    unfinished = path.with_suffix(f".{os.getpid()}.unfinished")
    parquet.write_table(table, unfinished)
    unfinished.replace(path)


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
