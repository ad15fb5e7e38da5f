"""Stem features computed in chunks and kept in a file, so that a later run reads them back."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

STEM_CHUNK = 4  # photos at a time: more fall out of the cache of a CPU


def compute_once(
    path: Path, shape: tuple[int, ...], dtype: type, compute: Callable[[np.ndarray], None]
) -> None:
    """Let ``compute`` fill an array of ``shape`` in the file at ``path``, unless that is there.

    The file gets its name when it is whole: a run that was stopped leaves nothing to be mistaken.
    """
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part.npy")
    values = open_memmap(unfinished, mode="w+", dtype=dtype, shape=shape)
    compute(values)
    values.flush()
    unfinished.rename(path)
