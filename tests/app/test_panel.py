"""The answer panel's callbacks as plain functions."""

import base64
import logging
import re
from pathlib import Path

import pytest
import yaml

from app.errors import InputError
from app.panel import explain_stop, guarded, open_trace, show_answer
from app.state import Shown, dump_trace, shown_from
from serve.rules import ExitRules
from serve.schemas import CaptionAnswer


def failing(error: Exception) -> Shown:
    raise error


def test_known_failure_shows_its_sentence_in_place_of_an_answer() -> None:
    values = guarded(lambda: failing(InputError("No photo.", "req-9")))
    assert "No photo." in values.answer
    assert "req-9" in values.answer
    assert values.details["visible"] is False
    assert values.shown is None


def test_unknown_failure_shows_an_id_that_is_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        values = guarded(lambda: failing(RuntimeError("secret detail")))
    assert "secret detail" not in values.answer
    record = caplog.records[0]
    assert record.exc_info is not None
    assert str(record.args[0] if isinstance(record.args, tuple) else "") in values.answer


def test_explaining_a_stop_gives_sentence_and_curve(caption_answer: CaptionAnswer) -> None:
    why, figure = explain_stop("image", shown_from(caption_answer))
    assert "Left after layer 3 of 6" in why
    assert figure is not None
    assert list(figure.data[0].y) == [0.91, 0.962, 0.983]


def test_nothing_is_explained_before_an_answer() -> None:
    assert explain_stop(None, None) == ("", None)


def test_trace_file_fills_the_panel(caption_answer: CaptionAnswer, tmp_path: Path) -> None:
    shown = shown_from(caption_answer)
    path = tmp_path / "trace.json"
    path.write_text(dump_trace(shown))
    values = open_trace(str(path))
    assert values.shown == shown
    assert "a cat looks into the camera" in values.answer


def test_trace_file_that_is_none_gives_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    path.write_text("no json")
    assert "not JSON" in open_trace(str(path)).answer


def test_setting_in_force_can_be_saved_as_a_preset(caption_answer: CaptionAnswer) -> None:
    html = show_answer(shown_from(caption_answer)).save
    found = re.search(r'download="offramp-setting.yaml" href="data:text/yaml;base64,([^"]+)', html)
    assert found is not None
    preset = yaml.safe_load(base64.b64decode(found[1]))
    rules = ExitRules.model_validate(preset["tasks"]["caption"])
    assert rules == caption_answer.policy.rules
    assert "balanced, photo: similarity 0.98" in preset["description"]


def test_bare_trace_has_no_setting_to_save(caption_answer: CaptionAnswer) -> None:
    bare = Shown(trace=caption_answer.trace)
    assert "YAML" not in show_answer(bare).save
