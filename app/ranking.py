"""Photos in the order of their likeness to a text: vectors from the service, compared here.

A vector that the service has given is kept, so that another text costs one embedding and not one
per photo. Pure values; knows nothing of Gradio.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from app.client import Client, encode_photo
from app.errors import ServiceError
from serve.rules import PolicyChoice
from serve.schemas import (
    EmbedAnswer,
    EmbedRequest,
)

NUM_AT_A_TIME = 4

Report = Callable[[float, str], object]


class PhotoKey(NamedTuple):
    """A photo under a setting: what a kept vector belongs to."""

    path: str
    setting: str


Vectors = Mapping[PhotoKey, EmbedAnswer]


@dataclass(frozen=True)
class Ranked:
    """One photo in its place; ``cosine`` is that of its vector and the text's."""

    rank: int
    path: str
    cosine: float
    answer: EmbedAnswer


@dataclass(frozen=True)
class Refused:
    """A photo that the service could not embed."""

    path: str
    error: ServiceError


@dataclass(frozen=True)
class Ranking:
    """What a search gives.

    Attributes:
        text: The text's vector and exits.
        photos: Nearest first.
        refused: Photos that take no part.
        num_asked: Photos that were embedded now; the others were kept.
        vectors: Of these photos, for the next search.
    """

    text: EmbedAnswer
    photos: tuple[Ranked, ...]
    refused: tuple[Refused, ...]
    num_asked: int
    vectors: Vectors


def rank_photos(
    client: Client,
    paths: Sequence[str],
    text: str,
    policy: PolicyChoice | None,
    kept: Vectors,
    report: Report,
) -> Ranking:
    """The photos in the order of their likeness to ``text``.

    Args:
        client: Of the service.
        paths: Of the photos.
        text: What they should show.
        policy: How early the model may stop.
        kept: Vectors of earlier searches.
        report: Is told the share that is done, and a sentence.

    Raises:
        ServiceError: The text was refused, or the service does not answer.
    """
    setting = policy.model_dump_json() if isinstance(policy, BaseModel) else str(policy)
    keys = [PhotoKey(path, setting) for path in dict.fromkeys(paths)]
    report(0.0, "reading the text")
    asked = client.embed(EmbedRequest(text=text, policy=policy))
    missing = [key for key in keys if key not in kept]
    vectors, refused = embed_photos(client, missing, policy, report)
    known = {**{key: kept[key] for key in keys if key in kept}, **vectors}
    return Ranking(asked, in_order(asked, known), refused, len(vectors), known)


def embed_photos(
    client: Client, keys: Sequence[PhotoKey], policy: PolicyChoice | None, report: Report
) -> tuple[dict[PhotoKey, EmbedAnswer], tuple[Refused, ...]]:
    """Vectors of photos, and those that were refused; a few are asked for at a time."""

    def embed(key: PhotoKey) -> EmbedAnswer | Refused:
        try:
            return client.embed(EmbedRequest(image=encode_photo(key.path), policy=policy))
        except ServiceError as error:
            return Refused(key.path, error)

    vectors: dict[PhotoKey, EmbedAnswer] = {}
    refused: list[Refused] = []
    with ThreadPoolExecutor(NUM_AT_A_TIME) as threads:
        for done, (key, found) in enumerate(zip(keys, threads.map(embed, keys), strict=True), 1):
            if isinstance(found, Refused):
                refused.append(found)
            else:
                vectors[key] = found
            report(done / len(keys), f"{done} of {len(keys)} photos embedded")
    return vectors, tuple(refused)


def in_order(text: EmbedAnswer, vectors: Vectors) -> tuple[Ranked, ...]:
    """Photos by falling cosine; of equal ones the earlier comes first."""
    cosines = {key: cosine(text.embedding, answer.embedding) for key, answer in vectors.items()}
    order = sorted(vectors, key=lambda key: -cosines[key])
    return tuple(
        Ranked(rank, key.path, cosines[key], vectors[key]) for rank, key in enumerate(order, 1)
    )


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Of two unit vectors."""
    return sum(a * b for a, b in zip(one, other, strict=True))


def photo_name(path: str) -> str:
    """What a visitor calls the photo."""
    return Path(path).name
