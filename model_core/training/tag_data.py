"""What tag heads learn from: the states of every encoder depth, computed once, and the tags.

The model is frozen, so each view of a photo goes through the encoder once for all runs: a file
beside the stem features, which a step reads a batch of.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from model_core.feature_file import compute_once
from model_core.model import UnifiedModel
from model_core.training.config import Precision, TrainConfig
from model_core.training.data import CaptionExample, read_captions
from model_core.training.features import Views, stem_features
from model_core.training.recipe import autocast_dtype
from model_core.training.tag_words import photo_tags
from model_core.training.teacher_forcing import image_tokens

CHUNK_SIZE = 32


class TagData(NamedTuple):
    """One split.

    Attributes:
        states: ``(V, N, L, T, D)`` float16 states of each view and photo at depths 1..L.
        targets: ``(N, W)`` 1 where the photo has the word.
    """

    states: np.ndarray
    targets: Tensor

    def batch_states(self, views: Sequence[int], photos: Sequence[int], device: str) -> Tensor:
        """``(B, L, T, D)`` float32 states of so many views of photos."""
        chosen = [self.states[view, photo] for view, photo in zip(views, photos, strict=True)]
        return torch.from_numpy(np.stack(chosen)).to(device).float()


def read_tag_data(
    model: UnifiedModel, config: TrainConfig, split: str, words: Sequence[str]
) -> TagData:
    """The states and tags of a split; only the training split has more views than the photo.

    Raises:
        InputError: A file of the data folder is missing or wrong.
    """
    examples = read_captions(config.data.folder, split)
    states = _depth_states(model, config, split, examples)
    targets = [photo_tags(example.captions, words) for example in examples]
    return TagData(states, torch.tensor(targets, dtype=torch.float32))


def _depth_states(
    model: UnifiedModel, config: TrainConfig, split: str, examples: Sequence[CaptionExample]
) -> np.ndarray:
    data, is_training = config.data, split == "train"
    views = Views(data.has_flips, data.num_crops) if is_training else Views(False, 0)
    names = [example.image for example in examples]
    features = stem_features(
        model,
        data.folder / "images",
        names,
        config.feature_folder,
        views,
        config.num_trainable_stem_blocks,
    )[: data.max_views]
    sizes = model.config
    shape = (sizes.num_encoder_layers, sizes.stem.num_image_tokens, sizes.hidden_size)
    path = config.feature_folder / f"{_fingerprint(model, names, views, config)}.npy"
    whole = (*features.shape[:2], *shape)
    compute_once(path, whole, np.float16, lambda values: _compute(model, features, config, values))
    states: np.ndarray = np.load(path, mmap_mode="r")
    return states


def _fingerprint(
    model: UnifiedModel, names: Sequence[str], views: Views, config: TrainConfig
) -> str:
    seen = f"depths {views} {config.data.max_views} {config.precision} {list(names)}"
    digest = hashlib.sha256(seen.encode())
    for part in (model.stem, model.encoder):
        for value in part.state_dict().values():
            digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:24]


@torch.no_grad()
def _compute(
    model: UnifiedModel, features: np.ndarray, config: TrainConfig, values: np.ndarray
) -> None:
    model.eval()
    for view, seen in enumerate(features):
        starts = range(0, len(seen), CHUNK_SIZE)
        for start in track(starts, description="photos through the encoder"):
            part = torch.from_numpy(seen[start : start + CHUNK_SIZE].astype(np.float32))
            states = states_of_depths(model, part.to(config.device), config)
            values[view, start : start + CHUNK_SIZE] = states.half().cpu().numpy()


def states_of_depths(model: UnifiedModel, features: Tensor, config: TrainConfig) -> Tensor:
    """``(B, L, T, D)`` states at every depth of what was kept of the stem."""
    dtype = autocast_dtype(config.precision, config.device)
    with torch.autocast(
        device_type=torch.device(config.device).type,
        dtype=dtype,
        enabled=Precision.FLOAT32 is not config.precision and dtype is not torch.float32,
    ):
        hidden = model.encoder.embed_image(
            image_tokens(model, features, config.num_trainable_stem_blocks)
        )
        depths = []
        for layer in range(model.config.num_encoder_layers):
            hidden = model.encoder.run_layers(hidden, None, layer, layer + 1)
            depths.append(hidden)
    return torch.stack(depths, dim=1)
