"""Packed weights: the same products, the same answers, and what is refused."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from model_core import packed_weights
from model_core.checkpoint import load_checkpoint, save_checkpoint
from model_core.config import ExitConfig
from model_core.errors import ConfigError
from model_core.model import UnifiedModel
from model_core.packed_weights import (
    MAX_FLOAT16_ROWS,
    WeightFormat,
    pack_weights,
    resolve_weights,
)
from model_core.policies import ConfidencePolicy, SimilarityPolicy
from model_core.predictor import Predictor

needs_fbgemm = pytest.mark.skipif(
    "fbgemm" not in torch.backends.quantized.supported_engines, reason="an x86 kernel"
)


@pytest.fixture(scope="module")
def half_checkpoint(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with its weights stored as a release stores them, in float16."""
    loaded = load_checkpoint(tiny_checkpoint)
    folder = tmp_path_factory.mktemp("half")
    save_checkpoint(loaded.model, loaded.tokenizer, folder, torch.float16)
    return folder


def load_model(folder: Path) -> UnifiedModel:
    return load_checkpoint(folder).model


@needs_fbgemm
@pytest.mark.parametrize("num_rows", [1, 16, MAX_FLOAT16_ROWS, MAX_FLOAT16_ROWS + 1])
@torch.inference_mode()
def test_float16_products_are_those_of_float32(half_checkpoint: Path, num_rows: int) -> None:
    plain, packed = load_model(half_checkpoint), load_model(half_checkpoint)
    pack_weights(packed, WeightFormat.FLOAT16)
    states = torch.randn(num_rows, 8, generator=torch.Generator().manual_seed(0))
    for layer in range(4):
        expected = plain.run_encoder_layer(layer, states[None], None)
        got = packed.run_encoder_layer(layer, states[None], None)
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
        for part, wanted in zip(
            packed.memory_key_value(layer, states[None]),
            plain.memory_key_value(layer, states[None]),
            strict=True,
        ):
            torch.testing.assert_close(part, wanted, atol=1e-5, rtol=1e-5)
    logits = packed.exit_logits(packed.exit_features(2, states))
    expected = plain.exit_logits(plain.exit_features(2, states))
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


@needs_fbgemm
def test_float16_answers_are_those_of_float32(
    half_checkpoint: Path, photos: list[Image.Image]
) -> None:
    answers = {}
    for weights in ("float32", "float16"):
        predictor = Predictor.load(half_checkpoint, weights=weights)
        assert predictor.info.weights == weights
        exits = [
            ExitConfig(),
            ExitConfig(
                image=SimilarityPolicy(threshold=0.54), decoder=ConfidencePolicy(threshold=0.25)
            ),
        ]
        requests = [predictor.request("caption", photo, each) for photo in photos for each in exits]
        answers[weights] = [
            (answer.token_ids, [token.depth for token in answer.trace.decoder.tokens])
            for answer in predictor.answer(requests)
        ]
    assert answers["float16"] == answers["float32"]


@needs_fbgemm
@pytest.mark.parametrize("weight_format", WeightFormat)
def test_packing_leaves_parameters_as_they_are(
    half_checkpoint: Path, weight_format: WeightFormat
) -> None:
    plain, packed = load_model(half_checkpoint), load_model(half_checkpoint)
    pack_weights(packed, weight_format)
    states = packed.state_dict()
    assert states.keys() == plain.state_dict().keys()
    assert all(torch.equal(states[name], value) for name, value in plain.state_dict().items())


@needs_fbgemm
@torch.inference_mode()
def test_int8_is_exact_where_its_grid_is(half_checkpoint: Path) -> None:
    # Scales of 1 on both sides: inputs 0..127 hold 127, each row of weights too.
    model = load_model(half_checkpoint)
    linear = model.encoder.layers[0].self_out
    generator = torch.Generator().manual_seed(1)
    weight = torch.randint(-127, 128, (8, 8), generator=generator).float()
    weight[:, 3] = 127
    linear.weight.copy_(weight)  # type: ignore[union-attr, operator]
    pack_weights(model, WeightFormat.INT8)
    states = torch.randint(0, 128, (5, 8), generator=generator).float()
    states[0, 0] = 127
    got = model.encoder.layers[0].self_out(states)  # type: ignore[operator]
    assert torch.equal(got, states @ weight.T + linear.bias)  # type: ignore[operator]


@needs_fbgemm
@torch.inference_mode()
def test_int8_rounds_to_half_a_step(half_checkpoint: Path) -> None:
    model = load_model(half_checkpoint)
    weight = model.word_embedding.weight.detach().clone()
    pack_weights(model, WeightFormat.INT8)
    unit = torch.eye(8)  # on the grid of the inputs: the columns of the rounded weights
    step = weight.abs().amax(dim=1) / 127
    difference = (model.exit_logits(unit) - model.exit_head.bias - weight.T).abs()
    assert (difference <= 0.51 * step).all()
    assert difference.max() > 0


@needs_fbgemm
def test_auto_packs_what_is_exact_in_float16(half_checkpoint: Path, tiny_checkpoint: Path) -> None:
    assert resolve_weights("auto", load_model(half_checkpoint)) is WeightFormat.FLOAT16
    assert resolve_weights("auto", load_model(tiny_checkpoint)) is WeightFormat.FLOAT32
    assert resolve_weights("auto", load_model(half_checkpoint).double()) is WeightFormat.FLOAT32


def test_formats_that_are_not_there_are_refused(
    half_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="weights: 'float8' is not one of auto, float32"):
        Predictor.load(half_checkpoint, weights="float8")
    with pytest.raises(ConfigError, match="int8 is not available with dtype float64; use auto"):
        Predictor.load(half_checkpoint, dtype="float64", weights="int8")
    monkeypatch.setattr(packed_weights, "_has_kernels", lambda: False)
    with pytest.raises(ConfigError, match="float16 is not available on this processor"):
        Predictor.load(half_checkpoint, weights="float16")
    assert Predictor.load(half_checkpoint).info.weights == "float32"
