"""Retrieval: ranks by hand, and vectors of a tiny model with poolers at every exit depth."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from model_core.config import CONFIG_ROOT, ExitConfig, ModelConfig, load_config
from model_core.embedding import Embedded
from model_core.errors import InputError
from model_core.evaluation import retrieval
from model_core.evaluation.examples import Example, read_examples
from model_core.evaluation.features import stem_features
from model_core.evaluation.retrieval import (
    Retriever,
    caption_ranks,
    photo_ranks,
    recall,
    retrieve,
)
from model_core.policies import FixedDepthPolicy, SimilarityPolicy
from model_core.predictor import Content, Predictor
from model_core.tokenizer import text_side
from model_core.training.data import normalise_caption
from model_core.types import Modality
from tests.conftest import write_random
from tests.tiny import COCA_OVERRIDES

# Rows are captions, columns photos: captions 0 and 1 are about photo 0, 2 about 1, 3 and 4 about 2.
OWNERS = np.array([0, 0, 1, 2, 2])
SIMILARITY = np.array(
    [
        [0.9, 0.1, 0.2],
        [0.3, 0.5, 0.4],
        [0.7, 0.6, 0.6],
        [0.1, 0.2, 0.8],
        [0.2, 0.9, 0.1],
    ]
)


def test_rank_of_the_photo_counts_what_is_as_similar() -> None:
    # caption 2: photo 0 is nearer and photo 2 as near; caption 4: both others are nearer
    assert photo_ranks(SIMILARITY, OWNERS).tolist() == [1, 3, 3, 1, 3]


def test_rank_of_the_best_own_caption() -> None:
    # photo 0: 0.9 beats all; photo 1: caption 4 is nearer than its 0.6; photo 2: 0.8 beats all
    assert caption_ranks(SIMILARITY, OWNERS).tolist() == [1, 2, 1]


def test_own_captions_are_no_rivals_but_equals_of_others_are() -> None:
    similarity = np.array([[0.5, 0.5], [0.5, 0.1], [0.5, 0.3]])
    assert caption_ranks(similarity, np.array([0, 0, 1])).tolist() == [2, 2]


def test_recall_by_hand() -> None:
    found = recall(np.array([1, 2, 6, 11, 300]))
    assert found.at == {1: 0.2, 5: 0.4, 10: 0.6}
    assert found.median_rank == 6


@pytest.fixture(scope="module")
def pooled(pooled_checkpoint: Path) -> Predictor:
    return Predictor.load(pooled_checkpoint, dtype="float64")


@pytest.fixture(scope="module")
def examples(pooled: Predictor, data_folder: Path) -> list[Example]:
    return read_examples(pooled, "caption", data_folder, "test")


@pytest.fixture(scope="module")
def features(pooled: Predictor, examples: list[Example]) -> Mapping[Path, Tensor]:
    return stem_features(pooled, examples)


def vectors_of_one(
    pooled: Predictor, example: Example, feature: Tensor, image_depth: int, text_depth: int
) -> tuple[Tensor, list[Tensor]]:
    """Photo and captions of an example, each alone and without padding."""
    encoder, poolers = pooled.model.encoder, pooled.model.poolers
    assert poolers is not None
    with torch.inference_mode():
        image = encoder.run_layers(encoder.embed_image(feature[None]), None, 0, image_depth)
        photo = poolers.image(encoder.memory_norm(image), None)[0]
        texts = []
        for caption in example.references:
            ids = text_side(pooled.tokenizer, normalise_caption(caption), None, 24)
            states = encoder.embed_text(torch.tensor([ids]))
            states = encoder.run_layers(states, None, 0, text_depth)
            texts.append(poolers.text(encoder.memory_norm(states), None)[0])
    return photo, texts


@pytest.mark.parametrize("depths", [(4, 4), (1, 3)])
def test_batched_vectors_equal_one_by_one(
    pooled: Predictor,
    examples: list[Example],
    features: Mapping[Path, Tensor],
    monkeypatch: pytest.MonkeyPatch,
    depths: tuple[int, int],
) -> None:
    monkeypatch.setattr(retrieval, "BATCH_SIZE", 4)
    retriever = Retriever(pooled, examples, features)
    image, text = (FixedDepthPolicy(depth=depth) for depth in depths)
    point = retriever.measure("mine", ExitConfig(image=image, text=text))
    expected = [vectors_of_one(pooled, item, features[item.image], *depths) for item in examples]
    photos = torch.stack([photo for photo, _ in expected])
    captions = torch.stack([caption for _, texts in expected for caption in texts])
    torch.testing.assert_close(retriever._embedded[Modality.IMAGE, image].vectors, photos)
    torch.testing.assert_close(retriever._embedded[Modality.TEXT, text].vectors, captions)
    similarity = (captions @ photos.T).numpy()
    assert point.text_to_image == recall(photo_ranks(similarity, retriever.owners))
    assert point.image_to_text == recall(caption_ranks(similarity, retriever.owners))
    assert (point.image_depth, point.text_depth) == depths
    assert point.layers_saved == pytest.approx(1 - sum(depths) / 8)


def test_known_vectors_give_known_ranks(
    pooled: Predictor,
    examples: list[Example],
    features: Mapping[Path, Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # two photos of three captions each; photo 0 points to the first axis, photo 1 to the second
    photos = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    texts = torch.tensor([[1, 0], [0.6, 0.8], [1, 0], [0, 1], [0, 1], [0.8, 0.6]])

    def known(predictor: Predictor, items: Sequence[Content], exits: ExitConfig) -> Embedded:
        return Embedded(texts, (4,) * 6) if isinstance(items[0], str) else Embedded(photos, (2, 2))

    monkeypatch.setattr(retrieval, "embed", known)
    results = retrieve(pooled, "test", examples[:2], features, {"full": ExitConfig()})
    (point,) = results.points
    assert (results.num_photos, results.num_captions) == (2, 6)
    assert point.text_to_image.at == {1: pytest.approx(4 / 6), 5: 1.0, 10: 1.0}
    assert point.image_to_text.at[1] == 1.0
    assert point.layers_saved == pytest.approx(1 - (2 + 4) / 2 / 4)


def test_dynamic_policies_leave_row_by_row(
    pooled: Predictor, examples: list[Example], features: Mapping[Path, Tensor]
) -> None:
    policy = SimilarityPolicy(threshold=0.3)
    point = retrieve(
        pooled, "test", examples, features, {"early": ExitConfig(image=policy, text=policy)}
    ).points[0]
    retriever = Retriever(pooled, examples, features)
    retriever.measure("early", ExitConfig(image=policy, text=policy))
    depths = retriever._embedded[Modality.IMAGE, policy].depths
    assert point.image_depth == pytest.approx(sum(depths) / len(depths))
    assert len(set(depths)) > 1


def test_model_without_poolers_is_refused(predictor: Predictor) -> None:
    with pytest.raises(InputError, match=r"tiny has no poolers \(embedding_size: 0\)"):
        retrieve(predictor, "test", [], {}, {})


def test_coca_finds_captions_by_its_decoder(
    tmp_path: Path, data_folder: Path, pooled: Predictor
) -> None:
    config = load_config(CONFIG_ROOT / "model" / "coca.yaml", ModelConfig, COCA_OVERRIDES)
    coca = Predictor.load(write_random(config, pooled.tokenizer, tmp_path), dtype="float64")
    examples = read_examples(coca, "caption", data_folder, "test")
    shallow = ExitConfig(image=FixedDepthPolicy(depth=1), text=FixedDepthPolicy(depth=1))
    settings = {"full": ExitConfig(), "shallow": shallow}
    results = retrieve(coca, "test", examples, stem_features(coca, examples), settings)
    full, early = results.points
    assert (full.image_depth, full.text_depth, full.layers_saved) == (4, 0, 0)
    # The text is no part of the encoder: one of four image layers ran.
    assert (early.image_depth, early.text_depth, early.layers_saved) == (1, 0, 0.75)
