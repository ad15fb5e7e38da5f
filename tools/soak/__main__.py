"""``python -m tools.soak``: a service under load for minutes, while parts of it are killed.

Prints a table, writes docs/results/service/soak.json, and ends with 0 when the service did nothing
wrong, 1 when it did, 2 on wrong usage.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from model_core.checkpoint import default_checkpoint
from model_core.config import CONFIG_ROOT
from model_core.predictor import Predictor
from serve.load.arrivals import Mix
from serve.load.photos import PhotoSource
from serve.settings import prepare_environment
from tools.soak.questions import TASKS, known_questions

POLICY = "balanced"
CAPACITY_SHARE = 0.8
CAPACITY_S = 15.0
NUM_PHOTOS = 24
EXAMPLE = "example: python -m tools.soak --minutes 10"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the soak; returns the exit code."""
    options = _make_parser().parse_args(arguments)
    if options.minutes <= 0:
        print(f"soak: --minutes {options.minutes:g} must be above 0", file=sys.stderr)
        return 2
    prepare_environment(CONFIG_ROOT.parent)
    # Ray reads its environment when it is imported.
    from tools.serving_bars.stand import Plan, endless_calls, running, throughput
    from tools.soak.run import Soak, SoakPlan

    photos = PhotoSource.generated(options.seed)
    checkpoint = options.checkpoint or default_checkpoint()
    questions = known_questions(Predictor.load(checkpoint), photos, NUM_PHOTOS, POLICY)
    plan = Plan(CAPACITY_S, photos, {"checkpoint": checkpoint}, options.seed)
    with running(plan, options.replicas) as cluster:
        rate = options.rate
        if rate is None:
            mix = Mix(tuple((task, 1 / len(TASKS)) for task in TASKS))
            calls = endless_calls(photos, mix, {"policy": POLICY}, first=10**6)
            capacity = throughput(cluster.address, calls, CAPACITY_S).answered_per_s
            rate = CAPACITY_SHARE * capacity
            print(f"capacity {capacity:.1f}/s; soaking at {rate:.1f}/s", file=sys.stderr)
        assert cluster.cache_server is not None  # without it there is no Redis to kill
        soak_plan = SoakPlan(60 * options.minutes, rate, seed=options.seed)
        soak = Soak(cluster.address, cluster.cache_server, questions, soak_plan)
        report = asyncio.run(soak.run())
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    print(_table(report.fates, report.memory_mib, report.memory_growth))
    print(f"{report.num_kills} replicas killed, {report.retried} requests sent again")
    print("\n".join(f"FAULT: {fault}" for fault in report.faults) or "no fault")
    return 1 if report.faults else 0


def _table(fates: dict[str, int], medians: Sequence[float], growth: float | None) -> str:
    lines = ["| what | requests |", "|---|---|", *(f"| {k} | {v} |" for k, v in fates.items())]
    memory = ", ".join(f"{mib:.0f}" for mib in medians)
    grown = "" if growth is None else f"; from the third to the last {growth:+.1%}"
    return "\n".join([*lines, "", f"memory by minute (MiB): {memory}{grown}"])


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.soak", epilog=EXAMPLE,
        description="Loads a service for minutes while its replicas and its Redis are killed.",
    )  # fmt: skip
    add = parser.add_argument
    add("--minutes", type=float, default=10.0, help="how long")
    add("--rate", type=float, help="requests per second; 80 %% of what it can do when absent")
    add("--replicas", type=int, default=2, help="replicas, one thread each")
    add("--checkpoint", type=Path, help="folder of the model; the shipped one when absent")
    add(
        "--out",
        type=Path,
        default=Path("docs/results/service/soak.json"),
        help="where the report goes",
    )
    add("--seed", type=int, default=0, help="of all choices")
    return parser


if __name__ == "__main__":
    sys.exit(main())
