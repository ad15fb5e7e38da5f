"""Screenshots as the documentation keeps them: small WebP files, one of them moving.

Pure but for the writing: knows nothing of browsers. A picture that would be too large is written at
a lower quality, and refused where its text would suffer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

QUALITIES = (90, 82, 74, 66)
MAX_STILL_BYTES = 120_000
MAX_MOVING_BYTES = 600_000


class TooLargeError(Exception):
    """A picture does not fit into its limit at any quality at which text stays readable."""


@dataclass(frozen=True)
class Frame:
    """One moment of a moving picture."""

    image: Image.Image
    duration_ms: int


def picture_of(screenshot: bytes) -> Image.Image:
    """The pixels of a screenshot (PNG)."""
    return Image.open(BytesIO(screenshot)).convert("RGB")


def narrowed(image: Image.Image, width: int) -> Image.Image:
    """The image at most ``width`` pixels wide, its proportions kept."""
    if image.width <= width:
        return image
    height = round(image.height * width / image.width)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def write_still(image: Image.Image, path: Path) -> int:
    """Write a still picture; returns its size in bytes.

    Raises:
        TooLargeError: It has more than ``MAX_STILL_BYTES`` at the lowest quality.
    """
    return write_within(
        path,
        MAX_STILL_BYTES,
        lambda target, quality: image.save(target, "WEBP", quality=quality, method=6),
    )


def write_moving(frames: Sequence[Frame], path: Path) -> int:
    """Write a moving picture that starts again at its end; returns its size in bytes.

    Raises:
        TooLargeError: It has more than ``MAX_MOVING_BYTES`` at the lowest quality.
        ValueError: There are fewer than two frames.
    """
    if len(frames) < 2:
        raise ValueError(f"a moving picture has at least two frames, not {len(frames)}")
    first, *others = frames
    return write_within(
        path,
        MAX_MOVING_BYTES,
        lambda target, quality: first.image.save(
            target,
            "WEBP",
            save_all=True,
            append_images=[frame.image for frame in others],
            duration=[frame.duration_ms for frame in frames],
            loop=0,
            quality=quality,
            method=6,
        ),
    )


def write_within(path: Path, limit: int, save: Callable[[BytesIO, int], None]) -> int:
    """Write what ``save`` makes at the highest quality that has at most ``limit`` bytes."""
    for quality in QUALITIES:
        target = BytesIO()
        save(target, quality)
        if target.tell() <= limit:
            path.write_bytes(target.getvalue())
            return target.tell()
    raise TooLargeError(
        f"{path.name} has {target.tell()} bytes at the lowest quality; at most {limit} are kept"
    )
