"""Photos differ in their pixels after compression, and come from a folder or from nowhere."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serve.load.photos import NUM_GENERATED, PhotoSource


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_same_photo_with_another_number_has_other_pixels() -> None:
    source = PhotoSource([Image.new("RGB", (224, 224), "teal")])
    assert not np.array_equal(pixels(source.jpeg(0)), pixels(source.jpeg(2**23)))
    assert np.array_equal(pixels(source.jpeg(5)), pixels(source.jpeg(5)))


def test_mark_spells_the_number_in_blocks() -> None:
    strip = pixels(PhotoSource([Image.new("RGB", (224, 224), "grey")]).jpeg(0b101))[4, 4::8, 0]
    assert (strip[:4] > 128).tolist() == [True, False, True, False]


def test_generated_photos_differ_and_follow_the_seed() -> None:
    source = PhotoSource.generated(1)
    assert not np.array_equal(pixels(source.jpeg(0))[8:], pixels(source.jpeg(1))[8:])
    assert source.jpeg(0) == PhotoSource.generated(1).jpeg(0) != PhotoSource.generated(2).jpeg(0)
    assert NUM_GENERATED > 1


def test_small_photos_of_a_folder_grow_to_hold_the_mark(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10)).save(tmp_path / "small.png")
    (tmp_path / "notes.txt").write_text("no photo")
    assert pixels(PhotoSource.from_folder(tmp_path).jpeg(0)).shape == (224, 224, 3)


def test_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no photo"):
        PhotoSource.from_folder(tmp_path)


def test_source_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        PhotoSource([])
