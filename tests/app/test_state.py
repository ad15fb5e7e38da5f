"""Trace files: saved, opened again, refused with a sentence."""

import base64
import json
import re

import pytest

from app.errors import InputError
from app.state import MAX_TRACE_BYTES, dump_trace, load_trace, save_link_html, shown_from
from serve.schemas import CaptionAnswer, EntailmentAnswer


def test_saved_trace_opens_as_the_same_answer(caption_answer: CaptionAnswer) -> None:
    shown = shown_from(caption_answer)
    assert load_trace(dump_trace(shown).encode()) == shown


def test_saved_trace_of_own_thresholds_opens_again(caption_answer: CaptionAnswer) -> None:
    policy = caption_answer.policy.model_copy(update={"name": None})
    shown = shown_from(caption_answer.model_copy(update={"policy": policy}))
    assert load_trace(dump_trace(shown).encode()) == shown


def test_service_answer_opens_as_it_is(entailment_answer: EntailmentAnswer) -> None:
    shown = load_trace(entailment_answer.model_dump_json().encode())
    assert shown.headline == "entailment"
    assert shown.probabilities == entailment_answer.probabilities


def test_bare_trace_gives_its_words_as_headline(caption_answer: CaptionAnswer) -> None:
    shown = load_trace(caption_answer.trace.model_dump_json().encode())
    assert shown.headline == "a cat looks into the camera"
    assert shown.policy is None


def test_link_holds_the_whole_file(caption_answer: CaptionAnswer) -> None:
    shown = shown_from(caption_answer)
    html = save_link_html(shown)
    found = re.search(r"base64,([^\"]+)", html)
    assert found is not None
    assert load_trace(base64.b64decode(found[1])) == shown
    assert 'download="offramp-req-caption.json"' in html


def test_trace_of_another_version_is_refused(caption_answer: CaptionAnswer) -> None:
    document = caption_answer.model_dump(mode="json")
    document["trace"]["schema_version"] = 2
    with pytest.raises(InputError, match="schema version 2; this page opens version 1"):
        load_trace(json.dumps(document).encode())


def test_damaged_trace_names_the_place(caption_answer: CaptionAnswer) -> None:
    document = caption_answer.model_dump(mode="json")
    document["trace"]["encoder"]["image"]["depth"] = "deep"
    with pytest.raises(InputError, match=r"damaged at `trace\.encoder\.image\.depth`"):
        load_trace(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\x89PNG", "not JSON"),
        (b"[1, 2]", "JSON, but not a trace"),
        (b'{"a": 1}', "`schema_version` is missing"),
        (b'{"trace": 3}', "`schema_version` is missing"),
        (b" " * (MAX_TRACE_BYTES + 1), "a trace has at most"),
    ],
)
def test_foreign_file_is_refused(content: bytes, sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)):
        load_trace(content)
