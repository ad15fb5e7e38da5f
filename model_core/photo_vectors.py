"""The vectors of the photos in a folder: computed once, kept in a file, brought up to date.

A file belongs to one folder, one model in one number format, one preprocessing and one policy of
the image. Each row names its photo by path, size and time of change: a photo that is new or that
changed is embedded again, and one that is gone is dropped. What was embedded is saved along the
way, so that a run that was stopped goes on from there.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from model_core.config import ExitConfig
from model_core.embedding import Embedded, embed
from model_core.errors import InputError
from model_core.predictor import Predictor
from model_core.preprocessing import ALLOWED_FORMATS, MAX_PIXELS, decode_photo

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
BATCH_SIZE = 16
SAVE_EVERY_S = 20.0


class PhotoFile(NamedTuple):
    """A photo as it lies on disk: where in its folder, bytes, and nanoseconds of its change."""

    name: str
    size: int
    mtime_ns: int


class Vector(NamedTuple):
    """``(E,)`` unit vector of a photo, and the depth at which it left the encoder."""

    values: Tensor
    depth: int


class SkippedPhoto(NamedTuple):
    """A file that cannot be read as a photo."""

    name: str
    reason: str


class PhotoVectors(NamedTuple):
    """A folder as vectors.

    Attributes:
        names: Of the photos, in the order of their paths.
        embedded: Their vectors and depths.
        num_computed: How many were embedded now; the others were kept.
        skipped: Files that cannot be used.
    """

    names: tuple[str, ...]
    embedded: Embedded
    num_computed: int
    skipped: tuple[SkippedPhoto, ...]


def list_photos(folder: Path) -> list[PhotoFile]:
    """The files below ``folder`` whose names end as those of the allowed formats do.

    Raises:
        InputError: It is no folder, or holds no such file.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: is not a folder; give one with photos in it")
    formats = Image.registered_extensions()
    photos = []
    for path in sorted(folder.rglob("*")):
        if formats.get(path.suffix.lower()) in ALLOWED_FORMATS and path.is_file():
            status = path.stat()
            name = path.relative_to(folder).as_posix()
            photos.append(PhotoFile(name, status.st_size, status.st_mtime_ns))
    if not photos:
        raise InputError(
            f"{folder}: holds no photo, nor do its subfolders; "
            f"allowed formats: {', '.join(ALLOWED_FORMATS)}"
        )
    return photos


def embed_folder(
    predictor: Predictor, folder: Path, exits: ExitConfig, cache_folder: Path
) -> PhotoVectors:
    """The vectors of the photos below ``folder``; those kept in ``cache_folder`` are not computed.

    Raises:
        InputError: There is no photo, none can be read, or the model has no poolers.
    """
    photos = list_photos(folder)
    path = cache_folder / f"{_fingerprint(predictor, folder, exits)}.safetensors"
    known = read_vectors(path, predictor.info.embedding_size)
    kept = {photo: known[photo] for photo in photos if photo in known}
    missing = [photo for photo in photos if photo not in kept]
    skipped: list[SkippedPhoto] = []
    try:
        _embed_missing(predictor, folder, missing, exits, path, kept, skipped)
    finally:
        if missing or len(kept) < len(known):
            write_vectors(path, kept)
    if not kept:
        raise InputError(f"{folder}: none of its {len(photos)} photos can be read")
    found = [photo for photo in photos if photo in kept]
    vectors = torch.stack([kept[photo].values for photo in found])
    embedded = Embedded(vectors, tuple(kept[photo].depth for photo in found))
    names = tuple(photo.name for photo in found)
    return PhotoVectors(names, embedded, len(missing) - len(skipped), tuple(skipped))


def _embed_missing(
    predictor: Predictor,
    folder: Path,
    photos: Sequence[PhotoFile],
    exits: ExitConfig,
    path: Path,
    kept: dict[PhotoFile, Vector],
    skipped: list[SkippedPhoto],
) -> None:
    """Add the vectors of ``photos`` to ``kept``, and save them from time to time."""
    console = Console(stderr=True)
    starts = range(0, len(photos), BATCH_SIZE)
    saved_at = time.monotonic()
    is_silent = not console.is_terminal
    for start in track(starts, "photos", console=console, transient=True, disable=is_silent):
        readable: dict[PhotoFile, Image.Image] = {}
        for photo in photos[start : start + BATCH_SIZE]:
            try:
                readable[photo] = decode_photo((folder / photo.name).read_bytes(), MAX_PIXELS)
            except (InputError, OSError) as error:
                logger.warning("%s: left out: %s", folder / photo.name, error)
                skipped.append(SkippedPhoto(photo.name, str(error)))
        if readable:
            vectors, depths = embed(predictor, list(readable.values()), exits)
            rows = zip(vectors.cpu(), depths, strict=True)
            kept.update(zip(readable, (Vector(*row) for row in rows), strict=True))
        if time.monotonic() - saved_at > SAVE_EVERY_S:
            write_vectors(path, kept)
            saved_at = time.monotonic()


def _fingerprint(predictor: Predictor, folder: Path, exits: ExitConfig) -> str:
    info = predictor.info
    facts = [
        *(FORMAT_VERSION, info.hash, info.dtype, info.weights, info.preprocessing_version),
        *(exits.image.model_dump(mode="json"), str(folder.resolve())),
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]


def write_vectors(path: Path, vectors: dict[PhotoFile, Vector]) -> None:
    """Replace the file at ``path`` in one go: whoever reads meanwhile sees the old or the new."""
    if not vectors:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        "vectors": torch.stack([vector.values for vector in vectors.values()]),
        "depths": torch.tensor([vector.depth for vector in vectors.values()]),
    }
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    save_file(tensors, unfinished, metadata={"photos": json.dumps(list(vectors))})
    unfinished.replace(path)


def read_vectors(path: Path, embedding_size: int) -> dict[PhotoFile, Vector]:
    """The vectors in a file by photo; none when it is absent, or damaged, which is said."""
    if not path.exists():
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            photos = [PhotoFile(*row) for row in json.loads(file.metadata()["photos"])]
            values, depths = file.get_tensor("vectors"), file.get_tensor("depths").tolist()
        if values.shape != (len(photos), embedding_size) or len(depths) != len(photos):
            raise ValueError(f"{tuple(values.shape)} vectors for {len(photos)} photos")
        if not torch.isfinite(values).all():
            raise ValueError("a vector holds no numbers")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        logger.warning("%s: is damaged (%s); every photo is embedded again", path, error)
        return {}
    return {photo: Vector(*row) for photo, *row in zip(photos, values, depths, strict=True)}
