"""Example photos come out of the installed wheel."""

from pathlib import Path

import pytest
from PIL import Image

from app.errors import InputError
from app.photos import EXAMPLE_PHOTOS, copy_examples, read_photo


def test_every_example_is_a_colour_photo_of_the_wheel(tmp_path: Path) -> None:
    paths = copy_examples(tmp_path / "examples")
    assert [path.stem for path in paths] == list(EXAMPLE_PHOTOS.values())
    for path in paths:
        with Image.open(path) as photo:
            assert photo.mode == "RGB"
            assert min(photo.size) >= 224


def test_missing_photo_is_said_in_a_sentence() -> None:
    with pytest.raises(InputError, match="There is no photo yet"):
        read_photo(None)
