"""Files that were decoded before: known by their bytes, few of them, and decoded when needed."""

import pytest

import serve.service
from serve.cache.seen_photos import MAX_FILE_BYTES, SeenPhotos
from tests.serve.conftest import Running, to_base64


def test_the_file_not_asked_for_the_longest_is_forgotten() -> None:
    seen = SeenPhotos(max_files=2)
    seen.note(b"one", "pixels of one")
    seen.note(b"two", "pixels of two")
    assert seen.find(b"one") == "pixels of one"
    seen.note(b"three", "pixels of three")
    found = [seen.find(file) for file in (b"one", b"two", b"three")]
    assert found == ["pixels of one", None, "pixels of three"]


def test_large_files_are_decoded_each_time() -> None:
    seen = SeenPhotos()
    for num_bytes, found in ((MAX_FILE_BYTES, "digest"), (MAX_FILE_BYTES + 1, None)):
        seen.note(bytes(num_bytes), "digest")
        assert seen.find(bytes(num_bytes)) == found


async def test_kept_answer_to_the_same_file_is_found_without_decoding(
    running: Running, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    decode = serve.service.decode_photo

    def count(data: bytes, max_pixels: int) -> object:
        decoded.append(len(data))
        return decode(data, max_pixels)

    monkeypatch.setattr(serve.service, "decode_photo", count)
    body = {"image": to_base64(photo), "policy": "full"}
    states = [
        (await running.client.post("/v1/caption", json=body)).json()["cache"] for _ in range(2)
    ]
    assert (states, len(decoded)) == (["miss", "hit"], 1)
    other = await running.client.post("/v1/caption", json={**body, "policy": "fast"})
    assert (other.json()["cache"], len(decoded)) == ("miss", 2)  # it is needed again
    assert other.json()["caption"].startswith("8x6")
    compared = await running.client.post(
        "/v1/compare",
        json={"image": to_base64(photo), "task": "caption", "policies": ["lossless", "balanced"]},
    )
    assert [answer["cache"] for answer in compared.json()["answers"]] == ["miss", "miss"]
    assert len(decoded) == 3  # once for both
