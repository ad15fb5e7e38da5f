"""A discrete-event simulation of replicas: arrivals, routing, queues, admission, steps, exits.

Each replica does what ``serve.engine`` does: it admits a few waiting requests, as many as the
engine's own budget of encoder work allows, makes a step, and goes on; a row leaves when its answer
has as many tokens as a measured one. The router takes the less busy of two replicas, as Ray does.
Replicas that share a machine with everything beside them share its cores: while more wants to run
than there are cores, all of it takes that much longer.
"""

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy

from serve.admission import AdmissionBudget
from serve.load.arrivals import Mix, Phase, poisson_times
from serve.load.latencies import Latencies
from serve.planning.costs import Costs

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
        yield self._spend(ms + num * self._costs.handling_ms)

    def _step(self) -> Process:
        depths = [job.depths[job.step] for job in self.active if job.depths]
        if depths:
            yield self._spend(self._costs.step.ms(depths))
        for job in self.active:
            job.step += 1
        done = [job for job in self.active if job.step >= len(job.depths)]
        self.active = [job for job in self.active if job.step < len(job.depths)]
        self.finished += [(job, self._env.now) for job in done]
        self._machine.note_answers(len(done))

    def _spend(self, ms: float) -> simpy.Timeout:
        seconds = ms / 1e3 * self._machine.stretch()
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
    env = simpy.Environment()
    rng = np.random.default_rng(demand.seed)
    machine = _Machine(env, costs.beside_ms, num_cores)
    replicas = [_Replica(env, costs, shape, machine) for _ in range(shape.num_replicas)]
    machine.replicas += replicas
    jobs = _jobs(costs, demand, rng)
    is_hit = rng.random(len(jobs)) < demand.hit_fraction
    refused: list[_Job] = []

    def arrive() -> Process:
        for job, hit in zip(jobs, is_hit, strict=True):
            yield env.timeout(job.at_s - env.now)
            if not hit and not _choose(replicas, rng).offer(job):
                refused.append(job)

    env.process(arrive())
    env.run(until=demand.seconds)
    start_s = WARM_SHARE * demand.seconds
    ends = [(job, end_s) for replica in replicas for job, end_s in replica.finished]
    seconds = [end_s - job.at_s + costs.way_ms / 1e3 for job, end_s in ends if job.at_s >= start_s]
    hits = [job for job, hit in zip(jobs, is_hit, strict=True) if hit and job.at_s >= start_s]
    seconds += [costs.cached_ms / 1e3] * len(hits)
    num_late = sum(end_s >= start_s for _, end_s in ends) + len(hits)
    return Simulated(
        answered_per_s=num_late / (demand.seconds - start_s),
        latencies=Latencies.of(seconds),
        refused_fraction=len(refused) / max(1, len(jobs)),
        utilisation=sum(replica.busy_s for replica in replicas) / (demand.seconds * len(replicas)),
    )


def _jobs(costs: Costs, demand: Demand, rng: np.random.Generator) -> list[_Job]:
    times = poisson_times([Phase(demand.rate, demand.seconds)], rng)
    tasks = demand.mix.draw(len(times), rng)
    jobs = []
    for at_s, task in zip(times, tasks, strict=True):
        answers = costs.tasks[task].answers
        jobs.append(_Job(at_s, task, answers[int(rng.integers(len(answers)))]))
    return jobs


def _choose(replicas: list[_Replica], rng: np.random.Generator) -> _Replica:
    if len(replicas) == 1:
        return replicas[0]
    first, second = rng.choice(len(replicas), size=2, replace=False)
    return min(replicas[int(first)], replicas[int(second)], key=lambda one: one.num_ongoing)
