"""Ranking by hand, and a search through a folder of photos."""

from pathlib import Path

import pytest
import torch

from model_core.config import ExitConfig
from model_core.embedding import embed
from model_core.errors import InputError
from model_core.photo_search import nearest, search_photos
from model_core.policies import FixedDepthPolicy
from model_core.predictor import Predictor
from model_core.preprocessing import decode_photo
from tests.tiny import photo


@pytest.fixture(scope="module")
def pooled(pooled_checkpoint: Path) -> Predictor:
    return Predictor.load(pooled_checkpoint)


def test_nearest_come_first_and_equals_in_their_order() -> None:
    cosines = torch.tensor([0.1, 0.9, 0.5, 0.9, -0.2])
    assert nearest(cosines, 3) == [1, 3, 2]
    assert nearest(cosines, 10) == [1, 3, 2, 0, 4]


def test_hits_are_ranked_by_the_cosine_of_text_and_photo(pooled: Predictor, tmp_path: Path) -> None:
    for number in range(5):
        photo(number).save(tmp_path / f"{number}.png")
    exits = ExitConfig(image=FixedDepthPolicy(depth=3), text=FixedDepthPolicy(depth=2))
    found = search_photos(pooled, tmp_path, "a dog", exits, tmp_path / "cache", top=3)
    photos = [decode_photo((tmp_path / f"{n}.png").read_bytes(), 10**6) for n in range(5)]
    vectors = embed(pooled, photos, exits).vectors
    cosines = (vectors @ embed(pooled, ["a dog"], exits).vectors[0]).tolist()
    order = sorted(range(5), key=lambda number: -cosines[number])[:3]
    assert [hit.path.name for hit in found.hits] == [f"{number}.png" for number in order]
    assert [hit.rank for hit in found.hits] == [1, 2, 3]
    expected = [cosines[number] for number in order]
    assert [hit.cosine for hit in found.hits] == pytest.approx(expected, abs=1e-6)
    assert (found.text_depth, {hit.depth for hit in found.hits}) == (2, {3})


def test_empty_text_is_refused_before_any_photo_is_embedded(
    pooled: Predictor, tmp_path: Path
) -> None:
    photo(1).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="text: is empty"):
        search_photos(pooled, tmp_path, " ", ExitConfig(), tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
