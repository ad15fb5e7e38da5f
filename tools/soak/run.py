"""A soak: callers at a steady rate, things broken by a timetable, everything written down."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from serve.cache.backends import EmbeddedServer
from serve.load.arrivals import Phase, poisson_times
from serve.load.calls import Call
from serve.load.client import LoadClient, RetryRule
from serve.load.latencies import Latencies
from serve.load.report import Frozen
from tools.fault_proxy import Fault
from tools.soak.ledger import Ledger
from tools.soak.memory import MAX_GROWTH, Sample, growth, minute_medians
from tools.soak.processes import kill_replica, memory_mib
from tools.soak.proxy_thread import ProxyThread
from tools.soak.questions import Asked, malformed_question
from tools.soak.timetable import Change, timetable

RETRIES = RetryRule(num_busy=5, num_broken=1)
CLIENT_TIMEOUT_S = 60.0  # well above the service's own limit: who waits longer is hanging
SAMPLE_S = 2.0
SLOW_S = 0.1  # of a piece of a slow reply: within the time that the service gives Redis


@dataclass(frozen=True)
class SoakPlan:
    """What a soak does.

    Attributes:
        seconds: How long.
        rate: Requests per second.
        leaving: Share of callers that leave before the answer.
        malformed: Share of bodies that make no sense.
        cached: Share of the others that the cache may answer; so small that the model can answer
            them all while Redis is gone.
        patience_s: The longest that a caller who leaves waits.
        seed: Of all choices.
    """

    seconds: float
    rate: float
    leaving: float = 0.05
    patience_s: float = 0.2
    malformed: float = 0.05
    cached: float = 0.1
    seed: int = 0

    @property
    def computed_fraction(self) -> float:
        """Share of requests that the model has to answer."""
        return (1 - self.malformed) * (1 - self.cached)


class SoakReport(Frozen):
    """What came of it.

    Attributes:
        conditions: How it was run.
        fates: Requests by what became of them.
        retried: Requests that were sent again after a failure.
        num_unexplained: Failures of which no kill is the reason, whatever came of the retry.
        num_kills: Replicas killed.
        latencies: Of right answers, every retry included.
        events: What happened when (s).
        memory_mib: Median of each minute, of everything the service runs.
        memory_growth: From the third minute to the last; None in a short run.
        faults: What the service did wrong.
    """

    conditions: dict[str, Any]
    fates: dict[str, int]
    retried: int
    num_unexplained: int
    num_kills: int
    latencies: Latencies | None
    events: list[tuple[float, Change]]
    memory_mib: list[float]
    memory_growth: float | None
    faults: list[str]


@dataclass
class Soak:
    """One soak under way.

    Attributes:
        url: Where the service answers; its processes have to stand below this one.
        server: Of its cache, to be stopped and started.
        questions: With their answers.
        plan: What is done.
        proxy: In front of the cache, to be slow and silent; without one these are left out.
    """

    url: str
    server: EmbeddedServer
    questions: Sequence[Asked]
    plan: SoakPlan
    proxy: ProxyThread | None = None
    ledger: Ledger = field(default_factory=Ledger)
    samples: list[Sample] = field(default_factory=list)
    events: list[tuple[float, Change]] = field(default_factory=list)

    async def run(self) -> SoakReport:
        """Everything, from the first request to the last answer."""
        self._started = time.monotonic()
        no_cache = {"cache-control": "no-cache"}
        async with (
            LoadClient(self.url, None, CLIENT_TIMEOUT_S, RETRIES) as cached,
            LoadClient(self.url, no_cache, CLIENT_TIMEOUT_S, RETRIES) as uncached,
        ):
            breaking = asyncio.create_task(self._break_things())
            sampling = asyncio.create_task(self._sample())
            await self._ask(cached, uncached)
            await breaking
            sampling.cancel()
        return self._report()

    def _now(self) -> float:
        return time.monotonic() - self._started

    async def _ask(self, cached: LoadClient, uncached: LoadClient) -> None:
        plan = self.plan
        rng = np.random.default_rng(plan.seed)
        async with asyncio.TaskGroup() as group:
            for at_s in poisson_times([Phase(plan.rate, plan.seconds)], rng):
                is_malformed = rng.random() < plan.malformed
                known = self.questions[int(rng.integers(len(self.questions)))]
                asked = malformed_question(rng) if is_malformed else known
                client = cached if rng.random() < plan.cached else uncached
                is_leaving = rng.random() < plan.leaving
                patience_s = rng.uniform(0, plan.patience_s) if is_leaving else None
                await asyncio.sleep(max(0.0, at_s - self._now()))
                group.create_task(self._one(client, asked, at_s, patience_s))

    async def _one(
        self, client: LoadClient, asked: Asked, due_s: float, patience_s: float | None
    ) -> None:
        call = Call(due_s, asked.task, f"/v1/{asked.task}", asked.body)
        try:
            async with asyncio.timeout(patience_s):
                reply = await client.send(call)
        except TimeoutError:
            self.ledger.note_left()
            return
        self.ledger.note(asked, reply, due_s, self._now())

    async def _break_things(self) -> None:
        for event in timetable(self.plan.seconds, self.proxy is not None):
            await asyncio.sleep(max(0.0, event.at_s - self._now()))
            if event.what is Change.KILL:
                self.ledger.note_kill(self._now())
            await asyncio.to_thread(self._make, event.what)
            self.events.append((round(self._now(), 1), event.what))

    def _make(self, change: Change) -> None:
        actions: dict[Change, Callable[[], object]] = {
            Change.KILL: lambda: kill_replica(len(self.ledger.kills)),
            Change.REDIS_DOWN: self.server.stop,
            Change.REDIS_UP: self.server.start,
            Change.REDIS_SLOW: lambda: self._set_fault(Fault.DELAY),
            Change.REDIS_SILENT: lambda: self._set_fault(Fault.BLACK_HOLE),
            Change.REDIS_WELL: lambda: self._set_fault(Fault.NONE),
        }
        actions[change]()

    def _set_fault(self, fault: Fault) -> None:
        assert self.proxy is not None  # the timetable has such changes only with one
        self.proxy.set_fault(fault, SLOW_S)

    async def _sample(self) -> None:
        while True:
            mib = await asyncio.to_thread(memory_mib)
            self.samples.append(Sample(self._now(), mib))
            await asyncio.sleep(SAMPLE_S)

    def _report(self) -> SoakReport:
        medians = minute_medians([one for one in self.samples if one.at_s < self.plan.seconds])
        grown = growth(medians)
        faults = self.ledger.faults
        if grown is not None and grown > MAX_GROWTH:
            faults.append(f"memory grew by {grown:.1%} from the third minute to the last")
        return SoakReport(
            conditions={**vars(self.plan), "questions": len(self.questions)},
            fates={str(fate): num for fate, num in sorted(self.ledger.fates.items())},
            retried=self.ledger.retried,
            num_unexplained=len(self.ledger.unexplained),
            num_kills=len(self.ledger.kills),
            latencies=self.ledger.latencies,
            events=self.events,
            memory_mib=medians,
            memory_growth=grown,
            faults=faults,
        )
