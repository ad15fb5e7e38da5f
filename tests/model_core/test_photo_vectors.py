"""Vectors of a folder: what is kept, what is computed again, and what is left out."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from model_core import photo_vectors
from model_core.config import ExitConfig
from model_core.embedding import Embedded, embed
from model_core.errors import InputError
from model_core.photo_vectors import embed_folder, list_photos
from model_core.policies import FixedDepthPolicy
from model_core.predictor import Content, Predictor
from model_core.preprocessing import decode_photo
from tests.tiny import photo

FULL = ExitConfig()


@pytest.fixture(scope="module")
def pooled(pooled_checkpoint: Path) -> Predictor:
    return Predictor.load(pooled_checkpoint)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photos, one of them in a subfolder, and files that are none."""
    root = tmp_path / "photos"
    (root / "sub").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.JPG", "sub/c.webp")):
        photo(number).save(root / name)
    (root / "notes.txt").write_text("no photo")
    return root


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def cache_file(cache: Path) -> Path:
    (path,) = cache.iterdir()
    return path


def test_photos_are_found_by_format_in_subfolders_too(folder: Path) -> None:
    assert [found.name for found in list_photos(folder)] == ["a.png", "b.JPG", "sub/c.webp"]


def test_vectors_are_those_of_the_photos(pooled: Predictor, folder: Path, cache: Path) -> None:
    found = embed_folder(pooled, folder, FULL, cache)
    photos = [decode_photo((folder / name).read_bytes(), 10**6) for name in found.names]
    torch.testing.assert_close(found.embedded.vectors, embed(pooled, photos, FULL).vectors)
    assert (found.num_computed, found.embedded.depths) == (3, (4, 4, 4))


def test_second_run_computes_nothing(pooled: Predictor, folder: Path, cache: Path) -> None:
    first = embed_folder(pooled, folder, FULL, cache)
    second = embed_folder(pooled, folder, FULL, cache)
    assert (second.names, second.num_computed) == (first.names, 0)
    assert torch.equal(second.embedded.vectors, first.embedded.vectors)


def test_new_changed_and_removed_photos_are_noticed(
    pooled: Predictor, folder: Path, cache: Path
) -> None:
    embed_folder(pooled, folder, FULL, cache)
    (folder / "b.JPG").unlink()
    photo(7).save(folder / "a.png")
    photo(8).save(folder / "d.bmp")
    found = embed_folder(pooled, folder, FULL, cache)
    assert found.names == ("a.png", "d.bmp", "sub/c.webp")
    assert found.num_computed == 2
    changed = decode_photo((folder / "a.png").read_bytes(), 10**6)
    torch.testing.assert_close(found.embedded.vectors[0], embed(pooled, [changed], FULL).vectors[0])
    known = photo_vectors.read_vectors(cache_file(cache), 6)
    assert sorted(one.name for one in known) == ["a.png", "d.bmp", "sub/c.webp"]


def test_time_of_change_counts_where_the_size_stays(
    pooled: Predictor, folder: Path, cache: Path
) -> None:
    embed_folder(pooled, folder, FULL, cache)
    os.utime(folder / "a.png", ns=(1, 1))
    assert embed_folder(pooled, folder, FULL, cache).num_computed == 1


def test_another_policy_of_the_image_has_vectors_of_its_own(
    pooled: Predictor, folder: Path, cache: Path
) -> None:
    embed_folder(pooled, folder, FULL, cache)
    shallow = ExitConfig(image=FixedDepthPolicy(depth=2))
    found = embed_folder(pooled, folder, shallow, cache)
    assert (found.num_computed, found.embedded.depths) == (3, (2, 2, 2))
    text_differs = ExitConfig(text=FixedDepthPolicy(depth=2))
    assert embed_folder(pooled, folder, text_differs, cache).num_computed == 0


@pytest.mark.parametrize("content", [b"", b"not a file of vectors", None])
def test_damaged_cache_is_said_and_rebuilt(
    pooled: Predictor,
    folder: Path,
    cache: Path,
    caplog: pytest.LogCaptureFixture,
    content: bytes | None,
) -> None:
    first = embed_folder(pooled, folder, FULL, cache)
    path = cache_file(cache)
    path.write_bytes(path.read_bytes()[:-5] if content is None else content)
    second = embed_folder(pooled, folder, FULL, cache)
    assert "is damaged" in caplog.text and "every photo is embedded again" in caplog.text
    assert second.num_computed == 3
    assert torch.equal(second.embedded.vectors, first.embedded.vectors)
    assert embed_folder(pooled, folder, FULL, cache).num_computed == 0


def test_cache_of_another_width_is_damaged(
    pooled: Predictor, folder: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    embed_folder(pooled, folder, FULL, cache)
    assert photo_vectors.read_vectors(cache_file(cache), 7) == {}
    assert "(3, 6) vectors for 3 photos" in caplog.text


def test_stopped_run_goes_on_where_it_was(
    pooled: Predictor, folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def stop_at_second(
        predictor: Predictor, items: Sequence[Content], exits: ExitConfig
    ) -> Embedded:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return embed(predictor, items, exits)

    monkeypatch.setattr(photo_vectors, "BATCH_SIZE", 1)
    monkeypatch.setattr(photo_vectors, "embed", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        embed_folder(pooled, folder, FULL, cache)
    assert embed_folder(pooled, folder, FULL, cache).num_computed == 2


def test_broken_photo_is_left_out_and_named(
    pooled: Predictor, folder: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "aa.png").write_bytes(b"\x89PNG broken")
    found = embed_folder(pooled, folder, FULL, cache)
    assert found.names == ("a.png", "b.JPG", "sub/c.webp")
    (skipped,) = found.skipped
    assert skipped.name == "aa.png" and "not an image that can be read" in skipped.reason
    assert "aa.png: left out" in caplog.text
    assert found.num_computed == 3


def test_folder_of_broken_photos_is_refused(pooled: Predictor, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "a.jpg").write_bytes(b"broken")
    with pytest.raises(InputError, match="none of its 1 photos can be read"):
        embed_folder(pooled, tmp_path / "only", FULL, cache)


def test_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no photo, nor do its subfolders; allowed formats"):
        list_photos(tmp_path)


def test_what_is_no_folder_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"a\.png: is not a folder"):
        list_photos(folder / "a.png")
