"""Resampling of photos, the same ones for every setting."""

from collections.abc import Hashable, Sequence

import numpy as np

NUM_RESAMPLES = 2000


def resample_weights(
    groups: Sequence[Hashable], seed: int, num_resamples: int = NUM_RESAMPLES
) -> np.ndarray:
    """``(R, N)`` how often each example is drawn when whole groups are drawn with replacement.

    Args:
        groups: ``N`` names; examples about one photo are drawn together.
        seed: Of the draws.
        num_resamples: R.
    """
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    count = len(numbers)
    draws = np.random.default_rng(seed).multinomial(count, [1 / count] * count, num_resamples)
    of_example: np.ndarray = draws[:, [numbers[group] for group in groups]]
    return of_example.astype(np.float64)
