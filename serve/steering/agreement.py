"""How well an answer agrees with full depth's, and how sure a mean of such values is."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from model_core.evaluation.metrics import tokenize_caption

# One-sided: a value that is really above is put below once in 700 looks.
NUM_DEVIATIONS = 3.0
# A few values that happen to be alike do not make their mean certain.
MAX_GAIN = 10.0


@dataclass(frozen=True)
class Agreement:
    """One answer beside full depth's.

    Attributes:
        is_same: The same words or label.
        likeness: 0 to 1; the estimate of quality.
    """

    is_same: bool
    likeness: float


def compare_labels(given: str, full: str) -> Agreement:
    """Of two labels: the same or not."""
    return Agreement(given == full, float(given == full))


def compare_captions(given: str, full: str) -> Agreement:
    """Of two captions: the F1 of their words, each counted as often as it occurs.

    Full depth's caption stands for what people would have written. Word order does not count, since
    a good caption may be put in another order; so this reads a different sentence as worse than
    people would, and says nothing of how good full depth is.
    """
    ours, theirs = tokenize_caption(given).split(), tokenize_caption(full).split()
    if not ours and not theirs:
        return Agreement(True, 1.0)
    num_shared = sum((Counter(ours) & Counter(theirs)).values())
    return Agreement(ours == theirs, 2 * num_shared / (len(ours) + len(theirs)))


def upper_bound(values: Sequence[float]) -> float:
    """What the true mean of values in 0..1 is almost certainly not above.

    Wilson's score bound. Values between 0 and 1 vary less than yes-or-no values of the same mean,
    so they count as that many more of those as their variance is smaller, up to ``MAX_GAIN``.

    Raises:
        ValueError: There are no values.
    """
    if not values:
        raise ValueError("no values: a bound needs at least one")
    count = float(len(values))
    mean = sum(values) / count
    variance = sum((value - mean) ** 2 for value in values) / count
    coin = mean * (1 - mean)
    if coin > 0:
        count *= coin / max(variance, coin / MAX_GAIN)
    squared = NUM_DEVIATIONS**2
    middle = mean + squared / (2 * count)
    spread = NUM_DEVIATIONS * math.sqrt(coin / count + squared / (4 * count**2))
    return min(1.0, (middle + spread) / (1 + squared / count))
