"""Text search over photos: the cosine of one sentence with every photo, and the largest first.

There is no index such as FAISS: one product of ``(N, E)`` vectors with the sentence's is exact, has
nothing to build or to tune, and up to about a million photos it is read faster than one photo is
embedded (a million vectors of 256 numbers are a gigabyte). An index would pay beyond that.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from model_core.config import ExitConfig
from model_core.photo_vectors import PhotoVectors, embed_folder
from model_core.predictor import Predictor


class Hit(NamedTuple):
    """A photo and how near it is to the text.

    Attributes:
        rank: 1 is nearest.
        cosine: Of the two vectors.
        path: Of the photo.
        depth: Layers that the photo ran.
    """

    rank: int
    cosine: float
    path: Path
    depth: int


class Found(NamedTuple):
    """What a search gives: the nearest photos, and everything that was looked at."""

    hits: tuple[Hit, ...]
    text_depth: int
    photos: PhotoVectors


def search_photos(
    predictor: Predictor,
    folder: Path,
    text: str,
    exits: ExitConfig,
    cache_folder: Path,
    top: int = 10,
) -> Found:
    """The ``top`` photos below ``folder`` that are nearest to ``text``.

    Raises:
        InputError: The text cannot be used, the model has no poolers, or there is no photo.
    """
    (encoded,) = predictor.encode([predictor.embedding_request(text, exits)])
    photos = embed_folder(predictor, folder, exits, cache_folder)
    vectors, depths = photos.embedded
    cosines = vectors @ encoded.output.cpu()
    hits = tuple(
        Hit(rank, float(cosines[row]), folder / photos.names[row], depths[row])
        for rank, row in enumerate(nearest(cosines, top), start=1)
    )
    return Found(hits, encoded.text.depth, photos)


def nearest(cosines: Tensor, top: int) -> list[int]:
    """Places of the ``top`` largest of ``(N,)`` cosines; of equal ones the earlier comes first."""
    order: list[int] = torch.sort(cosines, descending=True, stable=True).indices[:top].tolist()
    return order
