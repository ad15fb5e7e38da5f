"""What is timed how often; no test looks at a time."""

from pathlib import Path

import pytest

from model_core.evaluation.benchmark import MIN_BATCHES, benchmark, whole_batches
from model_core.evaluation.examples import Example
from model_core.predictor import Predictor


@pytest.mark.parametrize(
    ("count", "size", "expected"),
    [
        (5, 1, [[0], [1], [2], [3], [4]]),
        (5, 2, [[0, 1], [2, 3]] * 2),
        (3, 3, [[0, 1, 2]] * 4),
        (7, 2, [[0, 1], [2, 3], [4, 5]] * 2),
    ],
)
def test_whole_batches_are_repeated_until_there_are_enough(
    count: int, size: int, expected: list[list[int]]
) -> None:
    examples = [Example(Path(str(number)), ()) for number in range(count)]
    found = [[int(item.image.name) for item in batch] for batch in whole_batches(examples, size)]
    assert found == expected
    assert len(found) >= MIN_BATCHES


def test_too_few_examples_are_refused(predictor: Predictor) -> None:
    with pytest.raises(ValueError, match="0 examples are too few for a batch of 2"):
        benchmark(predictor, "caption", [], {}, [1, 2])
