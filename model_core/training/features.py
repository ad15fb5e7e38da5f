"""Stem features of a data folder, computed once and kept on disk.

What is frozen of the stem runs once for each photo, its mirror image and some random crops, and
later runs read it back: the image tokens, or the grid that the first trainable block sees.
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
from torch import Tensor

from model_core.feature_file import STEM_CHUNK, compute_once
from model_core.model import UnifiedModel
from model_core.preprocessing import MAX_PIXELS, PREPROCESSING_VERSION, decode_photo, prepare_pixels
from model_core.stem import EfficientNetLite, fold_batch_norms

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
    num_trainable_blocks: int = 0,
) -> np.ndarray:
    """``(views, photos, ...)`` float16 features: the photo, then the views that were asked for.

    Each is ``(Ti, C)`` image tokens, or ``(c, h, w)`` before the last ``num_trainable_blocks``
    blocks where there are any. Read from ``cache_folder`` when the same frozen part has seen the
    same photos before.
    """
    frozen = FrozenStem(model.stem, num_trainable_blocks)
    path = cache_folder / f"{_fingerprint(frozen, names, views)}.npy"
    image_size = model.config.stem.image_size
    with torch.inference_mode():
        one = frozen(torch.zeros(1, 3, image_size, image_size))[0]
    paths = [image_folder / name for name in names]
    compute_once(
        path,
        (views.total, len(names), *one.shape),
        np.float16,
        lambda values: _compute(frozen, paths, image_size, values, views),
    )
    features: np.ndarray = np.load(path, mmap_mode="r")
    return features


class FrozenStem:
    """The part of a stem that no step changes, with its batch norms folded."""

    def __init__(self, stem: EfficientNetLite, num_trainable_blocks: int) -> None:
        self._stem = copy.deepcopy(stem).eval()
        fold_batch_norms(self._stem)
        self._stop = self._stem.num_blocks - num_trainable_blocks
        self._is_whole = not num_trainable_blocks
        self.device = next(stem.parameters()).device

    def __call__(self, pixels: Tensor) -> Tensor:
        """Image tokens, or the grid that the first trainable block sees."""
        if self._is_whole:
            tokens: Tensor = self._stem(pixels.to(self.device))
            return tokens
        return self._stem.grid(pixels.to(self.device), self._stop)

    def weights(self) -> list[Tensor]:
        """All that the output depends on."""
        trainable: set[int] = set()
        if not self._is_whole:
            for module in self._stem.tail_modules(self._stop):
                trainable |= {id(value) for value in module.parameters()}
        return [value for value in self._stem.parameters() if id(value) not in trainable]


def _fingerprint(frozen: FrozenStem, names: Sequence[str], views: Views) -> str:
    seen = f"{PREPROCESSING_VERSION} {views.has_mirror} {list(names)}"
    if views.num_crops:
        seen += f" {views.num_crops} crops of {CROPPED_SHARE}"
    digest = hashlib.sha256(seen.encode())
    for value in frozen.weights():
        digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:24]


@torch.inference_mode()
def _compute(
    frozen: FrozenStem,
    paths: Sequence[Path],
    image_size: int,
    features: np.ndarray,
    views: Views,
) -> None:
    for start in track(range(0, len(paths), STEM_CHUNK), description="stem features"):
        photos = [
            _views(path, start + place, image_size, views)
            for place, path in enumerate(paths[start : start + STEM_CHUNK])
        ]
        for view, pixels in enumerate(zip(*photos, strict=True)):
            seen = frozen(torch.stack(pixels))
            features[view, start : start + STEM_CHUNK] = seen.cpu().numpy()


def _views(path: Path, number: int, image_size: int, views: Views) -> list[Tensor]:
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
