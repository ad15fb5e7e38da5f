"""Fixtures of every test: a tiny random model in the shape of the shipped one."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import torch
from PIL import Image

from model_core.architectures import build_model
from model_core.checkpoint import save_checkpoint
from model_core.config import CONFIG_ROOT, ModelConfig, load_config
from model_core.predictor import Predictor
from model_core.tokenizer import WordPieceTokenizer
from serve.cluster.local_cluster import LocalCluster
from serve.cluster.ports import free_port
from serve.settings import ServeSettings
from tests.dataset import write_data_folder
from tests.serving import Served
from tests.tiny import TINY_OVERRIDES, add_random_heads, photo, randomize, tiny_tokenizer
from tests.tiny_tags import write_tagging_checkpoint


@pytest.fixture(scope="session")
def tiny_config() -> ModelConfig:
    """Four layers of width 8 on a narrow stem."""
    return load_config(CONFIG_ROOT / "model" / "offramp-s.yaml", ModelConfig, TINY_OVERRIDES)


@pytest.fixture(scope="session")
def tokenizer() -> WordPieceTokenizer:
    """A few dozen pieces."""
    return tiny_tokenizer()


@pytest.fixture(scope="session")
def tiny_checkpoint(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_config: ModelConfig,
    tokenizer: WordPieceTokenizer,
) -> Path:
    """Folder of a random tiny checkpoint."""
    return write_random(tiny_config, tokenizer, tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="session")
def pooled_checkpoint(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: WordPieceTokenizer
) -> Path:
    """Folder of a random tiny checkpoint with poolers."""
    config = load_config(
        CONFIG_ROOT / "model" / "offramp-s.yaml", ModelConfig, [*TINY_OVERRIDES, "embedding_size=6"]
    )
    return write_random(config, tokenizer, tmp_path_factory.mktemp("pooled"))


@pytest.fixture(scope="session")
def own_words_config(tiny_config: ModelConfig) -> ModelConfig:
    """The tiny model whose text side has word vectors of its own."""
    return tiny_config.model_copy(update={"text_embedding_rank": 3})


@pytest.fixture(scope="session")
def own_words_checkpoint(
    tmp_path_factory: pytest.TempPathFactory,
    own_words_config: ModelConfig,
    tokenizer: WordPieceTokenizer,
) -> Path:
    """Folder of a random checkpoint of it."""
    return write_random(own_words_config, tokenizer, tmp_path_factory.mktemp("own_words"))


def write_random(config: ModelConfig, tokenizer: WordPieceTokenizer, folder: Path) -> Path:
    """Save a random model; returns the folder."""
    torch.manual_seed(0)
    model = build_model(config, tokenizer.vocabulary_size)
    randomize(model)
    add_random_heads(model)
    save_checkpoint(model, tokenizer, folder, torch.float32)
    return folder


@pytest.fixture(scope="session")
def predictor(tiny_checkpoint: Path) -> Predictor:
    """The tiny model in float64, where rounding cannot flip a decision."""
    return Predictor.load(tiny_checkpoint, dtype="float64")


@pytest.fixture(scope="session")
def tagging_checkpoint(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """Folder of the tiny checkpoint with tag heads."""
    return write_tagging_checkpoint(tiny_checkpoint, tmp_path_factory.mktemp("tagging") / "with")


@pytest.fixture(scope="session")
def tagging(tagging_checkpoint: Path) -> Predictor:
    """The tiny model with tag heads, in float64."""
    return Predictor.load(tagging_checkpoint, dtype="float64")


@pytest.fixture(scope="session")
def photos() -> list[Image.Image]:
    """Six photos that differ."""
    return [photo(seed) for seed in range(6)]


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photos a split, with captions and entailment pairs."""
    return write_data_folder(tmp_path_factory.mktemp("data") / "folder")


@pytest.fixture(scope="session")
def served(tiny_checkpoint: Path) -> Iterator[Served]:
    """The one real Ray Serve cluster of the session, with a real Valkey, on the tiny model."""
    settings = ServeSettings(checkpoint=tiny_checkpoint, api_port=free_port(), num_slots=4)
    with LocalCluster(settings, {"num_replicas": 1}) as cluster:
        assert cluster.cache_server is not None
        with httpx.Client(base_url=cluster.address, timeout=60) as client:
            predictor = Predictor.load(tiny_checkpoint)
            yield Served(client, predictor, cluster.cache_server, cluster.settings)
