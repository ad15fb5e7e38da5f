"""The form of log lines: one line per request, as text or as JSON."""

import json
import logging

import pytest

from serve.settings import ServeSettings
from serve.telemetry.logs import AnswerNote, RequestLine, make_formatter
from tests.serve.conftest import Running

LINE = RequestLine(
    request_id="a1",
    route="/v1/compare",
    status=200,
    ms=12.34,
    model="0123",
    error=None,
    answers=[
        AnswerNote("full", "hit", 6, 6, (6, 6)),
        AnswerNote("explicit", "miss", 2, 0, ()),
    ],
)


def write(message: object, log_format: str) -> str:
    record = logging.LogRecord("serve.x", logging.INFO, "", 1, message, None, None)
    return make_formatter(ServeSettings(log_format=log_format)).format(record)


def test_text_line_names_answers_in_order() -> None:
    assert write(LINE, "text").endswith(
        "INFO serve.x: id=a1 route=/v1/compare status=200 ms=12.3 model=0123 "
        "policy=full cache=hit depths=6/6/6,6 | policy=explicit cache=miss depths=2/0/"
    )


def test_json_line_has_fields() -> None:
    fields = json.loads(write(LINE, "json"))
    assert fields.pop("time").endswith("+00:00")
    assert fields == {
        "level": "INFO",
        "logger": "serve.x",
        "message": "request",
        "request_id": "a1",
        "route": "/v1/compare",
        "status": 200,
        "ms": 12.3,
        "model": "0123",
        "answers": [
            {
                "policy": "full",
                "cache": "hit",
                "image_depth": 6,
                "text_depth": 6,
                "token_depths": [6, 6],
            },
            {
                "policy": "explicit",
                "cache": "miss",
                "image_depth": 2,
                "text_depth": 0,
                "token_depths": [],
            },
        ],
    }


def test_other_json_line_is_its_sentence() -> None:
    assert json.loads(write("two\nlines", "json"))["message"] == "two\nlines"
    assert len(write("two\nlines", "json").splitlines()) == 1


def test_lines_of_a_replica_name_it() -> None:
    record = logging.LogRecord("serve.x", logging.INFO, "", 1, "up", None, None)
    text = make_formatter(ServeSettings(log_format="text"), "ab12").format(record)
    assert text.endswith("INFO ab12 serve.x: up")
    line = make_formatter(ServeSettings(log_format="json"), "ab12").format(record)
    assert json.loads(line)["replica"] == "ab12"


async def test_line_of_a_refusal_names_the_error(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "serve"):
        await running.client.post(
            "/v1/caption", json={"image": "@private"}, headers={"X-Request-ID": "refused-1"}
        )
    (record,) = caplog.records
    assert isinstance(record.msg, RequestLine)
    assert (record.msg.request_id, record.msg.error) == ("refused-1", "invalid_input")
    assert "private" not in write(record.msg, "json")


async def test_failure_of_the_model_is_logged_under_the_request_id(
    running: Running, image: str, caplog: pytest.LogCaptureFixture
) -> None:
    running.predictor.fails_at_step = True
    with caplog.at_level(logging.ERROR, "serve"):
        await running.client.post(
            "/v1/caption", json={"image": image}, headers={"X-Request-ID": "broken-1"}
        )
    messages = [record.getMessage() for record in caplog.records]
    assert "request broken-1 failed in the engine: RuntimeError" in messages
