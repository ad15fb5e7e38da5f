"""Rows that are finished are found again, unless their photo or the job changed."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest

from model_core.config import ExitConfig
from model_core.photo_vectors import PhotoFile
from model_core.policies import FixedDepthPolicy
from serve.batch.caption_rows import error_row
from serve.batch.part_files import PartFiles, job_name, write_result

PHOTOS = [PhotoFile("a.png", 10, 1), PhotoFile("b.png", 20, 2), PhotoFile("c.png", 30, 3)]


def row(name: str) -> dict[str, Any]:
    return {**error_row(name, ""), "caption": f"words of {name}", "flops": 5, "error": None}


@pytest.fixture
def parts(tmp_path: Path) -> PartFiles:
    parts = PartFiles(tmp_path / "job")
    parts.write(PHOTOS[:2], [row("a.png"), row("b.png")])
    return parts


def test_finished_rows_are_found(parts: PartFiles) -> None:
    assert parts.read(PHOTOS) == {"a.png": row("a.png"), "b.png": row("b.png")}


def test_nothing_is_finished_at_first(tmp_path: Path) -> None:
    assert PartFiles(tmp_path / "none").read(PHOTOS) == {}


@pytest.mark.parametrize("change", [{"mtime_ns": 9}, {"size": 11}, {"name": "d.png"}])
def test_photo_that_changed_is_not_finished(parts: PartFiles, change: dict[str, Any]) -> None:
    changed = PHOTOS[0]._replace(**change)
    assert list(parts.read([changed, PHOTOS[1]])) == ["b.png"]


def test_damaged_part_counts_as_none(parts: PartFiles, tmp_path: Path) -> None:
    (path,) = (tmp_path / "job").glob("*.parquet")
    parts.write(PHOTOS[2:], [row("c.png")])
    path.write_bytes(path.read_bytes()[:-8])
    assert list(parts.read(PHOTOS)) == ["c.png"]


def test_parquet_of_something_else_counts_as_none(tmp_path: Path) -> None:
    write_result(tmp_path / "job" / "other.parquet", [row("a.png")])
    assert PartFiles(tmp_path / "job").read(PHOTOS) == {}


def test_job_is_named_after_model_numbers_and_policy() -> None:
    deep = ExitConfig(decoder=FixedDepthPolicy(depth=2))
    names = {
        job_name("m", "float32", ExitConfig()),
        job_name("n", "float32", ExitConfig()),
        job_name("m", "bfloat16", ExitConfig()),
        job_name("m", "float32", deep),
    }
    assert len(names) == 4
    assert job_name("m", "float32", deep) in names


def test_result_is_replaced_in_one_go(tmp_path: Path) -> None:
    out = tmp_path / "new" / "captions.parquet"
    write_result(out, [row("a.png")])
    write_result(out, [row("b.png")])
    assert parquet.read_table(out).column("path").to_pylist() == ["b.png"]
    assert [path.name for path in out.parent.iterdir()] == ["captions.parquet"]
