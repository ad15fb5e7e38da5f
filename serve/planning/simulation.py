"""A discrete-event simulation of replicas: arrivals, routing, queues, admission, steps, exits.

Each replica does what ``serve.engine`` does: it admits a few waiting requests, as many as the
engine's own budget of encoder work allows, makes a step, and goes on; a row leaves when its answer
has as many tokens as a measured one. The router takes the least busy replica, as HAProxy does.
Replicas that share a machine with everything beside them share its cores: while more wants to run
than there are cores, all of it takes that much longer.
"""

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy

from serve.admission import AdmissionBudget
from serve.load.arrivals import Mix, Phase, poisson_times
from serve.load.latencies import Latencies
from serve.planning.costs import Costs, num_new_layers

WARM_SHARE = 0.1  # of the run, which starts empty: not counted
WINDOW_S = 1.0  # over which the rate of answers is taken

Process = Generator[Any, Any, None]


@dataclass(frozen=True)
class Shape:
    """The service that is simulated; the names are those of ``ServeSettings``."""

    num_replicas: int = 1
    num_slots: int = 16
    max_admit_per_step: int = 4
    queue_limit: int = 64
    max_admit_s_per_step: float = 0.1


@dataclass(frozen=True)
class Demand:
    """What is asked of it.

    Attributes:
        rate: Requests per second.
        seconds: Length of the run.
        mix: Shares of tasks.
        hit_fraction: Share that the cache answers.
        seed: Of all choices.
    """

    rate: float
    seconds: float
    mix: Mix
    hit_fraction: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Simulated:
    """What came of it, after the warm-up.

    Attributes:
        answered_per_s: Answers per second.
        latencies: Of answers; None without any.
        refused_fraction: Share of requests that found the queue full.
        utilisation: Share of the time that replicas worked, on average.
    """

    answered_per_s: float
    latencies: Latencies | None
    refused_fraction: float
    utilisation: float


@dataclass(eq=False)
class _Job:
    at_s: float
    task: str
    depths: list[int]
    step: int = 0

    @property
    def reached(self) -> int:
        """The deepest layer that it has visited."""
        return max(self.depths[: self.step], default=0)


class _Machine:
    """Cores that replicas and what runs beside them share; None: there are always enough."""

    def __init__(self, env: simpy.Environment, beside_ms: float, num_cores: int | None) -> None:
        self.replicas: list[_Replica] = []
        self._env = env
        self._beside_s = beside_ms / 1e3
        self._num_cores = num_cores
        self._ends_s: deque[float] = deque()

    def note_answers(self, num: int) -> None:
        self._ends_s += [self._env.now] * num

    def stretch(self) -> float:
        """How much longer work takes than it would alone."""
        if self._num_cores is None:
            return 1.0
        while self._ends_s and self._ends_s[0] < self._env.now - WINDOW_S:
            self._ends_s.popleft()
        num_busy = sum(replica.num_ongoing > 0 for replica in self.replicas)
        beside = self._beside_s * len(self._ends_s) / WINDOW_S
        return max(1.0, (num_busy + beside) / self._num_cores)


class _Replica:
    def __init__(
        self, env: simpy.Environment, costs: Costs, shape: Shape, machine: _Machine
    ) -> None:
        self.waiting: deque[_Job] = deque()
        self.active: list[_Job] = []
        self.busy_s = 0.0
        self.num_taken = 0
        self._owed_ms = 0.0
        self.finished: list[tuple[_Job, float]] = []
        self._env = env
        self._costs = costs
        self._shape = shape
        self._machine = machine
        self._budget = AdmissionBudget(shape.max_admit_per_step, shape.max_admit_s_per_step)
        self._work = env.event()
        env.process(self._run())

    @property
    def num_ongoing(self) -> int:
        return len(self.waiting) + len(self.active)

    def offer(self, job: _Job) -> bool:
        """False when the queue is full."""
        if len(self.waiting) >= self._shape.queue_limit:
            return False
        self.num_taken += 1
        if self.num_ongoing:  # an idle engine is kept from nothing
            self._owed_ms += self._costs.handling_ms
        self.waiting.append(job)
        if not self._work.triggered:
            self._work.succeed()
        return True

    def _run(self) -> Process:
        while True:
            if not self.num_ongoing:
                self._work = self._env.event()
                yield self._work
            yield from self._admit()
            yield from self._step()

    def _admit(self) -> Process:
        num_free = self._shape.num_slots - len(self.active)
        num_allowed = self._budget.num_requests(is_decoding=bool(self.active))
        num = min(len(self.waiting), num_free, num_allowed)
        if num == 0:
            return
        jobs = [self.waiting.popleft() for _ in range(num)]
        self.active += jobs
        admits = [self._costs.tasks[job.task].admit for job in jobs]
        ms = max(cost.base_ms for cost in admits) + sum(cost.row_ms for cost in admits)
        self._budget.note(num, ms / 1e3)
        yield self._spend(ms)

    def _step(self) -> Process:
        rows = [job for job in self.active if job.depths]
        if rows:
            depths = [job.depths[job.step] for job in rows]
            num_new = num_new_layers(depths, [job.reached for job in rows])
            yield self._spend(self._costs.step.ms(depths, num_new))
        for job in self.active:
            job.step += 1
        done = [job for job in self.active if job.step >= len(job.depths)]
        self.active = [job for job in self.active if job.step < len(job.depths)]
        self.finished += [(job, self._env.now) for job in done]
        self._machine.note_answers(len(done))

    def _spend(self, ms: float) -> simpy.Timeout:
        seconds = (ms + self._owed_ms) / 1e3 * self._machine.stretch()
        self._owed_ms = 0.0
        self.busy_s += seconds
        return self._env.timeout(seconds)


def simulate(costs: Costs, shape: Shape, demand: Demand, num_cores: int | None = None) -> Simulated:
    """What a service of this shape does under this demand.

    Args:
        costs: As measured.
        shape: What runs.
        demand: What is asked.
        num_cores: Of the one machine that everything runs on; None: enough for all of it.
    """
    rng = np.random.default_rng(demand.seed)
    times = poisson_times([Phase(demand.rate, demand.seconds)], rng)
    jobs = _jobs(costs, zip(times, demand.mix.draw(len(times), rng), strict=True), rng)
    is_hit = rng.random(len(jobs)) < demand.hit_fraction
    computed = [job for job, hit in zip(jobs, is_hit, strict=True) if not hit]
    done = _serve(costs, shape, computed, num_cores, demand.seconds)
    start_s = WARM_SHARE * demand.seconds
    seconds = [done.latency_s(job) for job in done.ends_s if job.at_s >= start_s]
    hits = [job for job, hit in zip(jobs, is_hit, strict=True) if hit and job.at_s >= start_s]
    seconds += [costs.cached_ms / 1e3] * len(hits)
    num_late = sum(end_s >= start_s for end_s in done.ends_s.values()) + len(hits)
    return Simulated(
        answered_per_s=num_late / (demand.seconds - start_s),
        latencies=Latencies.of(seconds),
        refused_fraction=done.num_refused / max(1, len(jobs)),
        utilisation=done.busy_s / (demand.seconds * shape.num_replicas),
    )


def replay(
    costs: Costs,
    shape: Shape,
    arrivals: Sequence[tuple[float, str]],
    num_cores: int | None = None,
    seed: int = 0,
) -> Simulated:
    """What such a service does with requests that came at known times, the first and last too.

    Args:
        costs: As measured.
        shape: What runs.
        arrivals: When each came (s), by time, and its task.
        num_cores: As for ``simulate``.
        seed: Of the answers' depths.
    """
    jobs = _jobs(costs, arrivals, np.random.default_rng(seed))
    done = _serve(costs, shape, jobs, num_cores)
    last_s = max(done.ends_s.values(), default=0.0)
    return Simulated(
        answered_per_s=len(done.ends_s) / last_s if last_s else 0.0,
        latencies=Latencies.of([done.latency_s(job) for job in done.ends_s]),
        refused_fraction=done.num_refused / max(1, len(jobs)),
        utilisation=done.busy_s / (last_s * shape.num_replicas) if last_s else 0.0,
    )


@dataclass(frozen=True)
class _Served:
    """When each job that was not refused had its answer, and how long replicas worked."""

    ends_s: dict[_Job, float]
    num_refused: int
    busy_s: float
    way_s: float

    def latency_s(self, job: _Job) -> float:
        return self.ends_s[job] - job.at_s + self.way_s


def _serve(
    costs: Costs,
    shape: Shape,
    jobs: Sequence[_Job],
    num_cores: int | None,
    until_s: float | None = None,
) -> _Served:
    """Runs until everything is answered, or until a time."""
    env = simpy.Environment()
    machine = _Machine(env, costs.beside_ms, num_cores)
    replicas = [_Replica(env, costs, shape, machine) for _ in range(shape.num_replicas)]
    machine.replicas += replicas
    refused: list[_Job] = []

    def arrive() -> Process:
        for job in jobs:
            yield env.timeout(job.at_s - env.now)
            if not _choose(replicas).offer(job):
                refused.append(job)

    env.process(arrive())
    env.run(until=until_s)
    return _Served(
        {job: end_s for replica in replicas for job, end_s in replica.finished},
        len(refused),
        sum(replica.busy_s for replica in replicas),
        costs.way_ms / 1e3,
    )


def _jobs(
    costs: Costs, arrivals: Iterable[tuple[float, str]], rng: np.random.Generator
) -> list[_Job]:
    jobs = []
    for at_s, task in arrivals:
        answers = costs.tasks[task].answers
        jobs.append(_Job(at_s, task, answers[int(rng.integers(len(answers)))]))
    return jobs


def _choose(replicas: Sequence[_Replica]) -> _Replica:
    return min(replicas, key=lambda one: (one.num_ongoing, one.num_taken))
