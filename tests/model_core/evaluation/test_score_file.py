"""Scores of examples on disk."""

from pathlib import Path

import numpy as np
import pytest

from model_core.errors import InputError
from model_core.evaluation.score_file import empty_scores, read_scores, scores_path, write_scores


def test_scores_are_read_back_and_written_alike(tmp_path: Path) -> None:
    scores = empty_scores(["a", "b", "a"])
    assert scores.photos.tolist() == [0, 1, 0]
    scores.of_points["full: full"] = np.array([0.5, 0.25, 1.0])
    scores.of_points["presets: deeper/mine.yaml"] = np.array([0.0, 1.0, 1.0])
    path = scores_path(tmp_path / "deeper" / "caption.json")
    assert path.name == "caption.scores.npz"
    write_scores(scores, path)
    first = path.read_bytes()
    found = read_scores(path)
    assert found is not None
    assert found.photos.tolist() == [0, 1, 0]
    assert {key: values.tolist() for key, values in found.of_points.items()} == {
        "full: full": [0.5, 0.25, 1.0],
        "presets: deeper/mine.yaml": [0, 1, 1],
    }
    write_scores(found, path)
    assert path.read_bytes() == first
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_no_file_is_no_scores(tmp_path: Path) -> None:
    assert read_scores(tmp_path / "caption.scores.npz") is None


@pytest.mark.parametrize("content", [b"nothing", b""])
def test_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "caption.scores.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"caption\.scores\.npz: not a file of scores"):
        read_scores(path)
