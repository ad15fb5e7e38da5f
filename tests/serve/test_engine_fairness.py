"""Encoder and decoder share the engine: neither a flood nor long answers starve the others."""

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model_core.config import CatchUp
from model_core.predictor import Predictor
from model_core.request import Request
from model_core.types import Answer, StepEvent
from serve.engine import Engine, EngineLimits, SlotsLike
from serve.errors import OverloadedError
from tests.oracle import DECODER_POLICIES, assert_same_answer, exits_with
from tests.serve.fakes import FakeRequest, FakeSlots

WAIT_S = 60.0


class Recorder(FakeSlots):
    """Fake slots that write down, in order, who was encoded and who was in a step."""

    def __init__(self, num_slots: int, before_step: Callable[[int], None]) -> None:
        super().__init__(num_slots)
        self.log: list[tuple[str, tuple[str, ...]]] = []
        self._before_step = before_step
        self._num_steps = 0

    def admit(self, requests: Sequence[FakeRequest]) -> list[int]:
        self.log.append(("admit", tuple(request.name for request in requests)))
        return super().admit(requests)

    def step(self) -> list[StepEvent]:
        self._before_step(self._num_steps)
        self._num_steps += 1
        events = super().step()
        self.log.append(("step", tuple(self.batches[-1])))
        return events


class Desk:
    """An engine to which a test submits from inside its steps, so that nothing is left to luck."""

    def __init__(self) -> None:
        self.engines: list[Engine] = []

    def open(self, make_slots: Callable[[], SlotsLike], limits: EngineLimits) -> Engine:
        self.engines.append(Engine(make_slots, limits))
        return self.engines[-1]


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    for engine in made.engines:
        engine.close(drain_s=1.0)


def run_flood(desk: Desk, limits: EngineLimits) -> list[tuple[str, tuple[str, ...]]]:
    """One request of ten steps; in each step of it four more of one step arrive."""
    futures: list[Future[Answer]] = []

    def arrive(step: int) -> None:
        if step < 10:
            names = [f"{step}{letter}" for letter in "abcd"]
            futures.extend(engine.submit(FakeRequest(name, 1)) for name in names)

    slots = Recorder(16, arrive)
    engine = desk.open(lambda: slots, limits)
    long = engine.submit(FakeRequest("long", 10))
    assert long.result(WAIT_S).text == "long 10"
    for future in futures:
        future.result(WAIT_S)
    return slots.log


def test_decoding_goes_on_under_a_flood_of_arrivals(desk: Desk) -> None:
    log = run_flood(desk, EngineLimits(queue_limit=100, max_admit_per_step=2))
    end = max(i for i, (kind, names) in enumerate(log) if kind == "step" and "long" in names)
    kinds = [kind for kind, _ in log[: end + 1]]
    # Between two steps never more than one encoder batch, and that of two requests at most.
    assert kinds == ["admit", "step"] * 10
    assert max(len(names) for kind, names in log if kind == "admit") == 2


def test_slow_encoder_lets_one_request_in_between_two_steps(desk: Desk) -> None:
    limits = EngineLimits(queue_limit=100, max_admit_per_step=4, max_admit_s_per_step=1e-9)
    log = run_flood(desk, limits)
    end = max(i for i, (kind, names) in enumerate(log) if kind == "step" and "long" in names)
    admitted = [names for kind, names in log[1 : end + 1] if kind == "admit"]
    assert admitted == [(f"{i // 4}{'abcd'[i % 4]}",) for i in range(9)]


def test_arrivals_are_admitted_before_the_next_step_of_a_long_answer(desk: Desk) -> None:
    log = run_flood(desk, EngineLimits(queue_limit=100, max_admit_per_step=4))
    for step in range(9):
        names = tuple(f"{step}{letter}" for letter in "abcd")
        assert ("admit", names) in log
        assert ("step", ("long", *names)) in log


class Arrivals:
    """Real slots that let the next batch of requests arrive before each step."""

    def __init__(self, predictor: Predictor, num_slots: int) -> None:
        self._slots = predictor.new_slots(num_slots)
        self.arrive: Callable[[], bool] = bool

    @property
    def num_free(self) -> int:
        return self._slots.num_free

    def admit(self, requests: Sequence[Request]) -> list[int]:
        return self._slots.admit(requests)

    def step(self) -> list[StepEvent]:
        self.arrive()
        return self._slots.step()

    def result(self, slot: int) -> Answer:
        return self._slots.result(slot)

    def release(self, slot: int) -> None:
        self._slots.release(slot)


class Wish(NamedTuple):
    """What one request asks; no beams: the entailment of a sentence."""

    photo: int
    policy: str
    catch_up: CatchUp
    num_beams: int
    is_background: bool


class Alone:
    """The request of each wish, and its answer when nobody else is there."""

    def __init__(self, predictor: Predictor, photos: Sequence[Image.Image]) -> None:
        self._predictor = predictor
        self._photos = photos
        self._known: dict[Wish, tuple[Request, Answer]] = {}

    def __getitem__(self, wish: Wish) -> tuple[Request, Answer]:
        if wish not in self._known:
            request = self._request(wish)
            self._known[wish] = (request, self._predictor.answer([request])[0])
        return self._known[wish]

    def _request(self, wish: Wish) -> Request:
        exits = exits_with(DECODER_POLICIES[wish.policy], wish.catch_up)
        photo, ask = self._photos[wish.photo], self._predictor.request
        if not wish.num_beams:
            return ask("entailment", photo, exits, hypothesis="a dog")
        return ask("caption", photo, exits, num_beams=wish.num_beams)


@pytest.fixture(scope="module")
def alone(predictor: Predictor, photos: list[Image.Image]) -> Alone:
    return Alone(predictor, photos)


WISHES = st.builds(
    Wish,
    photo=st.integers(0, 2),
    policy=st.sampled_from(sorted(DECODER_POLICIES)),
    catch_up=st.sampled_from(CatchUp),
    num_beams=st.integers(0, 3),
    is_background=st.booleans(),
)


class Crowd:
    """Requests that arrive batch by batch, each with the answer that it has to get."""

    def __init__(self, engine: Engine, alone: Alone, batches: Sequence[Sequence[Wish]]) -> None:
        self._engine = engine
        self._alone = alone
        self._batches = deque(batches)
        for wish in itertools.chain.from_iterable(batches):
            alone[wish]  # now, so that nobody computes it while the engine steps
        self._lock = threading.Lock()
        self.asked: list[tuple[Wish, Future[Answer]]] = []

    def arrive(self) -> bool:
        """Submits the next batch; False when there is none."""
        with self._lock:
            if not self._batches:
                return False
            for wish in self._batches.popleft():
                request, _ = self._alone[wish]
                submit = self._engine.submit
                if wish.is_background:
                    submit = self._engine.submit_background
                self.asked.append((wish, submit(request)))
            return True

    def check(self) -> int:
        """Everybody's answer; how many of the background were dropped."""
        num_dropped = 0
        for wish, future in self.asked:
            error = future.exception(WAIT_S)
            if error is None:
                assert_same_answer(future.result(), self._alone[wish][1])
            else:
                assert wish.is_background and isinstance(error, OverloadedError)
                num_dropped += 1
        return num_dropped


@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    batches=st.lists(st.lists(WISHES, max_size=3), min_size=1, max_size=6),
    num_admitted=st.integers(1, 4),
)
def test_no_answer_depends_on_who_else_arrives(
    predictor: Predictor, alone: Alone, batches: list[list[Wish]], num_admitted: int
) -> None:
    """No involuntary exits: tokens, depths and scores are those of the request alone."""
    slots = Arrivals(predictor, num_slots=5)
    engine = Engine(lambda: slots, EngineLimits(max_admit_per_step=num_admitted))
    crowd = Crowd(engine, alone, batches)
    slots.arrive = crowd.arrive
    try:
        while crowd.arrive():  # before each step, and again when the engine ran out of work
            crowd.check()
        crowd.check()
    finally:
        engine.close(drain_s=1.0)
    assert len(crowd.asked) == sum(len(batch) for batch in batches)
