"""How much a service does: presets against full depth at equal p95, two replicas against one."""

import sys

from serve.load.arrivals import Mix, Phase
from serve.load.highest_rate import Bound, Found, highest_rate
from serve.load.report import LoadReport
from serve.load.saturate import NUM_CALLERS, throughput
from tools.serving_bars.records import Check, Record
from tools.serving_bars.stand import (
    Plan,
    endless_calls,
    offer,
    record,
    running,
)

PRESETS = ("full", "quality", "balanced", "fast")
CAPTIONS = Mix.parse("caption=1")
P95_MS = 1000.0
START_RATE = 8.0
NUM_ROUNDS = 3
WARM_S = 5.0


def measure_presets(plan: Plan) -> Record:
    """The highest rate of captions with p95 below the same bound, for each preset."""
    rates: dict[str, Found[LoadReport]] = {}
    with running(plan, cache=False) as cluster:
        for preset in PRESETS:

            def run(rate: float, preset: str = preset) -> LoadReport:
                phases = (Phase(rate, plan.seconds),)
                report = offer(plan, cluster.address, phases, {"policy": preset})
                print(f"  {preset} at {rate:.1f}/s: {report.total.latencies}", file=sys.stderr)
                return report

            rates[preset] = highest_rate(run, START_RATE, Bound(P95_MS).holds)
    full = rates["full"][0]
    checks = [
        Check(
            what=f"rate at p95 below {P95_MS:g} ms, {preset} over full",
            value=rates[preset][0] / full if full else None,
            limit=1.5,
            is_at_most=False,
        )
        for preset in PRESETS[1:]
    ]
    rows = [_rate_row(preset, *rates[preset]) for preset in PRESETS]
    return record("presets", checks, rows, {"seconds": plan.seconds, "tasks": "captions"})


def measure_replicas(plan: Plan) -> Record:
    """Answers per second of two replicas and of one, a thread each, in turns."""
    found: dict[int, list[float]] = {1: [], 2: []}
    for round_number in range(NUM_ROUNDS):
        for num_replicas, values in found.items():
            with running(plan, num_replicas, cache=False, num_threads=1) as cluster:
                first = plan.seed + round_number * 10**5
                calls = endless_calls(plan.photos, CAPTIONS, {"policy": "balanced"}, first=first)
                for seconds in (min(WARM_S, plan.seconds), plan.seconds):
                    got = throughput(cluster.address, calls, seconds, num_replicas * NUM_CALLERS)
                values.append(got.answered_per_s)
    best = {num: sorted(values)[len(values) // 2] for num, values in found.items()}
    check = Check(
        what="answers per second, two replicas over one",
        value=best[2] / best[1],
        limit=1.7,
        is_at_most=False,
    )
    rows: list[dict[str, float | int | str | None]] = [
        {"replicas": num, "answers/s (median)": best[num], "lowest": min(v), "highest": max(v)}
        for num, v in found.items()
    ]
    conditions = {"callers per replica": NUM_CALLERS, "seconds": plan.seconds, "rounds": NUM_ROUNDS}
    return record("replicas", [check], rows, conditions)


def _rate_row(
    preset: str, rate: float, report: LoadReport | None
) -> dict[str, float | int | str | None]:
    latencies = None if report is None else report.total.latencies
    return {
        "preset": preset,
        "rate/s": rate,
        "p50 ms": None if latencies is None else latencies.p50_ms,
        "p95 ms": None if latencies is None else latencies.p95_ms,
        "layers saved": None if report is None else report.layers_saved,
    }
