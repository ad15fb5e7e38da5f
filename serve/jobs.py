"""What the engine keeps of a request: who waits for it, until when, and in which queue.

Nothing here is locked: the engine holds its lock wherever two threads could meet.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from model_core.types import Answer, StepEvent
from serve.errors import DeadlineExceededError, OverloadedError
from serve.telemetry.engine_observer import Timeline

EventListener = Callable[[StepEvent], None]


class RequestLike(Protocol):
    """What the engine needs of ``model_core.request.Request``."""

    @property
    def num_beams(self) -> int:
        """Slots that the request takes."""


@dataclass(eq=False)
class Job:
    """A request on its way, and the future that waits for its answer.

    Attributes:
        request: From the predictor.
        future: Done when the job is over.
        submitted_at: When it came; this and the deadline by ``time.monotonic``.
        deadline: When it is late.
        timeline: When it reached each stage; filled in on the way.
        on_event: Called after each of its steps.
        is_background: True when it runs only while nobody wants its slots.
    """

    request: RequestLike
    future: Future[Answer]
    submitted_at: float
    deadline: float
    timeline: Timeline
    on_event: EventListener | None = None
    is_background: bool = False

    def is_over(self, now: float) -> bool:
        """True when nobody waits any more; a late job is told so."""
        if self.future.cancelled():
            return True
        if now < self.deadline:
            return False
        limit_s = self.deadline - self.submitted_at
        self.fail(DeadlineExceededError(f"no answer within {limit_s:g} s; try again later"))
        return True

    def finish(self, answer: Answer) -> None:
        """Gives the answer to whoever waits."""
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(answer)

    def fail(self, error: Exception) -> None:
        """Gives an error to whoever waits."""
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)

    def drop(self) -> None:
        """Fails a background job for which there is no room."""
        self.fail(OverloadedError("no room for background work"))


class JobQueue:
    """Jobs without slots, in the order they came; those in the background behind all others."""

    def __init__(self) -> None:
        self._waiting: deque[Job] = deque()
        self._background: deque[Job] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting or self._background)

    @property
    def num_waiting(self) -> int:
        """Ordinary jobs."""
        return len(self._waiting)

    @property
    def num_background(self) -> int:
        """Jobs in the background."""
        return len(self._background)

    @property
    def head(self) -> Job | None:
        """The ordinary job that is next; None when nobody waits."""
        return self._waiting[0] if self._waiting else None

    def put(self, job: Job) -> None:
        """Adds a job at the end of its queue."""
        (self._background if job.is_background else self._waiting).append(job)

    def take(self, num_free: int, num_allowed: int) -> list[Job]:
        """The next ordinary jobs that fit into free slots; nobody passes one that does not."""
        jobs: list[Job] = []
        while self._waiting and len(jobs) < num_allowed:
            num_free -= self._waiting[0].request.num_beams
            if num_free < 0:
                break
            jobs.append(self._waiting.popleft())
        return jobs

    def take_background(self, num_free: int) -> list[Job]:
        """The next background job, if it fits and nobody else waits; at most one."""
        if self._waiting or not self._background:
            return []
        fits = self._background[0].request.num_beams <= num_free
        return [self._background.popleft()] if fits else []

    def forget_over(self, now: float) -> None:
        """Takes out what is late or cancelled."""
        self._waiting = deque(job for job in self._waiting if not job.is_over(now))
        self._background = deque(job for job in self._background if not job.is_over(now))

    def drop_background(self) -> None:
        """Fails what waits in the background."""
        while self._background:
            self._background.popleft().drop()

    def pop_all(self) -> list[Job]:
        """Everything, taken out."""
        jobs = [*self._waiting, *self._background]
        self._waiting.clear()
        self._background.clear()
        return jobs
