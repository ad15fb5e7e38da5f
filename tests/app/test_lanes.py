"""Lanes run together: in whatever order their parts come, and past each other's failures."""

import threading
from collections.abc import Iterator

from app.asking import Words
from app.errors import InputError, PageError
from app.lanes import run_lanes
from app.setting import Plan, Setting
from app.state import Shown, shown_from
from serve.schemas import CaptionAnswer, StreamedToken

PLAN = Plan(settings=(Setting(policy="full"), Setting(policy="fast")))


def explain(error: Exception) -> PageError:
    return error if isinstance(error, PageError) else InputError("unknown")


def test_all_lanes_run_at_the_same_time(caption_answer: CaptionAnswer) -> None:
    both_are_here = threading.Barrier(2, timeout=10)

    def ask(setting: Setting) -> Iterator[Words | Shown]:
        yield (StreamedToken(text="a", depth=1),)
        both_are_here.wait()
        yield shown_from(caption_answer)

    states = list(run_lanes(PLAN, ask, explain))
    assert [lane.words for lane in states[0]] == [(), ()]
    assert all(lane.shown and lane.words for lane in states[-1])


def test_failure_of_one_lane_is_told_and_the_other_goes_on(caption_answer: CaptionAnswer) -> None:
    def ask(setting: Setting) -> Iterator[Words | Shown]:
        if setting.policy == "full":
            raise InputError("No photo.")
        yield shown_from(caption_answer)

    full, fast = list(run_lanes(PLAN, ask, explain))[-1]
    assert full.error is not None
    assert full.error.message == "No photo."
    assert fast.shown is not None
