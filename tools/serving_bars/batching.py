"""Our engine against ``@serve.batch`` on one machine: the two take turns, the other one idles."""

import statistics
from collections.abc import Iterator
from dataclasses import replace

from serve.load.arrivals import Mix, Phase
from serve.load.calls import Call, Load
from serve.load.client import LoadClient, with_client
from serve.load.latencies import percentile
from serve.load.outcome import Outcome
from serve.load.run import run_open_loop
from serve.load.saturate import NUM_CALLERS, throughput
from tools.serving_bars.ray_batch import BATCH_SIZE, PATH, start_batched
from tools.serving_bars.records import Check, Record
from tools.serving_bars.stand import (
    Plan,
    endless_calls,
    record,
    running,
)

NUM_ROUNDS = 3
SHORT, LONG = "entailment", "caption"
MIX = Mix.parse(f"{LONG}=0.8,{SHORT}=0.2")
POLICY = "balanced"
LOAD_SHARE = 0.7  # of what the slower of the two can do, where latencies are compared
PATHS = {"engine": "/v1/{task}", "serve.batch": PATH + "/{task}"}


def measure_batching(plan: Plan) -> Record:
    """Answers per second without a pause, then p95 of short requests at the same rate for both."""
    with running(plan, cache=False, num_slots=BATCH_SIZE) as cluster:
        start_batched(cluster.settings)
        url = cluster.address
        calls = {name: _calls(plan, path) for name, path in PATHS.items()}
        rates: dict[str, list[float]] = {name: [] for name in PATHS}
        for name in PATHS:
            throughput(url, calls[name], min(3.0, plan.seconds))
        for _ in range(NUM_ROUNDS):
            for name, values in rates.items():
                values.append(throughput(url, calls[name], plan.seconds).answered_per_s)
        median = {name: statistics.median(values) for name, values in rates.items()}
        rate = LOAD_SHARE * min(median.values())
        outcomes: dict[str, list[Outcome]] = {name: [] for name in PATHS}
        for round_number in range(NUM_ROUNDS):
            for name, path in PATHS.items():
                outcomes[name] += _offer(plan, url, path, rate, round_number)
    conditions = {"policy": POLICY, "callers": NUM_CALLERS, "rate of latencies per s": rate}
    checks, rows = _compared(median, outcomes)
    return record("batching", checks, rows, {**conditions, "seconds": plan.seconds})


def _compared(
    median: dict[str, float], outcomes: dict[str, list[Outcome]]
) -> tuple[list[Check], list[dict[str, float | int | str | None]]]:
    short = {name: _p95_ms(values, SHORT) for name, values in outcomes.items()}
    engine, batch = PATHS
    checks = [
        Check(
            what="answers per second, engine over serve.batch",
            value=median[engine] / median[batch],
            limit=1.3,
            is_at_most=False,
        ),
        Check(
            what="p95 of entailment, engine over serve.batch",
            value=short[engine] / short[batch],
            limit=0.5,
            is_at_most=True,
        ),
    ]
    rows: list[dict[str, float | int | str | None]] = [
        {
            "": name,
            "answers/s": median[name],
            f"p95 {SHORT} ms": short[name],
            f"p95 {LONG} ms": _p95_ms(outcomes[name], LONG),
        }
        for name in PATHS
    ]
    return checks, rows


def _calls(plan: Plan, path: str) -> Iterator[Call]:
    return endless_calls(plan.photos, MIX, {"policy": POLICY}, path, plan.seed)


def _offer(plan: Plan, url: str, path: str, rate: float, seed: int) -> list[Outcome]:
    load = Load((Phase(rate, plan.seconds),), MIX, {"policy": POLICY}, seed=plan.seed + seed)
    calls = [replace(call, path=path.format(task=call.task)) for call in load.calls(plan.photos)]

    async def run(client: LoadClient) -> list[Outcome]:
        return await run_open_loop(client.send, calls)

    return with_client(url, run)


def _p95_ms(outcomes: list[Outcome], task: str) -> float:
    return 1e3 * percentile([one.latency_s for one in outcomes if one.task == task], 0.95)
