"""``python -m serve caption-folder`` as a person runs it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest

from model_core.config import CONFIG_ROOT, preset_exits
from model_core.photo_vectors import list_photos
from model_core.predictor import Predictor
from serve.__main__ import main
from serve.batch.caption_rows import error_row
from serve.batch.part_files import PartFiles, job_name
from serve.commands.caption_folder import COMMAND
from tests.tiny import photo


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in range(3):
        photo(seed).save(photos / f"{seed}.png")
    (photos / "bad.png").write_bytes(b"this is no photo")
    return photos


def job_folder(out: Path, predictor: Predictor) -> Path:
    info = predictor.info
    exits = preset_exits("full", "caption", info.depths)
    numerics = f"{info.dtype}, {info.weights} weights, preprocessing {info.preprocessing_version}"
    return Path(f"{out}.parts") / job_name(info.hash, numerics, exits)


def rows_of(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet.read_table(out).to_pylist()
    return rows


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: is not a folder"),
        (["{empty}"], "holds no photo"),
        (["{photos}", "--policy", "best"], "unknown; use one of full"),
    ],
)
def test_wrong_usage_exits_with_2(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    arguments: list[str], message: str, tiny_checkpoint: Path,
) -> None:  # fmt: skip
    empty = tmp_path / "empty"
    empty.mkdir()
    names = [one.format(empty=empty, photos=folder) for one in arguments]
    options = ["--out", str(tmp_path / "out.parquet"), "--checkpoint", str(tiny_checkpoint)]
    assert main([COMMAND, *names, *options]) == 2
    assert message in capsys.readouterr().err


def test_checkpoint_that_is_none_exits_with_1(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--out", str(tmp_path / "out.parquet"), "--checkpoint", str(tmp_path)]
    assert main([COMMAND, str(folder), *options]) == 1
    assert "manifest.json: not found" in capsys.readouterr().err


def test_finished_rows_are_not_computed_again(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path
) -> None:
    out = tmp_path / "out.parquet"
    photos = list_photos(folder)
    parts = PartFiles(job_folder(out, Predictor.load(tiny_checkpoint)))
    parts.write(photos, [error_row(photo.name, "kept from before") for photo in photos])
    # Ray is not started: there is nothing left to do.
    options = ["--out", str(out), "--checkpoint", str(tiny_checkpoint)]
    assert main([COMMAND, str(folder), *options]) == 0
    assert {row["error"] for row in rows_of(out)} == {"kept from before"}
    assert "4 photos, 4 of them without a caption" in capsys.readouterr().out


@pytest.mark.cluster
@pytest.mark.timeout(300)
def test_folder_is_captioned_on_ray_data(
    folder: Path, tmp_path: Path, tiny_checkpoint: Path
) -> None:
    out = tmp_path / "out.parquet"
    predictor = Predictor.load(tiny_checkpoint)
    kept = list_photos(folder)[:1]
    PartFiles(job_folder(out, predictor)).write(kept, [error_row(kept[0].name, "kept")])
    command = [sys.executable, "-m", "serve", COMMAND, str(folder), "--out", str(out)]
    command += ["--checkpoint", str(tiny_checkpoint), "--batch-size", "2"]
    done = subprocess.run(
        command, cwd=CONFIG_ROOT.parent, env=dict(os.environ), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows = {row["path"]: row for row in rows_of(out)}
    assert list(rows) == ["0.png", "1.png", "2.png", "bad.png"]
    assert rows["0.png"]["error"] == "kept"
    exits = preset_exits("full", "caption", predictor.info.depths)
    requests = [predictor.request("caption", photo(seed), exits) for seed in (1, 2)]
    captions = [answer.text for answer in predictor.answer(requests)]
    assert [rows["1.png"]["caption"], rows["2.png"]["caption"]] == captions
    assert "not an image that can be read" in rows["bad.png"]["error"]
