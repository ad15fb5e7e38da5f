"""``python -m serve.capacity``: what a service costs, simulated and planned from measured costs.

``measure`` times the parts, ``simulate`` and ``plan`` need nothing but the file that it writes,
``validate`` holds the simulation against replicas on this machine, ``page`` fills the tables of
docs/scaling.md. Exit codes: 0 done, 1 the simulation is off by more than the bound, 2 wrong usage.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from model_core.checkpoint import default_checkpoint
from model_core.predictor import Predictor
from serve.load.arrivals import Mix
from serve.load.photos import PhotoSource
from serve.planning.page import CapacityFile, fill_page, read_capacity
from serve.planning.plan import Goal, Limits, Planned, plan_rate, saturation_rate
from serve.planning.simulation import Demand, Shape, simulate
from serve.planning.tables import comparison_table, costs_table, plan_table, simulated_table

DEFAULT_MIX = "caption=0.7,entailment=0.2,tags=0.1"
DEFAULT_FILE = Path("docs/results/service/capacity.json")
EXAMPLE = """examples:
  python -m serve.capacity measure --out docs/results/service/capacity.json
  python -m serve.capacity validate --replicas 1,2 --seconds 60
  python -m serve.capacity plan --rates 10,100,1000 --p95-ms 500"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one of the commands; returns the exit code."""
    options = make_parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except ValueError as error:
        print(f"capacity: {error}", file=sys.stderr)
        return 2


def run_measure(options: argparse.Namespace) -> int:
    """Measures costs, and writes them."""
    from serve.planning.local import measure_here

    photos = read_photos(options)
    predictor = Predictor.load(options.checkpoint or default_checkpoint())
    costs = measure_here(predictor, photos, options, _shape(options, 1))
    CapacityFile(costs=costs).write(options.out)
    print(costs_table(costs))
    return 0


def run_simulate(options: argparse.Namespace) -> int:
    """One rate on some replicas."""
    costs = read_capacity(options.costs).costs
    demand = Demand(
        options.rate, options.seconds, Mix.parse(options.mix), options.hit_fraction, options.seed
    )
    found = simulate(costs, _shape(options, options.replicas), demand)
    print(simulated_table(options.rate, options.replicas, found))
    return 0


def run_plan(options: argparse.Namespace) -> int:
    """Replicas for several rates; the plan is kept in the file."""
    file = read_capacity(options.costs)
    goal = Goal(Mix.parse(options.mix), options.p95_ms, options.hit_fraction)
    shape = _shape(options, 1)
    limits = Limits(options.proxy_limit, options.redis_limit, options.network_limit)
    rates = [float(rate) for rate in options.rates.split(",")]
    plans: list[Planned] = [plan_rate(file.costs, shape, goal, rate, limits) for rate in rates]
    table = plan_table(plans)
    saturated = saturation_rate(file.costs, shape, goal.mix)
    print(f"one replica: {saturated:.1f} answers/s when it never waits\n\n{table}")
    words = (
        f"{options.mix}, {options.hit_fraction:.0%} from the cache, p95 below {goal.p95_ms:g} ms"
    )
    file.with_plan(words, table).write(options.costs)
    return 0


def run_validate(options: argparse.Namespace) -> int:
    """Simulated beside measured; the comparison, and the costs fitted for it, go into the file."""
    from serve.planning.local import compare_here

    file = read_capacity(options.costs)
    mix = Mix.parse(options.mix)
    shapes = [_shape(options, int(text)) for text in options.replicas.split(",")]
    costs, comparisons = compare_here(file.costs, mix, shapes, read_photos(options), options)
    print(comparison_table(comparisons))
    file.with_comparisons(costs, comparisons).write(options.costs)
    worst = max(abs(one.error) for one in comparisons)
    print(f"\nlargest error {worst:.0%}; the bound is {options.bound:.0%}")
    return 0 if worst <= options.bound else 1


def run_page(options: argparse.Namespace) -> int:
    """Fills the tables of a page from the file."""
    fill_page(options.page, read_capacity(options.costs))
    return 0


def read_photos(options: argparse.Namespace) -> PhotoSource:
    """Photos of the folder, or generated ones."""
    if options.photos is None:
        return PhotoSource.generated(0)
    return PhotoSource.from_folder(options.photos)


def _shape(options: argparse.Namespace, num_replicas: int) -> Shape:
    limits = (options.slots, options.max_admit, options.queue_limit, options.max_admit_s)
    return Shape(num_replicas, *limits)


def make_parser() -> argparse.ArgumentParser:
    """The options of the commands."""
    parser = argparse.ArgumentParser(
        prog="python -m serve.capacity", epilog=EXAMPLE,
        description="Measures what a service costs, simulates it, and plans with it.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    measure = _command(commands, "measure", "times the parts of a replica's work", run_measure)
    measure.add_argument("--out", type=Path, default=DEFAULT_FILE, help="where costs go")
    measure.add_argument("--policy", default="balanced", help="preset that is measured")
    measure.add_argument("--repeats", type=int, default=5, help="of every batch")
    measure.add_argument("--requests", type=int, default=40, help="over HTTP, one at a time")
    found = _command(commands, "simulate", "what replicas do under a rate", run_simulate)
    found.add_argument("--rate", type=float, required=True, help="requests per second")
    found.add_argument("--replicas", type=int, default=1, help="how many")
    found.add_argument("--hit-fraction", type=float, default=0.0, help="share from the cache")
    found.add_argument("--seed", type=int, default=0, help="of all choices")
    plan = _command(commands, "plan", "how many replicas rates need", run_plan)
    plan.add_argument("--rates", default="10,100,1000", help="requests per second")
    plan.add_argument("--p95-ms", type=float, default=1000.0, help="what p95 stays below")
    plan.add_argument("--hit-fraction", type=float, default=0.0, help="share from the cache")
    _add_limits(plan)
    validate = _command(commands, "validate", "the simulation beside replicas", run_validate)
    validate.add_argument("--replicas", default="1,2", help="how many, one after the other")
    validate.add_argument("--bound", type=float, default=0.15, help="largest relative error")
    page = _command(commands, "page", "fills the tables of docs/scaling.md", run_page)
    page.add_argument("--page", type=Path, default=Path("docs/scaling.md"), help="the page")
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    text: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("--costs", type=Path, default=DEFAULT_FILE, help="what measure has written")
    add("--mix", default=DEFAULT_MIX, help="shares of the tasks")
    add("--seconds", type=float, default=60.0, help="length of one run")
    shape = Shape()
    add("--slots", type=int, default=shape.num_slots, help="of a replica")
    add("--max-admit", type=int, default=shape.max_admit_per_step,
        help="requests encoded between two steps")  # fmt: skip
    add("--max-admit-s", type=float, default=shape.max_admit_s_per_step,
        help="seconds of encoding between two steps")  # fmt: skip
    add("--queue-limit", type=int, default=shape.queue_limit,
        help="requests that may wait in a replica")  # fmt: skip
    add("--photos", type=Path, metavar="DIR", help="photos to send; generated ones when absent")
    add("--checkpoint", type=Path, help="folder of the model; the shipped one when absent")
    return parser


def _add_limits(parser: argparse.ArgumentParser) -> None:
    limits = Limits()
    add = parser.add_argument
    add("--proxy-limit", type=float, default=limits.proxy_requests, help="requests per second")
    add("--redis-limit", type=float, default=limits.redis_calls, help="calls per second")
    add("--network-limit", type=float, default=limits.network_bytes, help="bytes per second")


if __name__ == "__main__":
    sys.exit(main())
