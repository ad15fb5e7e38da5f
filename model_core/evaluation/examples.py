"""Labelled examples of a data folder, as the measurements read them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from model_core.config import ExitConfig
from model_core.predictor import Predictor
from model_core.preprocessing import MAX_PIXELS, decode_photo
from model_core.request import Request
from model_core.training.data import read_captions, read_entailment

Item = TypeVar("Item")


@dataclass(frozen=True)
class Example:
    """A photo, the text of the task if it takes any, and what people answered."""

    image: Path
    references: tuple[str, ...]
    hypothesis: str | None = None
    premise: str | None = None


def read_examples(
    predictor: Predictor,
    task: str,
    folder: Path,
    split: str,
    has_premise: bool = False,
    limit: int | None = None,
) -> list[Example]:
    """Examples of a task; ``has_premise`` shows the premise sentence where there is one.

    Raises:
        InputError: A file of the folder is missing or wrong.
    """
    images = folder / "images"
    if predictor.info.tasks[task].takes_text:
        examples = [
            Example(
                images / item.image,
                (item.label,),
                item.hypothesis,
                item.premise if has_premise else None,
            )
            for item in read_entailment(folder, split)
        ]
    else:
        examples = [
            Example(images / item.image, item.captions) for item in read_captions(folder, split)
        ]
    return examples[:limit]


def make_request(
    predictor: Predictor,
    task: str,
    example: Example,
    exits: ExitConfig,
    features: Mapping[Path, Tensor] | None = None,
    num_beams: int = 1,
) -> Request:
    """The request of an example: its photo decoded from the file, or its stem ``features``."""
    photo = (
        decode_photo(example.image.read_bytes(), MAX_PIXELS)
        if features is None
        else features[example.image]
    )
    return predictor.request(
        task, photo, exits, example.hypothesis, example.premise, num_beams=num_beams
    )


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Consecutive runs of ``size`` items; the last may be shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
