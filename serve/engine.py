"""The engine: one thread that drives the model's slots, so that requests join and leave a batch.

Between two decoding steps the thread drops what was cancelled or is late, admits a few waiting
requests, and goes on. They are admitted in the order they came: one with beams, which needs as many
slots, waits at the head of the queue until they are free, and nobody passes it. The engine knows
neither Ray nor HTTP nor asyncio; its face to them is ``submit``, which gives a
``concurrent.futures.Future``. Cancelling that future frees the slots within one step. An exception
of the model fails the requests involved and nothing else.

Background requests, one at a time, take slots that nobody wants: they are admitted while nobody
waits, and give their slots back to the first request that lacks them.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from model_core.errors import InputError
from model_core.types import Answer, StepEvent
from serve.admission import AdmissionBudget
from serve.errors import (
    EngineError,
    InvalidInputError,
    OverloadedError,
    ServiceError,
    UnavailableError,
)
from serve.jobs import EventListener, Job, JobQueue, RequestLike
from serve.telemetry.engine_observer import EngineObserver, Timeline
from serve.telemetry.failure_report import describe_failure

logger = logging.getLogger(__name__)

# Hears, between two steps, for how many seconds the request at the head of the queue has waited.
DelayListener = Callable[[float], None]


class SlotsLike(Protocol):
    """What the engine needs of ``model_core.generate.Slots``; only its thread calls these."""

    @property
    def num_free(self) -> int: ...

    def admit(self, requests: Sequence[Any]) -> list[int]: ...

    def step(self) -> list[StepEvent]: ...

    def result(self, slot: int) -> Answer: ...

    def release(self, slot: int) -> None: ...


@dataclass(frozen=True)
class EngineLimits:
    """How much the engine takes on.

    Attributes:
        queue_limit: Most requests waiting for a slot.
        max_admit_per_step: Most requests encoded between two steps, so that decoding never starves.
        timeout_s: Time from ``submit`` to the answer.
        max_admit_s_per_step: Most encoder work between two steps, while somebody is decoded.
        background_limit: Most background requests waiting for room.
    """

    queue_limit: int = 64
    max_admit_per_step: int = 4
    timeout_s: float = 30.0
    max_admit_s_per_step: float = 0.1
    background_limit: int = 16


class Engine:
    """Runs submitted requests on the slots of one model, from its own thread."""

    def __init__(self, make_slots: Callable[[], SlotsLike], limits: EngineLimits) -> None:
        """Starts the thread.

        Args:
            make_slots: Gives empty slots; called again when a failed step may have left the old
                ones inconsistent.
            limits: Queue, admission and time limits.
        """
        self.observer = EngineObserver()
        self._make_slots = make_slots
        self._limits = limits
        self._slots = make_slots()
        self._num_slots = self._slots.num_free
        self._budget = AdmissionBudget(limits.max_admit_per_step, limits.max_admit_s_per_step)
        self.on_queue_delay: DelayListener = _ignore
        self._queue = JobQueue()
        self._running: dict[int, Job] = {}
        self._wake = threading.Condition()
        self._drain_until: float | None = None
        self._mean_answer_s = 0.1
        self._thread = threading.Thread(target=self._run, name="offramp-engine", daemon=True)
        self._thread.start()

    @property
    def num_slots(self) -> int:
        """Beams that can be decoded together; a request has one or more."""
        return self._num_slots

    @property
    def num_waiting(self) -> int:
        """Requests without their slots."""
        return self._queue.num_waiting

    @property
    def num_running(self) -> int:
        """Occupied slots."""
        return sum(job.request.num_beams for job in list(self._running.values()))

    @property
    def is_alive(self) -> bool:
        """True while the thread takes requests."""
        return self._thread.is_alive() and self._drain_until is None

    def submit(
        self,
        request: RequestLike,
        on_event: EventListener | None = None,
        timeline: Timeline | None = None,
        timeout_s: float | None = None,
    ) -> Future[Answer]:
        """The future answer of a request made by the predictor.

        Args:
            request: From ``Predictor.request``.
            on_event: Called in the engine's thread after each step of this request; must be quick.
            timeline: Filled in on the way; complete when the future is done.
            timeout_s: Of this request; the engine's own when None or longer.

        Raises:
            InvalidInputError: The request needs more slots than there are.
            OverloadedError: The queue is full.
            UnavailableError: The engine is closed.
        """
        job = self._job(request, on_event, timeline, timeout_s)
        with self._wake:
            self._check_is_alive()
            if self._queue.num_waiting >= self._limits.queue_limit:
                self._queue.drop_background()
                raise OverloadedError(
                    f"the queue is full ({self._limits.queue_limit} requests wait)",
                    self._retry_after_s(),
                )
            self._queue.put(job)
            self._wake.notify()
        return job.future

    def submit_background(self, request: RequestLike) -> Future[Answer]:
        """The future answer of a request that runs only while nobody else wants its slots.

        It fails with ``OverloadedError`` when there is no room for it, at once or later.

        Raises:
            InvalidInputError: The request needs more slots than there are.
            OverloadedError: Too much of its kind waits already.
            UnavailableError: The engine is closed.
        """
        job = self._job(request, is_background=True)
        with self._wake:
            self._check_is_alive()
            if self._queue.num_background >= self._limits.background_limit:
                raise OverloadedError("too much background work waits already")
            self._queue.put(job)
            self._wake.notify()
        return job.future

    def close(self, drain_s: float = 5.0) -> None:
        """Takes no more requests, finishes what it has for ``drain_s``, fails the rest, joins."""
        with self._wake:
            if self._drain_until is None:
                self._drain_until = time.monotonic() + drain_s
            self._wake.notify()
        self._thread.join(timeout=drain_s + 30.0)

    def _job(
        self,
        request: RequestLike,
        on_event: EventListener | None = None,
        timeline: Timeline | None = None,
        timeout_s: float | None = None,
        is_background: bool = False,
    ) -> Job:
        if request.num_beams > self._num_slots:
            raise InvalidInputError(
                f"num_beams: {request.num_beams} is too many for this service; "
                f"allowed are 1 to {self._num_slots}"
            )
        now = time.monotonic()
        limit_s = self._limits.timeout_s
        deadline = now + (limit_s if timeout_s is None else min(timeout_s, limit_s))
        timeline = timeline or Timeline()
        timeline.submitted_s = now
        return Job(request, Future(), now, deadline, timeline, on_event, is_background)

    def _check_is_alive(self) -> None:
        if not self.is_alive:
            raise UnavailableError("the service is stopping; try again in a moment")

    def _retry_after_s(self) -> int:
        queue_s = self._mean_answer_s * self._queue.num_waiting / max(1, self._num_slots)
        return min(30, max(1, math.ceil(queue_s)))

    def _run(self) -> None:
        try:
            while self._wait_for_work():
                self._drop_abandoned()
                self._note_queue_delay()
                self._make_room()
                self._admit_waiting()
                self._step()
        finally:
            self._fail_rest()

    def _wait_for_work(self) -> bool:
        """Blocks while idle; False when the thread should end."""
        with self._wake:
            while not self._queue and not self._running and self._drain_until is None:
                self.on_queue_delay(0.0)
                self._wake.wait()
            if self._drain_until is None:
                return True
            self._queue.drop_background()
            is_wanted = any(not job.is_background for job in self._running.values())
            has_work = is_wanted or self._queue.num_waiting > 0
            return has_work and time.monotonic() < self._drain_until

    def _drop_abandoned(self) -> None:
        now = time.monotonic()
        for slot in [slot for slot, job in self._running.items() if job.is_over(now)]:
            del self._running[slot]
            self._slots.release(slot)
        with self._wake:
            self._queue.forget_over(now)

    def _note_queue_delay(self) -> None:
        """Tells how long the request at the head of the queue has waited; 0 when nobody does."""
        with self._wake:
            head = self._queue.head
        self.on_queue_delay(0.0 if head is None else time.monotonic() - head.submitted_at)

    def _make_room(self) -> None:
        """Takes the slots of background work away when the next request lacks slots."""
        with self._wake:
            head = self._queue.head
        if head is None or self._slots.num_free >= head.request.num_beams:
            return
        for slot in [slot for slot, job in self._running.items() if job.is_background]:
            self._slots.release(slot)
            self._running.pop(slot).drop()

    def _admit_waiting(self) -> None:
        num_free = self._slots.num_free
        num_allowed = self._budget.num_requests(is_decoding=bool(self._running))
        has_background = any(job.is_background for job in self._running.values())
        with self._wake:
            jobs = self._queue.take(num_free, num_allowed)
            if not jobs and not has_background:
                jobs = self._queue.take_background(num_free)
        now = time.monotonic()
        for job in jobs:
            job.timeline.admitted_s = now
            if not job.is_background:
                self.observer.note_wait(now - job.submitted_at)
        if jobs:
            self._admit(jobs)

    def _admit(self, jobs: list[Job]) -> None:
        """Admits together; when that fails, one by one, so that only the culprit is failed."""
        started = time.monotonic()
        try:
            slots = self._slots.admit([job.request for job in jobs])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is these requests' alone
            if len(jobs) > 1:
                for job in jobs:
                    self._admit([job])
            else:
                jobs[0].fail(_as_service_error(error, "admitting a request failed"))
            return
        self._running.update(zip(slots, jobs, strict=True))
        now = time.monotonic()
        self._budget.note(len(jobs), now - started)
        self.observer.note_encoder_batch(len(jobs), now - started)
        for job in jobs:
            job.timeline.encoded_s = now

    def _step(self) -> None:
        if not self._running:
            return
        started, num_rows = time.monotonic(), self.num_running
        try:
            events = self._slots.step()
            finished = {e.slot: self._slots.result(e.slot) for e in events if e.is_finished}
        except Exception as error:  # noqa: BLE001 - whatever it is, the thread goes on
            self._fail_batch(_as_service_error(error, "a decoding step failed"))
            return
        self.observer.note_step(num_rows, time.monotonic() - started)
        for event in events:
            self._deliver(event, finished[event.slot] if event.is_finished else None)

    def _deliver(self, event: StepEvent, answer: Answer | None) -> None:
        job = self._running[event.slot]
        if job.on_event is not None:
            try:
                job.on_event(event)
            except Exception:
                logger.exception("a listener failed; its request goes on without it")
                job.on_event = None
        if answer is not None:
            del self._running[event.slot]
            self._slots.release(event.slot)
            job.timeline.finished_s = now = time.monotonic()
            if not job.is_background:
                self._mean_answer_s += 0.1 * (now - job.submitted_at - self._mean_answer_s)
            job.finish(answer)

    def _fail_batch(self, error: Exception) -> None:
        """Fails every request in the batch, and starts over with clean slots."""
        jobs, self._running = list(self._running.values()), {}
        for job in jobs:
            job.fail(error)
        self._slots = self._make_slots()

    def _fail_rest(self) -> None:
        with self._wake:
            if self._drain_until is None:
                self._drain_until = time.monotonic()
            jobs = [*self._running.values(), *self._queue.pop_all()]
            self._running.clear()
        for job in jobs:
            job.fail(UnavailableError("the service is stopping; try again in a moment"))


def _ignore(_delay_s: float) -> None:
    """Nobody listens."""


def _as_service_error(error: Exception, what: str) -> Exception:
    if isinstance(error, ServiceError | InputError):
        return error
    logger.error("%s: %s", what, describe_failure(error))
    failure = EngineError(f"{what}; the cause is in the service's log")
    failure.__cause__ = error
    return failure
