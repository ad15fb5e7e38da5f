"""Which photos a calibration searches on and which it tests on: never the same ones."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from model_core.errors import InputError
from model_core.evaluation.examples import Example

SEARCH_FRACTION = 1 / 3  # of the photos, where one split serves both parts


def check_parts(search: Sequence[Example], test: Sequence[Example]) -> None:
    """Refuse parts that share a photo with an ``InputError``."""
    shared = {item.image for item in search} & {item.image for item in test}
    if shared:
        raise InputError(
            f"{len(shared)} photos are in the searching part and in the testing part, "
            f"{min(shared).name} among them; the promise needs parts without a common photo"
        )


class SplitExamples(NamedTuple):
    """Examples by the use of their photos; none is in both."""

    search: list[Example]
    test: list[Example]


def split_photos(examples: Sequence[Example], seed: int) -> SplitExamples:
    """``SEARCH_FRACTION`` of the photos, drawn with ``seed``, and the others.

    Raises:
        InputError: There is one photo or none.
    """
    photos = list(dict.fromkeys(example.image for example in examples))
    if len(photos) < 2:
        raise InputError(f"{len(photos)} photos are too few to calibrate on: at least 2 are needed")
    drawn = draw_photos(examples, max(1, int(SEARCH_FRACTION * len(photos))), seed)
    chosen = {example.image for example in drawn}
    return SplitExamples(drawn, [item for item in examples if item.image not in chosen])


def draw_photos(examples: Sequence[Example], num_photos: int, seed: int) -> list[Example]:
    """The examples of ``num_photos`` photos, or of all there are, drawn with ``seed``."""
    photos = list(dict.fromkeys(example.image for example in examples))
    drawn = np.random.default_rng(seed).permutation(len(photos))[:num_photos]
    chosen = {photos[number] for number in drawn}
    return [example for example in examples if example.image in chosen]
