"""The simulation beside the real thing: the same rates, the same mix, replicas on this machine."""

import asyncio
from collections.abc import Callable, Sequence

from serve.load.arrivals import Mix, Phase
from serve.load.calls import Call, Load
from serve.load.client import LoadClient
from serve.load.latencies import Latencies
from serve.load.photos import PhotoSource
from serve.load.report import Frozen, LoadReport, make_report
from serve.load.run import run_open_loop
from serve.planning.costs import Costs
from serve.planning.plan import saturation_rate
from serve.planning.simulation import Shape, replay

LOAD_SHARES = (0.5, 0.8)
OVERLOAD = 1.5


class Comparison(Frozen):
    """One value, measured and simulated."""

    num_replicas: int
    rate: float
    what: str
    measured: float
    simulated: float

    @property
    def error(self) -> float:
        """Of the simulation, relative to what was measured."""
        return self.simulated / self.measured - 1


def compare(
    costs: Costs,
    shape: Shape,
    mix: Mix,
    seconds: float,
    calls_at: Callable[[float, float], Sequence[Call]],
    measure: Callable[[Sequence[Call], float], LoadReport],
    num_cores: int | None = None,
) -> list[Comparison]:
    """Answers per second under too much load, and p50 and p95 at rates below it.

    The simulation gets the very arrivals that the service had: what chance brought together, it
    has to cope with too.

    Args:
        costs: As measured.
        shape: What runs.
        mix: Shares of tasks.
        seconds: Of one run.
        calls_at: Makes calls at a rate for some seconds.
        measure: Offers calls at a rate, and reports.
        num_cores: Of the machine that all of it runs on.
    """
    capacity = saturation_rate(costs, shape, mix) * shape.num_replicas
    found = []
    for share in (*LOAD_SHARES, OVERLOAD):
        rate = share * capacity
        calls = calls_at(rate, seconds)
        report = measure(calls, rate)
        arrivals = [(call.at_s, call.task) for call in calls]
        model = replay(costs, shape, arrivals, num_cores)
        pairs = {"answers/s": (report.answered_per_s, model.answered_per_s)}
        if share < 1:
            pairs = _latency_pairs(report.total.latencies, model.latencies)
        found += [
            Comparison(
                num_replicas=shape.num_replicas,
                rate=rate,
                what=what,
                measured=measured,
                simulated=simulated,
            )
            for what, (measured, simulated) in pairs.items()
        ]
    return found


def _latency_pairs(
    measured: Latencies | None, simulated: Latencies | None
) -> dict[str, tuple[float, float]]:
    if measured is None or simulated is None:
        return {}
    return {
        "p50 ms": (measured.p50_ms, simulated.p50_ms),
        "p95 ms": (measured.p95_ms, simulated.p95_ms),
    }


def calls_of(photos: PhotoSource, mix: Mix, policy: str) -> Callable[[float, float], list[Call]]:
    """What makes the calls for ``compare``: different photos in every run."""
    seeds = iter(range(10**6))

    def calls_at(rate: float, seconds: float) -> list[Call]:
        load = Load((Phase(rate, seconds),), mix, {"policy": policy}, seed=next(seeds))
        return load.calls(photos)

    return calls_at


def offer(url: str, calls: Sequence[Call], rate: float) -> LoadReport:
    """What a running service did with these calls, none answered from the cache."""

    async def run() -> LoadReport:
        async with LoadClient(url, {"cache-control": "no-cache, no-store"}) as client:
            return make_report(await run_open_loop(client.send, calls), {"rate": rate})

    return asyncio.run(run())


def with_handling(costs: Costs, shape: Shape, mix: Mix, answered_per_s: float) -> Costs:
    """The costs with what HTTP takes from a busy engine: what one replica's answers per second
    under too much load leave unexplained.
    """
    engine_per_s = saturation_rate(replace_handling(costs, 0.0), shape, mix)
    missing_ms = 1e3 * (1 / answered_per_s - 1 / engine_per_s)
    return replace_handling(costs, max(0.0, missing_ms))


def replace_handling(costs: Costs, handling_ms: float) -> Costs:
    """The same costs with another ``handling_ms``."""
    return costs.model_copy(update={"handling_ms": handling_ms})
