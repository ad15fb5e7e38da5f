"""Photos of the searching part and of the testing part."""

from pathlib import Path

import pytest

from model_core.errors import InputError
from model_core.evaluation.examples import Example
from model_core.evaluation.photo_split import check_parts, draw_photos, split_photos

EXAMPLES = [Example(Path(f"{number // 2}.jpg"), ("a",)) for number in range(60)]


def test_parts_share_no_photo_and_leave_none_out() -> None:
    parts = split_photos(EXAMPLES, seed=1)
    check_parts(parts.search, parts.test)
    assert (len(parts.search), len(parts.test)) == (20, 40)
    assert parts == split_photos(EXAMPLES, seed=1) != split_photos(EXAMPLES, seed=2)


def test_all_examples_of_a_drawn_photo_come_along() -> None:
    drawn = draw_photos(EXAMPLES, 7, seed=0)
    assert len({example.image for example in drawn}) == 7
    assert len(drawn) == 14
    assert draw_photos(EXAMPLES, 99, seed=0) == EXAMPLES


def test_one_photo_is_refused() -> None:
    with pytest.raises(InputError, match="1 photos are too few to calibrate on"):
        split_photos(EXAMPLES[:2], seed=0)


def test_shared_photos_are_refused() -> None:
    with pytest.raises(InputError, match="1 photos are in the searching part and in"):
        check_parts(EXAMPLES[:4], EXAMPLES[2:6])
