"""Photos to send: a folder's or generated ones, each marked so that no two have the same pixels.

The mark is a strip of black and white blocks in the upper left corner, as large as the blocks of
JPEG, so that compression keeps it: the service's cache cannot answer for another photo.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 224
BLOCK = 8
MARK_BITS = 24
NUM_GENERATED = 32
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


class PhotoSource:
    """Photos without end, from a few.

    Attributes:
        name: Where they are from, for reports.
    """

    def __init__(self, photos: Sequence[Image.Image], name: str = "given") -> None:
        if not photos:
            raise ValueError("a source of photos needs at least one")
        self.name = name
        self._photos = photos

    @classmethod
    def from_folder(cls, folder: Path, limit: int = 1000) -> "PhotoSource":
        """The first ``limit`` photos of a folder, by name.

        Raises:
            ValueError: It holds none.
        """
        paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
        if not paths:
            raise ValueError(f"{folder}: holds no photo ({', '.join(sorted(SUFFIXES))})")
        return cls(
            [_open(path) for path in paths[:limit]], f"{folder.resolve().parent.name}/{folder.name}"
        )

    @classmethod
    def generated(cls, seed: int) -> "PhotoSource":
        """Gradients with noise, of the size that the model takes."""
        rng = np.random.default_rng(seed)
        return cls([_gradient(rng) for _ in range(NUM_GENERATED)], "generated")

    def jpeg(self, index: int) -> bytes:
        """The photo of one request, as a file; every index below 2**24 has pixels of its own."""
        photo = self._photos[index % len(self._photos)].copy()
        photo.paste(_mark(index), (0, 0))
        file = io.BytesIO()
        photo.save(file, "JPEG", quality=90)
        return file.getvalue()


def _open(path: Path) -> Image.Image:
    with Image.open(path) as file:
        photo = file.convert("RGB")
    return photo if photo.width >= MARK_BITS * BLOCK else photo.resize((SIDE, SIDE))


def _gradient(rng: np.random.Generator) -> Image.Image:
    corners = rng.uniform(0, 255, (2, 2, 3)).astype(np.float32)
    along = np.linspace(0, 1, SIDE, dtype=np.float32)[:, None]
    top = corners[0, 0] * (1 - along) + corners[0, 1] * along  # (side, 3)
    bottom = corners[1, 0] * (1 - along) + corners[1, 1] * along
    pixels = top[None] * (1 - along[:, None]) + bottom[None] * along[:, None]  # (side, side, 3)
    noisy = pixels + rng.normal(0, 12, pixels.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def _mark(index: int) -> Image.Image:
    bits = [(index >> place) & 1 for place in range(MARK_BITS)]
    row = np.repeat(np.array(bits, dtype=np.uint8) * 255, BLOCK)
    return Image.fromarray(np.tile(row, (BLOCK, 1))).convert("RGB")
