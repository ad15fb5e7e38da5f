"""Small stand-ins: a tokenizer without downloads, photos without files, sizes for a fast model."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image
from tokenizers import Tokenizer

from model_core.config import CONFIG_ROOT, ModelConfig, load_config
from model_core.model import UnifiedModel
from model_core.policy_heads import HEADS
from model_core.tokenizer import SPECIAL_PIECES, WordPieceTokenizer

TINY_OVERRIDES = (
    "name=tiny",
    "hidden_size=8",
    "num_heads=2",
    "ffn_size=16",
    "adapter_size=4",
    "embedding_size=0",
    "text_embedding_rank=0",
    "num_encoder_layers=4",
    "num_decoder_layers=4",
    "stem.image_size=64",
    "stem.width_multiplier=0.1",
    "stem.depth_multiplier=0.3",
    "stem.feature_channels=12",
    "max_target_tokens=12",
    "max_text_tokens=24",
    "tasks.caption.max_new_tokens=10",
)
COCA_OVERRIDES = (
    *TINY_OVERRIDES,
    "embedding_size=6",
    "max_text_tokens=12",
    "num_unimodal_layers=2",
    "num_pooler_queries=3",
)
WORDS = (
    "what does the image describe ? yes maybe no a dog cat runs on grass ##s two people . in snow"
)
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789'-,!"


def write_model_file(name: str, overrides: Sequence[str], path: Path) -> Path:
    """The YAML file of the model ``name`` with other sizes; returns its path."""
    config = load_config(CONFIG_ROOT / "model" / f"{name}.yaml", ModelConfig, overrides)
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    return path


def tiny_tokenizer(words: str = WORDS, letters: str = LETTERS) -> WordPieceTokenizer:
    """WordPiece over a few words and the letters."""
    pieces = [*SPECIAL_PIECES, *dict.fromkeys(words.split())]
    pieces += [piece for letter in letters for piece in (letter, f"##{letter}")]
    unique = dict.fromkeys(pieces)
    content = {
        "version": "1.0",
        "added_tokens": [
            {
                "id": number,
                "content": piece,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for number, piece in enumerate(SPECIAL_PIECES)
        ],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": None,
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {piece: number for number, piece in enumerate(unique)},
        },
    }
    return WordPieceTokenizer(Tokenizer.from_str(json.dumps(content)))


def photo(seed: int, width: int = 40, height: int = 30) -> Image.Image:
    """A photo of coloured noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def randomize(model: UnifiedModel) -> None:
    """Weights large enough that photos, tokens and depths differ from each other."""
    generator = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.startswith("stem.") and value.dim() > 1:
                # Variance-preserving: an untrained stem would hardly tell photos apart.
                value.normal_(std=(2.5 / value[0].numel()) ** 0.5, generator=generator)
            elif value.dim() > 1:
                # A strong MLP or memory would push every token the same way.
                is_quiet = "mlp" in name or "cross_out" in name
                value.normal_(std=0.1 if is_quiet else 0.8, generator=generator)
        model.decoder.position.weight.normal_(std=3.0, generator=generator)


def add_random_heads(model: UnifiedModel) -> None:
    """Learned heads of every kind, whose scores differ between rows and depths."""
    generator = torch.Generator().manual_seed(8)
    for kind, (heads_class, _) in HEADS.items():
        heads = heads_class(model.config)
        with torch.no_grad():
            for value in heads.parameters():
                value.normal_(std=0.5, generator=generator)
        model.policy_heads[kind] = heads
