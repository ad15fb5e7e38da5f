"""Stem features of a data folder, computed once and kept on disk.

The stem is frozen in our recipes, so its output is computed for each photo, its mirror image and
some random crops, and read back by every later run.
"""

import copy
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from rich.progress import track

from model_core.feature_file import STEM_CHUNK, compute_once
from model_core.model import UnifiedModel
from model_core.preprocessing import MAX_PIXELS, PREPROCESSING_VERSION, decode_photo, prepare_pixels
from model_core.stem import fold_batch_norms

CROPPED_SHARE = (0.75, 1.0)  # of each side of the photo


class Views(NamedTuple):
    """How each photo is shown beside itself."""

    has_mirror: bool
    num_crops: int

    @property
    def total(self) -> int:
        """The photo and all its variants."""
        return 1 + self.has_mirror + self.num_crops


def stem_features(
    model: UnifiedModel,
    image_folder: Path,
    names: Sequence[str],
    cache_folder: Path,
    views: Views,
) -> np.ndarray:
    """``(views, photos, Ti, C)`` float16 features: the photo, then the views that were asked for.

    Read from ``cache_folder`` when the same stem has seen the same photos before.
    """
    path = cache_folder / f"{_fingerprint(model, names, views)}.npy"
    stem = model.config.stem
    shape = (views.total, len(names), stem.num_image_tokens, stem.feature_channels)
    paths = [image_folder / name for name in names]
    compute_once(path, shape, np.float16, lambda values: _compute(model, paths, values, views))
    features: np.ndarray = np.load(path, mmap_mode="r")
    return features


def _fingerprint(model: UnifiedModel, names: Sequence[str], views: Views) -> str:
    seen = f"{PREPROCESSING_VERSION} {views.has_mirror} {list(names)}"
    if views.num_crops:
        seen += f" {views.num_crops} crops of {CROPPED_SHARE}"
    digest = hashlib.sha256(seen.encode())
    for value in model.stem.state_dict().values():
        digest.update(value.cpu().numpy().tobytes())
    return digest.hexdigest()[:24]


@torch.inference_mode()
def _compute(
    model: UnifiedModel, paths: Sequence[Path], features: np.ndarray, views: Views
) -> None:
    image_size = model.config.stem.image_size
    device = next(model.parameters()).device
    stem_copy = copy.deepcopy(model.stem).eval()
    fold_batch_norms(stem_copy)
    for start in track(range(0, len(paths), STEM_CHUNK), description="stem features"):
        photos = [
            _views(path, start + place, image_size, views)
            for place, path in enumerate(paths[start : start + STEM_CHUNK])
        ]
        for view, pixels in enumerate(zip(*photos, strict=True)):
            seen = stem_copy(torch.stack(pixels).to(device))
            features[view, start : start + STEM_CHUNK] = seen.cpu().numpy()


def _views(path: Path, number: int, image_size: int, views: Views) -> list[torch.Tensor]:
    """Prepared pixels of the photo, its mirror image and its crops; ``number`` seeds the crops."""
    photo: Image.Image = decode_photo(path.read_bytes(), MAX_PIXELS)
    whole = prepare_pixels(photo, image_size)
    seen = [whole, whole.flip(-1)] if views.has_mirror else [whole]
    for crop in range(views.num_crops):
        rng = np.random.default_rng((number, crop))
        pixels = prepare_pixels(photo.crop(_crop_box(photo, rng)), image_size)
        seen.append(pixels.flip(-1) if rng.random() < 0.5 else pixels)
    return seen


def _crop_box(photo: Image.Image, rng: np.random.Generator) -> tuple[int, int, int, int]:
    # Each side on its own: objects are stretched a little, as squashed photos stretch them.
    width, height = (max(int(side * rng.uniform(*CROPPED_SHARE)), 1) for side in photo.size)
    left = int(rng.integers(photo.width - width + 1))
    top = int(rng.integers(photo.height - height + 1))
    return left, top, left + width, top + height
