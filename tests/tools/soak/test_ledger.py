"""What counts as the service's fault."""

import json

import pytest

from serve.load.client import TIMEOUT, Reply
from tools.soak.ledger import Fate, Ledger, fate_of
from tools.soak.questions import Asked, answer_in

KNOWN = Asked("caption", b"", "a dog runs")
SENSELESS = Asked("caption", b"{", None)
RIGHT = Reply(200, json.dumps({"caption": "a dog runs"}).encode(), statuses=(200,))
AFTER_KILL = Reply(200, RIGHT.body, statuses=(500, 200))


@pytest.mark.parametrize(
    ("asked", "reply", "fate"),
    [
        (KNOWN, RIGHT, Fate.RIGHT),
        (KNOWN, Reply(200, b'{"caption": "a cat"}'), Fate.WRONG),
        (KNOWN, Reply(200, b"<html>"), Fate.WRONG),
        (KNOWN, Reply(429), Fate.REFUSED),
        (KNOWN, Reply(503), Fate.FAILED),
        (KNOWN, Reply(504), Fate.LATE),
        (KNOWN, Reply(500), Fate.FAILED),
        (KNOWN, Reply(422), Fate.FAILED),
        (KNOWN, Reply(0, errors=(TIMEOUT,)), Fate.HUNG),
        (KNOWN, Reply(0, errors=("ReadError",)), Fate.FAILED),
        (KNOWN, Reply(200, RIGHT.body, errors=(TIMEOUT,)), Fate.HUNG),
        (KNOWN, Reply(200, RIGHT.body, errors=("ReadError",)), Fate.RIGHT),
        (SENSELESS, Reply(422), Fate.MALFORMED),
        (SENSELESS, Reply(500), Fate.MALFORMED_TAKEN),
        (SENSELESS, RIGHT, Fate.MALFORMED_TAKEN),
    ],
)
def test_fate_of_a_reply(asked: Asked, reply: Reply, fate: Fate) -> None:
    assert fate_of(asked, reply) is fate


@pytest.mark.parametrize(("from_s", "to_s"), [(28.0, 31.0), (31.5, 40.0)])
def test_failure_around_a_kill_is_no_fault_when_the_retry_succeeds(
    from_s: float, to_s: float
) -> None:
    ledger = Ledger()
    ledger.note_kill(30.0)
    ledger.note(KNOWN, AFTER_KILL, from_s, to_s)
    assert (ledger.faults, ledger.retried) == ([], 1)


@pytest.mark.parametrize(("from_s", "to_s"), [(20.0, 29.0), (32.5, 42.0)])
def test_failure_without_a_kill_is_a_fault_even_when_the_retry_succeeds(
    from_s: float, to_s: float
) -> None:
    ledger = Ledger()
    ledger.note_kill(30.0)
    ledger.note(KNOWN, AFTER_KILL, from_s, to_s)
    assert ledger.faults == [f"1 x 5xx without a kill (at {from_s:.0f} s)"]


@pytest.mark.parametrize("status", [0, 500, 502, 503, 504])
def test_every_5xx_needs_an_explanation(status: int) -> None:
    ledger = Ledger()
    ledger.note(KNOWN, Reply(200, RIGHT.body, statuses=(status, 200)), 5.0, 6.0)
    assert ledger.faults == ["1 x 5xx without a kill (at 5 s)"]


def test_failures_are_told_by_what_came_back() -> None:
    ledger = Ledger()
    ledger.note_kill(1.0)
    for errors in (("ReadError",), (), ()):
        statuses = (500, 0) if errors else (500, 502)
        ledger.note(KNOWN, Reply(statuses[-1], statuses=statuses, errors=errors), 0.0, 2.0)
    assert ledger.faults == [
        "3 x failed after every retry",
        "2 x failed with 500 then 502",
        "1 x failed with 500 then 0 then ReadError",
    ]


def test_latencies_are_those_of_right_answers() -> None:
    ledger = Ledger()
    assert ledger.latencies is None
    ledger.note(KNOWN, RIGHT, 1.0, 1.25)
    ledger.note(KNOWN, Reply(429, statuses=(429,)), 1.0, 9.0)
    assert ledger.latencies is not None
    assert (ledger.latencies.num, ledger.latencies.max_ms) == (1, 250.0)


def test_wrong_and_failed_are_faults_refused_and_left_are_not() -> None:
    ledger = Ledger()
    ledger.note(KNOWN, Reply(200, b"{}", statuses=(200,)), 0.0, 1.0)
    ledger.note(KNOWN, Reply(429, statuses=(429, 429)), 0.0, 1.0)
    ledger.note_left()
    assert ledger.faults == ["1 x wrong answer"]
    assert ledger.fates == {Fate.WRONG: 1, Fate.REFUSED: 1, Fate.LEFT: 1}


@pytest.mark.parametrize(
    ("body", "answer"),
    [(b'{"label": "neutral"}', "neutral"), (b"[]", None), (b"\xff", None), (b'{"label": 1}', None)],
)
def test_answer_is_the_caption_or_the_label(body: bytes, answer: str | None) -> None:
    assert answer_in(body) == answer
