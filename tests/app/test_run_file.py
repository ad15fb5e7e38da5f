"""Run files: saved, opened again, compared, refused with a sentence."""

import base64
import json
from typing import Any

import pytest

from app.errors import InputError
from app.run_diff import answer_rows, diff_html, input_rows, setting_pairs
from app.run_file import MAX_RUN_BYTES, Run, dump_run, load_run, photo_bytes, photo_suffix
from app.setting import Plan, Setting
from app.state import shown_from
from serve.schemas import CaptionAnswer
from tests.app.conftest import CANNED

FULL, BALANCED, FAST = (Setting(policy=name) for name in ("full", "balanced", "fast"))


def make_run(answers: dict[Setting, CaptionAnswer], photo: bytes | None = None) -> Run:
    content = photo or (CANNED / "pixel.png").read_bytes()
    return Run(
        saved_at="2026-11-24T12:00:00+00:00",
        plan=Plan(settings=tuple(answers)),
        photo=base64.b64encode(content).decode(),
        answers=tuple(shown_from(answer) for answer in answers.values()),
    )


@pytest.fixture
def run(full_answer: CaptionAnswer, caption_answer: CaptionAnswer) -> Run:
    return make_run({FULL: full_answer, BALANCED: caption_answer})


def test_saved_run_opens_as_the_same_run(run: Run) -> None:
    opened = load_run(dump_run(run).encode())
    assert opened == run
    assert photo_suffix(photo_bytes(opened)) == ".png"


def test_saved_run_of_own_thresholds_opens_again(
    full_answer: CaptionAnswer, caption_answer: CaptionAnswer
) -> None:
    rules = caption_answer.policy.rules
    policy = caption_answer.policy.model_copy(update={"name": None})
    own = caption_answer.model_copy(update={"policy": policy})
    run = make_run({FULL: full_answer, Setting(policy=rules): own})
    assert load_run(dump_run(run).encode()) == run


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"run_version": 2}, "of version 2; this page opens version 1"),
        ({"run_version": None}, "`run_version` is missing"),
        ({"answers": []}, "0 answers for 2 settings"),
        ({"photo": "%%%"}, "not base64"),
        ({"photo": base64.b64encode(b"text").decode()}, "photo in this run file is none of JPEG"),
        ({"surprise": 1}, "damaged at `surprise`"),
    ],
)
def test_damaged_run_names_the_place(run: Run, change: dict[str, Any], sentence: str) -> None:
    document = {**json.loads(dump_run(run)), **change}
    with pytest.raises(InputError, match=sentence):
        load_run(json.dumps(document).encode())


def test_trace_of_another_version_is_refused(run: Run) -> None:
    document = json.loads(dump_run(run))
    document["answers"][0]["trace"]["schema_version"] = 9
    with pytest.raises(InputError, match=r"schema version \[1, 9\]"):
        load_run(json.dumps(document).encode())


def test_file_that_is_too_large_or_too_deep_is_refused() -> None:
    with pytest.raises(InputError, match="a run file has at most"):
        load_run(b" " * (MAX_RUN_BYTES + 1))
    with pytest.raises(InputError, match="not JSON"):
        load_run(b"[" * 100_000)


def test_run_beside_itself_has_no_difference(run: Run) -> None:
    html = diff_html(run, run)
    assert "≠" not in html
    assert html.count("<table") == 3


def test_settings_are_matched_by_what_they_are(
    run: Run, full_answer: CaptionAnswer, caption_answer: CaptionAnswer
) -> None:
    other = make_run({FAST: caption_answer, FULL: caption_answer})
    pairs = setting_pairs(run, other)
    assert [setting for setting, _, _ in pairs] == [FULL, BALANCED, FAST]
    first = answer_rows(*pairs[0][1:])
    assert (first[0].name, first[0].is_same) == ("answer", False)
    assert first[0].second == "a cat looks into the camera"
    assert all(row.second == "not in this run" for row in answer_rows(*pairs[1][1:]))
    assert all(row.first == "not in this run" for row in answer_rows(*pairs[2][1:]))


def test_another_photo_is_another_input(run: Run, full_answer: CaptionAnswer) -> None:
    other = make_run({FULL: full_answer, BALANCED: full_answer}, photo=b"GIF89a")
    rows = {row.name: row for row in input_rows(run, other)}
    assert not rows["photo (SHA-256)"].is_same
    assert rows["model"].is_same
    assert "hypothesis" not in rows


def test_words_of_the_other_file_are_marked(run: Run, full_answer: CaptionAnswer) -> None:
    other = make_run({FULL: full_answer, BALANCED: full_answer})
    assert diff_html(run, other).count("off-changed") == 2


def test_text_of_a_file_is_escaped(run: Run) -> None:
    document = json.loads(dump_run(run))
    document["answers"][0]["caption"] = "<script>x</script>"
    assert "<script>" not in diff_html(load_run(json.dumps(document).encode()), run)
