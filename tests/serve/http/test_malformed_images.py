"""Bad image files are refused with a sentence each, and unusual good ones are decoded right."""

import re

import pytest

from model_core.preprocessing import decode_photo
from tests.serve.conftest import Running
from tests.serve.malformed_images import ACCEPTED, REFUSED, Colour

MAX_PIXELS = 40_000_000


def test_there_are_enough_kinds() -> None:
    assert len(REFUSED) >= 30


@pytest.mark.parametrize("kind", list(REFUSED))
async def test_bad_file_is_refused_with_a_sentence(running: Running, kind: str) -> None:
    make, message = REFUSED[kind]
    response = await running.client.post("/v1/caption", files={"image": make()})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (422, "invalid_input")
    assert error["message"].startswith("image: ")
    assert re.search(message, error["message"])
    assert running.predictor.requests == []


@pytest.mark.parametrize("kind", list(ACCEPTED))
def test_unusual_file_is_decoded_right(kind: str) -> None:
    make, size, colour = ACCEPTED[kind]
    image = decode_photo(make(), MAX_PIXELS)
    assert (image.mode, image.size) == ("RGB", size)
    found = image.getpixel((1, 1))
    assert isinstance(found, tuple)
    assert is_near((found[0], found[1], found[2]), colour)


def is_near(found: Colour, expected: Colour) -> bool:
    """True within the loss of a JPEG or a palette."""
    return all(abs(one - other) <= 4 for one, other in zip(found, expected, strict=True))
