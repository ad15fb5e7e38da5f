"""``python -m tools.soak``: a service under load for minutes, while parts of it are killed.

Prints its record, writes it to docs/results/service/soak.json and onto docs/serving.md, and ends
with 0 when the service did nothing wrong, 1 when it did, 2 on wrong usage.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from model_core.checkpoint import default_checkpoint
from model_core.config import CONFIG_ROOT
from model_core.predictor import Predictor
from serve.cache.backends import EmbeddedServer
from serve.load.arrivals import Mix
from serve.load.photos import PhotoSource
from serve.load.saturate import throughput
from serve.settings import prepare_environment
from tools.serving_bars.page import SOAK, SOAK_FILE, TITLES, bars_page, write_service_page
from tools.serving_bars.records import keep_records
from tools.soak.proxy_thread import ProxyThread
from tools.soak.questions import TASKS, known_questions

if TYPE_CHECKING:
    from tools.serving_bars.stand import Plan

POLICY = "balanced"
CAPACITY_SHARE = 0.8
CAPACITY_S = 15.0
WARM_S = 3.0
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
    from tools.serving_bars.stand import Plan, running
    from tools.soak.record import soak_record
    from tools.soak.run import Soak, SoakPlan

    photos = PhotoSource.generated(options.seed)
    checkpoint = options.checkpoint or default_checkpoint()
    questions = known_questions(Predictor.load(checkpoint), photos, NUM_PHOTOS, POLICY)
    stand = Plan(CAPACITY_S, photos, {"checkpoint": checkpoint}, options.seed)
    with closing(EmbeddedServer()) as server, ProxyThread(server.url) as proxy:
        redis = {"redis_url": SecretStr(proxy.url), "cache_backend_name": "embedded"}
        with running(stand, options.replicas, **redis) as cluster:
            plan = SoakPlan(60 * options.minutes, options.rate or 0.0, seed=options.seed)
            conditions: dict[str, float | int] = {"replicas": options.replicas}
            if options.rate is None:
                conditions["capacity per s"] = _capacity(stand, cluster.address)
                rate = CAPACITY_SHARE * conditions["capacity per s"] / plan.computed_fraction
                plan = replace(plan, rate=rate)
            soak = Soak(cluster.address, server, questions, plan, proxy)
            report = asyncio.run(soak.run())
    found = soak_record(report, conditions)
    keep_records(options.out / SOAK_FILE, [found], [SOAK])
    write_service_page(options.out)
    print(bars_page([found], TITLES, []))
    print("\n".join(f"FAULT: {fault}" for fault in report.faults) or "no fault")
    return 1 if report.faults else 0


def _capacity(stand: "Plan", url: str) -> float:
    """Answers per second that the model computes when nobody pauses."""
    from tools.serving_bars.stand import endless_calls

    mix = Mix(tuple((task, 1 / len(TASKS)) for task in TASKS))
    calls = endless_calls(stand.photos, mix, {"policy": POLICY}, first=10**6)
    throughput(url, calls, WARM_S)
    found = throughput(url, calls, stand.seconds).answered_per_s
    print(f"capacity {found:.1f} computed answers/s", file=sys.stderr)
    return found


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.soak", epilog=EXAMPLE,
        description="Loads a service for minutes while its replicas and its Redis are killed.",
    )  # fmt: skip
    add = parser.add_argument
    add("--minutes", type=float, default=10.0, help="how long")
    add("--rate", type=float, help="requests per second; when absent, so many that the model has"
        " to answer 80 %% of what it can")  # fmt: skip
    add("--replicas", type=int, default=2, help="replicas, one thread each")
    add("--checkpoint", type=Path, help="folder of the model; the shipped one when absent")
    add("--out", type=Path, default=Path("docs/results/service"), help="where the record goes")
    add("--seed", type=int, default=0, help="of all choices")
    return parser


if __name__ == "__main__":
    sys.exit(main())
