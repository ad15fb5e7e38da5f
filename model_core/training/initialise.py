"""Where a run starts: released weights, standardised stem features, word frequencies.

All three are ours to choose and cheap. Without the second, Adam's first hundred steps grow the part
that every image token shares until tokens and photos can no longer be told apart; without the third
they are spent on learning how often each word occurs (``docs/log.md`` has both figures).
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from model_core.convert import load_stem_weights, load_text_weights
from model_core.model import UnifiedModel

SAMPLED_PHOTOS = 500
DEVIATION_FLOOR = 0.05  # a channel that is silent in the sample must not be blown up


def load_released_weights(model: UnifiedModel, source_ids: list[int]) -> None:
    """Stem from ImageNet; words and encoder from MiniLM; the decoder stays random."""
    load_stem_weights(model)
    load_text_weights(model, source_ids)


@torch.no_grad()
def standardise_features(model: UnifiedModel, features: np.ndarray) -> None:
    """Make the encoder see ``(views, photos, Ti, C)`` features with mean 0, deviation about 1."""
    every = max(features.shape[1] // SAMPLED_PHOTOS, 1)
    sample = torch.from_numpy(features[0, ::every].astype(np.float32)).flatten(0, 1)
    model.encoder.feature_mean.copy_(sample.mean(0))
    model.encoder.feature_scale.copy_(1 / (sample.std(0) + DEVIATION_FLOOR))


@torch.no_grad()
def start_from_frequencies(model: UnifiedModel, rows: Iterable[Sequence[int]]) -> None:
    """Set the exit head's bias to the log frequency of each id in ``rows`` (add-one smoothed)."""
    counts = torch.ones(model.word_embedding.num_embeddings)
    for row in rows:
        counts.index_add_(0, torch.tensor(row), torch.ones(len(row)))
    model.exit_head.bias.copy_((counts / counts.sum()).log())
