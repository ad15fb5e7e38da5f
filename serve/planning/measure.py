"""Measures what a replica's work costs: the engine's parts in this process, the way over HTTP.

Alone on the machine: whatever else runs makes every cost larger.
"""

import io
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import httpx
import numpy as np
from PIL import Image

from model_core.config import preset_exits
from model_core.evaluation.results import current_commit
from model_core.generate import Slots
from model_core.predictor import Predictor
from model_core.request import TAGS_TASK, Request
from serve.load.calls import HYPOTHESES, make_body
from serve.load.photos import PhotoSource
from serve.load.report import this_machine
from serve.planning.costs import (
    AdmitCost,
    Costs,
    Step,
    TaskCost,
    fit_admit_cost,
    fit_step_cost,
    num_new_layers,
)

# How often another request is admitted between two steps, one run each: few rows, and many.
ADMIT_SHARES = (0.1, 0.2, 0.4)
NUM_SERVED = 40
NUM_SLOTS = 16
ADMITTED = (1, 2, 4)
NUM_REPEATS = 5
NUM_HTTP = 40


@dataclass
class CostMeter:
    """Runs a predictor and times it.

    Attributes:
        predictor: The model.
        photos: To ask about.
        policy: Preset of every request.
    """

    predictor: Predictor
    photos: PhotoSource
    policy: str

    def __post_init__(self) -> None:
        self._numbers = itertools.count()
        self._depths = self.predictor.info.depths

    def measure(self, tasks: Sequence[str], num_repeats: int = NUM_REPEATS) -> Costs:
        """The engine's costs; those of the way are zero.

        Steps are timed with admissions between them, as a service makes them: alone they would find
        the decoder's weights in the processor's cache.
        """
        decoded = [task for task in tasks if task != TAGS_TASK]
        self.predictor.answer(self._requests("caption", self._next(2)))  # first-time work
        steps: list[Step] = []
        answers: dict[str, list[list[int]]] = {task: [] for task in tasks}
        for number, share in enumerate(ADMIT_SHARES * num_repeats if decoded else ()):
            rng = np.random.default_rng(number)
            names = [str(name) for name in rng.choice(decoded, NUM_SERVED)]
            requests = [self._requests(name, self._next(1))[0] for name in names]
            found, depths = self._serve(requests, share, rng)
            steps += found
            for name, answer in zip(names, depths, strict=True):
                answers[name].append(answer)
        step, error = fit_step_cost(steps)
        costs = {
            task: TaskCost(admit=self._admit_cost(task, num_repeats), answers=answers[task] or [[]])
            for task in tasks
        }
        return Costs(
            policy=self.policy,
            step=step,
            tasks=costs,
            fit_error=error,
            conditions={"steps": len(steps), "repeats": num_repeats},
            machine=this_machine(),
            commit=current_commit(),
        )

    def answer_ms(self, number: int) -> float:
        """Of the caption of one photo alone, the photo's decoding left out."""
        (request,) = self._requests("caption", [number])
        return _ms(partial(self.predictor.answer, [request]))

    def _next(self, num: int) -> list[int]:
        return list(itertools.islice(self._numbers, num))

    def _requests(self, task: str, numbers: Sequence[int]) -> list[Request]:
        exits = preset_exits(self.policy, task, self._depths)
        made = []
        for number in numbers:
            photo = Image.open(io.BytesIO(self.photos.jpeg(number))).convert("RGB")
            if task == TAGS_TASK:
                made.append(self.predictor.tag_request(photo, exits).as_request())
                continue
            hypothesis = HYPOTHESES[number % len(HYPOTHESES)] if task == "entailment" else None
            made.append(self.predictor.request(task, photo, exits, hypothesis=hypothesis))
        return made

    def _serve(
        self, requests: list[Request], admit_share: float, rng: np.random.Generator
    ) -> tuple[list[Step], list[list[int]]]:
        """Steps while requests are admitted now and then, and the depths of each answer."""
        slots = self.predictor.new_slots(NUM_SLOTS)
        answers: list[list[int]] = [[] for _ in requests]
        running: dict[int, list[int]] = {}
        steps: list[Step] = []
        num_admitted = 0
        while running or num_admitted < len(requests):
            is_due = not running or rng.random() < admit_share
            if is_due and slots.num_free and num_admitted < len(requests):
                (slot,) = slots.admit([requests[num_admitted]])
                running[slot] = answers[num_admitted]
                num_admitted += 1
            started = time.perf_counter()
            events = slots.step()
            elapsed_ms = 1e3 * (time.perf_counter() - started)
            depths = [event.depth for event in events]
            reached = [max(running[event.slot], default=0) for event in events]
            steps.append(Step(depths, num_new_layers(depths, reached), elapsed_ms))
            for event in events:
                running[event.slot].append(event.depth)
                if event.is_finished:
                    slots.release(event.slot)
                    del running[event.slot]
        return steps, answers

    def _admit_cost(self, task: str, num_repeats: int) -> AdmitCost:
        times = []
        for _ in range(num_repeats):
            for num in ADMITTED:
                slots: Slots = self.predictor.new_slots(num)
                requests = self._requests(task, self._next(num))
                times.append((num, _ms(partial(slots.admit, requests))))
        return fit_admit_cost(times)


@dataclass(frozen=True)
class Way:
    """What is seen from outside, one request at a time.

    Attributes:
        more_ms: What a caption takes over HTTP beyond the engine in this process; the median of
            differences on the same photo, taken one after the other.
        cached_ms: Median of one that is kept.
        request_bytes: Of the former.
        answer_bytes: Of what comes back.
    """

    more_ms: float
    cached_ms: float
    request_bytes: float
    answer_bytes: float


def measure_way(
    url: str,
    photos: PhotoSource,
    policy: str,
    answer_ms: Callable[[int], float],
    num: int = NUM_HTTP,
) -> Way:
    """Times captions over HTTP beside ``answer_ms`` of the same photo's number.

    Raises:
        httpx.HTTPError: The service does not answer.
    """
    headers = {"content-type": "application/json"}
    more, cached, sent, received = [], [], [], []
    with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=60.0) as client:

        def ask(body: bytes) -> float:
            started = time.perf_counter()
            response = client.post("/v1/caption", content=body).raise_for_status()
            received.append(len(response.content))
            return 1e3 * (time.perf_counter() - started)

        for number in range(2**22, 2**22 + num):
            body = make_body("caption", photos.jpeg(number), {"policy": policy})
            more.append(ask(body) - answer_ms(number))
            cached.append(ask(body))
            sent.append(len(body))
    return Way(
        statistics.median(more),
        statistics.median(cached),
        statistics.mean(sent),
        statistics.mean(received),
    )


def _ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - started)
