"""What each example scores at each point: kept beside a sweep, so that points can be paired.

An interval of a difference between two points needs both on the same photos. The headline metrics
are means of these scores.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from model_core.errors import InputError
from model_core.evaluation.statistics import resample_weights

SEED = 0
PHOTOS = "photos"


@dataclass
class ExampleScores:
    """Scores of the points of one sweep.

    Attributes:
        photos: ``(N,)`` number of the photo of each example; photos are drawn whole.
        of_points: ``(N,)`` scores by the point's key.
    """

    photos: np.ndarray
    of_points: dict[str, np.ndarray] = field(default_factory=dict)

    @cached_property
    def weights(self) -> np.ndarray:
        """``(R, N)`` resamples of the photos, the same ones for every point."""
        return resample_weights(self.photos.tolist(), SEED)


def empty_scores(photos: Sequence[Hashable]) -> ExampleScores:
    """No scores yet, for examples about these photos."""
    numbers = {photo: number for number, photo in enumerate(dict.fromkeys(photos))}
    return ExampleScores(np.array([numbers[photo] for photo in photos]))


def scores_path(results: Path) -> Path:
    """Where the scores of a file of results stand."""
    return results.with_suffix(".scores.npz")


def write_scores(scores: ExampleScores, path: Path) -> None:
    """Replace the file in one move; the same scores give the same file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    rounded: Mapping[str, np.ndarray] = {
        key: values.astype(np.float32) for key, values in scores.of_points.items()
    }
    with unfinished.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **{PHOTOS: scores.photos}, **rounded)
    unfinished.rename(path)


def read_scores(path: Path) -> ExampleScores | None:
    """The scores in a file; None where there is none.

    Raises:
        InputError: It is not a file of scores.
    """
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as found:
            values = {key: found[key] for key in found.files}
        return ExampleScores(values.pop(PHOTOS), values)
    except (ValueError, OSError, EOFError, KeyError) as error:
        raise InputError(f"{path}: not a file of scores; delete it and sweep again") from error
