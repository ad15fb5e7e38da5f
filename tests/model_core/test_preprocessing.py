"""Photos: decoding refuses what is wrong, and pixels are what the stem was trained on."""

import io

import pytest
import torch
from PIL import Image

from model_core.errors import InputError
from model_core.preprocessing import decode_photo, prepare_pixels


def encode(photo: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    photo.save(buffer, kind, **options)
    return buffer.getvalue()


def test_pixels_are_scaled_and_channels_come_first() -> None:
    pixels = prepare_pixels(Image.new("RGB", (10, 20), (127, 255, 0)), 32)
    assert pixels.shape == (3, 32, 32)
    torch.testing.assert_close(pixels[:, 0, 0], torch.tensor([0.0, 1.0, -127 / 128]))


def test_exif_rotation_is_applied() -> None:
    photo = Image.new("RGB", (4, 2), "black")
    photo.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    turned = decode_photo(encode(photo, exif=exif.tobytes()), 100)
    assert turned.size == (2, 4)
    assert turned.getpixel((1, 0)) == (255, 255, 255)


def test_transparency_becomes_white() -> None:
    photo = decode_photo(encode(Image.new("RGBA", (4, 4), (0, 0, 0, 0))), 100)
    assert photo.getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1", "LA", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert decode_photo(encode(Image.new(mode, (4, 4)), kind), 100).mode == "RGB"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"not an image at all", "not an image that can be read"),
        (encode(Image.new("RGB", (11, 10))), "11x10 = 110 pixels; at most 100 are allowed"),
        (encode(Image.effect_noise((10, 10), 50))[:-40], "damaged or cut off"),
        (encode(Image.effect_noise((9, 9), 50), "JPEG")[:-30], "damaged or cut off"),
        (encode(Image.new("RGB", (1, 10))), "each side needs at least 2"),
        (encode(Image.new("RGB", (4, 4)), "TIFF"), "not an image that can be read"),
    ],
)
def test_bad_file_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        decode_photo(data, max_pixels=100)
