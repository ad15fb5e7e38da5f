"""Stem features of a data folder, computed once and kept on disk.

The stem is frozen in this recipe, so its output is computed for each photo and its mirror image,
and read back by every later run.
"""

import copy
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from PIL import Image
from rich.progress import track

from model_core.model import UnifiedModel
from model_core.preprocessing import MAX_PIXELS, PREPROCESSING_VERSION, decode_photo, prepare_pixels
from model_core.stem import fold_batch_norms

CHUNK = 4  # larger chunks fall out of the cache of a CPU


def stem_features(
    model: UnifiedModel,
    image_folder: Path,
    names: Sequence[str],
    cache_folder: Path,
    has_flips: bool,
) -> np.ndarray:
    """``(views, photos, Ti, C)`` float16 features: the photo, and its mirror image if asked.

    Read from ``cache_folder`` when the same stem has seen the same photos before.
    """
    path = cache_folder / f"{_fingerprint(model, names, has_flips)}.npy"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part.npy")
        _compute(model, image_folder, names, unfinished, 1 + has_flips)
        unfinished.rename(path)
    features: np.ndarray = np.load(path, mmap_mode="r")
    return features


def _fingerprint(model: UnifiedModel, names: Sequence[str], has_flips: bool) -> str:
    digest = hashlib.sha256(f"{PREPROCESSING_VERSION} {has_flips} {list(names)}".encode())
    for value in model.stem.state_dict().values():
        digest.update(value.cpu().numpy().tobytes())
    return digest.hexdigest()[:24]


@torch.inference_mode()
def _compute(
    model: UnifiedModel, image_folder: Path, names: Sequence[str], path: Path, num_views: int
) -> None:
    stem = model.config.stem
    shape = (num_views, len(names), stem.num_image_tokens, stem.feature_channels)
    features = open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    device = next(model.parameters()).device
    stem_copy = copy.deepcopy(model.stem).eval()
    fold_batch_norms(stem_copy)
    for start in track(range(0, len(names), CHUNK), description="stem features"):
        photos = [
            _open(image_folder / name, stem.image_size) for name in names[start : start + CHUNK]
        ]
        pixels = torch.stack(photos).to(device)
        for view in range(num_views):
            seen = pixels.flip(-1) if view else pixels
            features[view, start : start + CHUNK] = stem_copy(seen).cpu().numpy()
    features.flush()


def _open(path: Path, image_size: int) -> torch.Tensor:
    photo: Image.Image = decode_photo(path.read_bytes(), MAX_PIXELS)
    return prepare_pixels(photo, image_size)
