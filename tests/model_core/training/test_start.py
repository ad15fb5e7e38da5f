"""Where a run starts: features standardised, frequencies in the bias, MiniLM's text side intact."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from model_core.config import CONFIG_ROOT, ModelConfig, load_config
from model_core.convert import (
    TEXT_PACKAGE,
    WORD_DEVIATION,
    load_source_tokenizer,
    load_text_weights,
    package_folder,
)
from model_core.model import UnifiedModel
from model_core.training.config import OptimConfig
from model_core.training.optim import build_optimizer
from model_core.training.start import (
    DEVIATION_FLOOR,
    standardise_features,
    start_from_frequencies,
)


@pytest.fixture
def tiny_model(tiny_config: ModelConfig) -> UnifiedModel:
    torch.manual_seed(0)
    return UnifiedModel(tiny_config, 20)


def test_encoder_sees_features_with_mean_zero(tiny_model: UnifiedModel) -> None:
    rng = np.random.default_rng(0)
    features = (5 + 2 * rng.standard_normal((2, 50, 4, 12))).astype(np.float16)
    standardise_features(tiny_model, features)
    encoder = tiny_model.encoder
    seen = (torch.from_numpy(features[0].astype(np.float32)) - encoder.feature_mean) * (
        encoder.feature_scale
    )
    torch.testing.assert_close(seen.mean((0, 1)), torch.zeros(12), atol=1e-3, rtol=0)
    expected = torch.full((12,), 2 / (2 + DEVIATION_FLOOR))
    torch.testing.assert_close(seen.std((0, 1)), expected, atol=0.02, rtol=0)


def test_silent_channel_is_not_blown_up(tiny_model: UnifiedModel) -> None:
    standardise_features(tiny_model, np.zeros((1, 5, 4, 12), dtype=np.float16))
    torch.testing.assert_close(
        tiny_model.encoder.feature_scale, torch.full((12,), 1 / DEVIATION_FLOOR)
    )


def test_bias_is_the_log_frequency(tiny_model: UnifiedModel) -> None:
    start_from_frequencies(tiny_model, [[3, 3, 5], [3]])
    # 20 ids counted once each, and four occurrences on top.
    expected = torch.full((20,), 1 / 24)
    expected[3], expected[5] = 4 / 24, 2 / 24
    torch.testing.assert_close(tiny_model.exit_head.bias.exp(), expected)


def test_text_side_starts_as_minilm() -> None:
    config = load_config(
        CONFIG_ROOT / "model" / "offramp-s.yaml",
        ModelConfig,
        ["num_encoder_layers=1", "num_decoder_layers=1"],
    )
    source = load_source_tokenizer()
    source_ids = list(range(1000, 1400))
    model = UnifiedModel(config, len(source_ids)).eval()
    load_text_weights(model, source_ids)

    weights = load_file(package_folder(TEXT_PACKAGE) / "model" / "model.safetensors")
    ids = torch.tensor([[5, 17, 300]])
    embedded = (
        weights["embeddings.word_embeddings.weight"][source_ids][ids]
        + weights["embeddings.position_embeddings.weight"][:3]
        + weights["embeddings.token_type_embeddings.weight"][0]
    )
    expected = functional.layer_norm(
        embedded,
        (384,),
        weights["embeddings.LayerNorm.weight"],
        weights["embeddings.LayerNorm.bias"],
    )
    with torch.no_grad():
        torch.testing.assert_close(model.embed_text(ids), expected, atol=0.02, rtol=0.02)
    words = model.word_embedding.weight
    torch.testing.assert_close(words.mean(0), torch.zeros(384), atol=1e-6, rtol=0)
    assert words.std().item() == pytest.approx(WORD_DEVIATION, rel=1e-3)
    assert source.vocabulary_size > max(source_ids)


def test_pretrained_layers_learn_at_their_own_rate(tiny_model: UnifiedModel) -> None:
    optimizer = build_optimizer(tiny_model, OptimConfig(encoder_rate_scale=0.2, weight_decay=0.1))
    groups = {
        id(value): (group["rate_scale"], group["weight_decay"])
        for group in optimizer.param_groups
        for value in group["params"]
    }
    model = tiny_model
    assert groups[id(model.encoder.layers[0].mlp_in.weight)] == (0.2, 0.1)
    assert groups[id(model.encoder.layers[0].mlp_in.bias)] == (0.2, 0.0)
    assert groups[id(model.encoder.image_projection.weight)] == (1.0, 0.1)
    assert groups[id(model.word_embedding.weight)] == (1.0, 0.0)
