"""The documentation's pictures: which there are, what they say, and how small they are kept."""

import json
import random
import re
from pathlib import Path

import pytest
from PIL import Image

from app.state import shown_from
from serve.schemas import CaptionAnswer
from tests.app.conftest import CANNED
from tools.page_pictures.__main__ import FOLDER, SAID_NAME, main
from tools.page_pictures.images import (
    MAX_MOVING_BYTES,
    MAX_STILL_BYTES,
    Frame,
    TooLargeError,
    narrowed,
    write_moving,
    write_still,
    write_within,
)
from tools.page_pictures.scenes import MOVING, STILLS, streamed_words
from tools.page_pictures.visitor import whole_lines

ROOT = Path(__file__).parents[2]
VISIT = "docs/first-visit.md"
PICTURED = re.compile(r"images/([\w-]+)\.webp")
NAMES = {MOVING, *STILLS}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_each_picture_is_shown_somewhere_and_none_is_left_over() -> None:
    shown = PICTURED.findall(read(VISIT) + read("README.md"))
    files = {path.stem for path in (ROOT / FOLDER).glob("*.webp")}
    assert set(shown) == NAMES == files


@pytest.mark.parametrize("name", sorted(NAMES))
def test_picture_is_small(name: str) -> None:
    limit = MAX_MOVING_BYTES if name == MOVING else MAX_STILL_BYTES
    assert (ROOT / FOLDER / f"{name}.webp").stat().st_size <= limit


def test_first_visit_quotes_what_the_page_says_in_its_latest_pictures() -> None:
    said = json.loads(read(f"{FOLDER}/{SAID_NAME}"))
    num_quotes, before = 0, ""
    for section in read(VISIT).split("\n## "):
        lines = [line for name in PICTURED.findall(before + section) for line in said[name]]
        quotes = re.findall(r"^> (.+)$", section, flags=re.MULTILINE)
        assert [quote for quote in quotes if quote not in lines] == []
        num_quotes, before = num_quotes + len(quotes), section
    assert num_quotes >= 5


def test_lines_that_say_something_are_kept_once() -> None:
    text = "Image\n1 of 6 layers\n1\t● ran\n\n never ran \nnever ran"
    assert whole_lines(text) == ["1 of 6 layers", "never ran"]


def test_streamed_words_join_to_the_caption() -> None:
    caption_answer = CaptionAnswer.model_validate_json((CANNED / "caption.json").read_text())
    words = streamed_words(shown_from(caption_answer))
    assert "".join(word.text for word in words) == caption_answer.caption
    assert [word.depth for word in words] == [
        token.depth for token in caption_answer.trace.decoder.tokens
    ]


def test_address_without_a_host_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--page", "localhost:7860"])
    assert stopped.value.code == 2
    assert "'localhost:7860' is no address; write http://HOST:PORT" in capsys.readouterr().err


def test_missing_browser_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["--page", "http://127.0.0.1:1", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("page_pictures: chromium is missing")


def test_wide_picture_is_narrowed_and_a_narrow_one_is_left() -> None:
    image = Image.new("RGB", (300, 200))
    assert narrowed(image, 150).size == (150, 100)
    assert narrowed(image, 300) is image


def test_moving_picture_keeps_its_frames_and_their_times(tmp_path: Path) -> None:
    path = tmp_path / "moving.webp"
    colors = ("red", "green", "blue")
    frames = [
        Frame(Image.new("RGB", (8, 8), color), 100 * n) for n, color in enumerate(colors, start=1)
    ]
    assert write_moving(frames, path) == path.stat().st_size
    with Image.open(path) as moving:
        assert moving.n_frames == 3  # type: ignore[attr-defined]
        times = []
        for number in range(3):
            moving.seek(number)
            moving.load()
            times.append(moving.info["duration"])
    assert times == [100, 200, 300]


def test_one_frame_does_not_move(tmp_path: Path) -> None:
    frame = Frame(Image.new("RGB", (8, 8)), 100)
    with pytest.raises(ValueError, match="at least two frames, not 1"):
        write_moving([frame], tmp_path / "moving.webp")


def test_still_picture_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "still.webp"
    write_still(Image.new("RGB", (16, 9), "white"), path)
    with Image.open(path) as image:
        assert image.size == (16, 9)
        assert image.convert("RGB").getpixel((8, 4)) == (255, 255, 255)


def test_picture_that_fits_at_no_quality_is_refused(tmp_path: Path) -> None:
    noise = Image.frombytes("RGB", (64, 64), random.Random(0).randbytes(64 * 64 * 3))
    path = tmp_path / "noise.webp"
    with pytest.raises(TooLargeError, match=r"noise\.webp has \d+ bytes.*at most 100 are kept"):
        write_within(path, 100, lambda target, quality: noise.save(target, "WEBP", quality=quality))
    assert not path.exists()
