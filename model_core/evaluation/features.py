"""Stem features of the photos of a set of examples, so that many policies share one stem pass.

No exit policy stands before the stem: its output is the same under all of them. It is computed
once, kept in memory or in a folder, and given to requests in place of the photos. Answers do not
change, and neither does what they are charged: only the time of the stem is missing.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from model_core.evaluation.examples import Example
from model_core.feature_file import STEM_CHUNK, compute_once
from model_core.predictor import Predictor
from model_core.preprocessing import MAX_PIXELS, decode_photo, prepare_pixels


class StemFeatures(Mapping[Path, Tensor]):
    """``(Ti, C)`` features by photo, in the model's own dtype, so that nothing is rounded.

    A photo's tensor is a view of the same memory each time; nobody writes to it.
    """

    def __init__(self, photos: Sequence[Path], values: np.ndarray) -> None:
        """``values`` is ``(photos, Ti, C)``, in the order of ``photos``."""
        self._rows = {path: row for row, path in enumerate(photos)}
        self._values = values

    def __getitem__(self, photo: Path) -> Tensor:
        return torch.from_numpy(self._values[self._rows[photo]])

    def __iter__(self) -> Iterator[Path]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def stem_features(
    predictor: Predictor, examples: Sequence[Example], cache_folder: Path | None = None
) -> StemFeatures:
    """Features of the photos of ``examples``, each computed once.

    Args:
        predictor: The model whose stem it is.
        examples: Several may be about one photo.
        cache_folder: Where a later run finds them again; None keeps them in memory. The file's
            name depends on the model, its dtype, the preprocessing and the photos' files.

    Raises:
        InputError: A photo cannot be read.
    """
    photos = list(dict.fromkeys(example.image for example in examples))
    stem = predictor.model.config.stem
    shape = (len(photos), stem.num_image_tokens, stem.feature_channels)
    dtype = np.float64 if predictor.info.dtype == "float64" else np.float32  # bfloat16: widened
    if cache_folder is None:
        values = np.empty(shape, dtype)
        _compute(predictor, photos, values)
        return StemFeatures(photos, values)
    path = cache_folder / f"{_fingerprint(predictor, photos)}.npy"
    compute_once(path, shape, dtype, lambda values: _compute(predictor, photos, values))
    return StemFeatures(photos, np.load(path, mmap_mode="c"))


def _fingerprint(predictor: Predictor, photos: Sequence[Path]) -> str:
    info = predictor.info
    digest = hashlib.sha256(f"{info.hash} {info.dtype} {info.preprocessing_version}".encode())
    for photo in photos:
        status = photo.stat()
        digest.update(f"\n{photo.name} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()[:24]


@torch.inference_mode()
def _compute(predictor: Predictor, photos: Sequence[Path], values: np.ndarray) -> None:
    weight = next(predictor.model.parameters())
    side = predictor.model.config.stem.image_size
    starts = range(0, len(photos), STEM_CHUNK)
    console = Console(stderr=True)
    is_silent = not console.is_terminal
    for start in track(starts, "stem features", console=console, transient=True, disable=is_silent):
        pixels = torch.stack(
            [
                prepare_pixels(decode_photo(path.read_bytes(), MAX_PIXELS), side)
                for path in photos[start : start + STEM_CHUNK]
            ]
        )
        features = predictor.model.image_features(pixels.to(weight.device, weight.dtype))
        precise = torch.float64 if weight.dtype == torch.float64 else torch.float32
        values[start : start + STEM_CHUNK] = features.to("cpu", precise).numpy()
