"""Photos to pixels: decode an upload safely, and prepare it for the stem."""

import io

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from model_core.errors import InputError

PREPROCESSING_VERSION = "resize-bilinear-1"
PIXEL_MEAN = 127.0
PIXEL_SCALE = 128.0
ALLOWED_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
MIN_SIDE_PIXELS = 2
MAX_PIXELS = 40_000_000  # of files named on the command line or in a data folder


def decode_photo(data: bytes, max_pixels: int) -> Image.Image:
    """The upright RGB photo in an uploaded file.

    Args:
        data: Bytes of the file.
        max_pixels: Most pixels (width x height) that are decoded.

    Raises:
        InputError: Not an image of an allowed format, damaged, too small, or over the limit.
    """
    if not data:
        raise InputError("image: the file is empty; send a JPEG, PNG, WebP, BMP or GIF")
    try:
        photo = Image.open(io.BytesIO(data), formats=ALLOWED_FORMATS)
        _check_size(photo, max_pixels)
        photo.load()
        return to_rgb(photo)
    except InputError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"image: too many pixels; at most {max_pixels} are allowed") from error
    except UnidentifiedImageError as error:
        raise InputError(
            f"image: not an image that can be read ({len(data)} bytes); "
            f"allowed formats: {', '.join(ALLOWED_FORMATS)}"
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, MemoryError) as error:
        raise InputError(f"image: the file is damaged or cut off ({len(data)} bytes)") from error


def _check_size(photo: Image.Image, max_pixels: int) -> None:
    width, height = photo.size
    if width * height > max_pixels:
        raise InputError(
            f"image: {width}x{height} = {width * height} pixels; at most {max_pixels} are allowed"
        )
    if min(width, height) < MIN_SIDE_PIXELS:
        raise InputError(
            f"image: {width}x{height} pixels; each side needs at least {MIN_SIDE_PIXELS}"
        )


def to_rgb(photo: Image.Image) -> Image.Image:
    """The photo turned as its EXIF says, in RGB, transparency on white."""
    upright = ImageOps.exif_transpose(photo)
    if upright.mode.startswith("I;16"):  # Pillow would clip it at 255
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
        layer = upright.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return upright.convert("RGB")


def prepare_pixels(photo: Image.Image, image_size: int) -> Tensor:
    """``(3, S, S)`` float32 pixels ``(x - 127) / 128`` of the *whole* photo, resized."""
    resized = photo.resize((image_size, image_size), Image.Resampling.BILINEAR)
    array = np.asarray(resized, dtype=np.float32)  # (S, S, 3)
    return torch.from_numpy((array - PIXEL_MEAN) / PIXEL_SCALE).permute(2, 0, 1)
