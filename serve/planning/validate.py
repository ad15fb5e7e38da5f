"""The simulation beside the real thing: the same rates, the same mix, replicas on this machine."""

import itertools
from typing import Protocol

from serve.load.arrivals import Mix, Phase
from serve.load.calls import Call, Load
from serve.load.client import LoadClient, with_client
from serve.load.highest_rate import Bound, highest_rate
from serve.load.latencies import Latencies
from serve.load.photos import PhotoSource
from serve.load.report import Frozen, LoadReport, make_report
from serve.load.run import run_open_loop
from serve.load.saturate import throughput
from serve.planning.costs import Costs
from serve.planning.plan import is_enough, saturation_rate
from serve.planning.simulation import Demand, Shape, replay, simulate

CALLERS_PER_SLOT = 2
READY_PER_S = 64.0  # calls that are made before a closed loop
HALF = 0.5
P95_MS = 1000.0
SIMULATED_RUNS = 10  # as long as one that is measured, for a rate that is searched


class Comparison(Frozen):
    """One value, measured and simulated."""

    num_replicas: int
    rate: float | None
    what: str
    measured: float
    simulated: float

    @property
    def error(self) -> float:
        """Of the simulation, relative to what was measured."""
        return self.simulated / self.measured - 1


class Service(Protocol):
    """A service that runs, as ``compare`` measures it."""

    def offer(self, rate: float, seconds: float) -> tuple[list[Call], LoadReport]:
        """An open loop at a rate: its calls, and what became of them."""

    def saturate(self, seconds: float) -> float:
        """Answers per second when nobody pauses."""


def compare(
    costs: Costs,
    shape: Shape,
    mix: Mix,
    seconds: float,
    service: Service,
    num_cores: int | None = None,
) -> list[Comparison]:
    """What a plan rests on, measured and simulated: answers per second when nobody pauses, the
    latencies at half of that, and the highest rate at which p95 stays below a second.

    At half the load the simulation gets the very arrivals that the service had. Latencies nearer
    to saturation are left out: there a few percent of capacity are a third of p95.

    Args:
        costs: As measured.
        shape: What runs.
        mix: Shares of tasks.
        seconds: Of one run.
        service: That was started with this shape.
        num_cores: Of the machine that all of it runs on.
    """
    saturated = saturation_rate(costs, shape, mix, num_cores)
    rate = HALF * saturated
    calls, report = service.offer(rate, seconds)
    arrivals = [(call.at_s, call.task) for call in calls]
    model = replay(costs, shape, arrivals, num_cores)
    values = _latency_pairs(report.total.latencies, model.latencies)
    found = [_comparison(shape, what, *pair, rate) for what, pair in values.items()]
    highest, _ = highest_rate(lambda at: service.offer(at, seconds)[1], rate, Bound(P95_MS).holds)
    simulated, _ = highest_rate(
        lambda at: simulate(costs, shape, Demand(at, SIMULATED_RUNS * seconds, mix), num_cores),
        rate,
        lambda run: is_enough(run, P95_MS),
    )
    found.append(_comparison(shape, f"rate/s at p95 below {P95_MS:g} ms", highest, simulated))
    if shape.num_replicas > 1:  # one replica's is what costs are fitted to
        measured = service.saturate(seconds)
        found.append(_comparison(shape, "answers/s when nobody pauses", measured, saturated))
    return found


def _comparison(
    shape: Shape, what: str, measured: float, simulated: float, rate: float | None = None
) -> Comparison:
    return Comparison(
        num_replicas=shape.num_replicas,
        rate=rate,
        what=what,
        measured=measured,
        simulated=simulated,
    )


def _latency_pairs(
    measured: Latencies | None, simulated: Latencies | None
) -> dict[str, tuple[float, float]]:
    if measured is None or simulated is None:
        return {}
    return {
        "p50 ms": (measured.p50_ms, simulated.p50_ms),
        "p95 ms": (measured.p95_ms, simulated.p95_ms),
    }


class RunningService:
    """A service at an address, asked by clients of this process; no photo is sent twice."""

    def __init__(self, url: str, photos: PhotoSource, mix: Mix, policy: str, shape: Shape) -> None:
        """``shape`` says how many callers keep it busy without filling its queues."""
        self._url = url
        self._photos = photos
        self._mix = mix
        self._fields = {"policy": policy}
        self._num_callers = CALLERS_PER_SLOT * shape.num_slots * shape.num_replicas
        self._seeds = itertools.count()

    def offer(self, rate: float, seconds: float) -> tuple[list[Call], LoadReport]:
        calls = self._calls(rate, seconds)

        async def run(client: LoadClient) -> LoadReport:
            return make_report(await run_open_loop(client.send, calls), {"rate": rate})

        return calls, with_client(self._url, run)

    def saturate(self, seconds: float) -> float:
        calls = self._calls(READY_PER_S, seconds)
        return throughput(self._url, iter(calls), seconds, self._num_callers).answered_per_s

    def _calls(self, rate: float, seconds: float) -> list[Call]:
        load = Load((Phase(rate, seconds),), self._mix, self._fields, seed=next(self._seeds))
        return load.calls(self._photos)


def with_handling(costs: Costs, shape: Shape, mix: Mix, answered_per_s: float) -> Costs:
    """The costs with what HTTP takes from a busy engine: what one replica's answers per second,
    when nobody pauses, leave unexplained.
    """
    engine_per_s = saturation_rate(replace_handling(costs, 0.0), shape, mix)
    missing_ms = 1e3 * (1 / answered_per_s - 1 / engine_per_s)
    return replace_handling(costs, max(0.0, missing_ms))


def replace_handling(costs: Costs, handling_ms: float) -> Costs:
    """The same costs with another ``handling_ms``."""
    return costs.model_copy(update={"handling_ms": handling_ms})
