"""A row per photo file: the caption with what it cost, or why there is none."""

from pathlib import Path

import pytest
from PIL import Image

from model_core.config import ExitConfig, preset_exits
from model_core.photo_vectors import PhotoFile, list_photos
from model_core.predictor import Predictor
from serve.batch.caption_rows import COLUMNS, FolderCaptioner, PhotoLimits, to_table
from tests.tiny import photo

LIMITS = PhotoLimits(max_bytes=1_000_000, max_pixels=1_000_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photos, one of them in a subfolder, and a file that only looks like one."""
    (tmp_path / "deep").mkdir()
    photo(1).save(tmp_path / "a.png")
    photo(2).save(tmp_path / "deep" / "b.JPG", "JPEG")
    (tmp_path / "c.png").write_bytes(b"this is no photo")
    (tmp_path / "notes.txt").write_text("not counted")
    return tmp_path


def test_rows_are_those_of_the_model(folder: Path, predictor: Predictor) -> None:
    exits = preset_exits("balanced", "caption", predictor.info.depths)
    rows = FolderCaptioner(predictor, folder, exits, LIMITS).rows(list_photos(folder))
    assert [row["path"] for row in rows] == ["a.png", "c.png", "deep/b.JPG"]
    with Image.open(folder / "a.png") as image:
        request = predictor.request("caption", image.convert("RGB"), exits)
    answer = predictor.answer([request])[0]
    depths = [token.depth for token in answer.trace.decoder.tokens]
    assert rows[0] == {
        "path": "a.png",
        "caption": answer.text,
        "image_depth": answer.trace.encoder.image.depth,
        "text_depth": answer.trace.encoder.text.depth,
        "mean_decoder_depth": sum(depths) / len(depths),
        "layers_run": answer.trace.cost.layers_run,
        "layers_full": answer.trace.cost.layers_full,
        "flops": answer.trace.cost.flops,
        "flops_full": answer.trace.cost.flops_full,
        "error": None,
    }


def test_file_that_is_no_photo_is_a_row_with_its_error(folder: Path, predictor: Predictor) -> None:
    captioner = FolderCaptioner(predictor, folder, ExitConfig(), LIMITS)
    rows = {row["path"]: row for row in captioner.rows(list_photos(folder))}
    bad = rows.pop("c.png")
    assert "not an image that can be read" in bad.pop("error")
    assert set(bad.values()) == {"c.png", None}
    assert all(row["error"] is None and row["caption"] is not None for row in rows.values())


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (PhotoLimits(10, 1_000_000), "at most 10 are allowed"),
        (PhotoLimits(1_000_000, 8), "at most 8 are allowed"),
    ],
)
def test_photo_over_a_limit_is_not_read(
    folder: Path, predictor: Predictor, limits: PhotoLimits, message: str
) -> None:
    photos = [photo for photo in list_photos(folder) if photo.name == "a.png"]
    (row,) = FolderCaptioner(predictor, folder, ExitConfig(), limits).rows(photos)
    assert message in row["error"]


def test_file_that_is_gone_is_a_row_too(folder: Path, predictor: Predictor) -> None:
    captioner = FolderCaptioner(predictor, folder, ExitConfig(), LIMITS)
    (row,) = captioner.rows([PhotoFile("gone.png", 10, 0)])
    assert row["error"] == "image: cannot be read (No such file or directory)"


def test_rows_fit_the_table(folder: Path, predictor: Predictor) -> None:
    captioner = FolderCaptioner(predictor, folder, ExitConfig(), LIMITS)
    rows = captioner.rows(list_photos(folder))
    assert to_table(rows).schema == COLUMNS
    assert to_table(rows).to_pylist() == rows
