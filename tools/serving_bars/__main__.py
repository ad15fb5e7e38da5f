"""``python -m tools.serving_bars``: measures the service against its bars on this machine.

Each measurement starts and stops its own service. Results go into
docs/results/service/serving.json, one record per measurement, and docs/serving.md is made of them.
Exit codes: 0 measured, 2 wrong usage.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from model_core.config import CONFIG_ROOT
from serve.load.photos import PhotoSource
from serve.settings import prepare_environment
from tools.serving_bars.page import BARS_FILE, SOAK, TITLES, write_service_page
from tools.serving_bars.records import Record, keep_records
from tools.serving_bars.stand import Plan

NAMES = [name for name in TITLES if name != SOAK]
EXAMPLE = "example: python -m tools.serving_bars --only cached,hop --seconds 10"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures what is asked for; returns the exit code."""
    options = _make_parser().parse_args(arguments)
    names = options.only.split(",") if options.only else NAMES
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"serving_bars: unknown {unknown}; one of {', '.join(NAMES)}", file=sys.stderr)
        return 2
    prepare_environment(CONFIG_ROOT.parent)
    try:
        photos = _photos(options)
        for name in names:
            print(f"== {name}", file=sys.stderr, flush=True)
            record = _measurements(options)[name](_plan(options, photos))
            conditions = {**record.conditions, "photos": photos.name}
            _keep(options.out, record.model_copy(update={"conditions": conditions}))
    except ValueError as error:
        print(f"serving_bars: {error}", file=sys.stderr)
        return 2
    return 0


def _keep(out: Path, record: Record) -> None:
    for check in record.checks:
        print(f"{record.name}: {check.what}: {check.value} (bar {check.limit:g}, {check.is_met})")
    keep_records(out / BARS_FILE, [record], NAMES)
    write_service_page(out)


def _measurements(options: argparse.Namespace) -> dict[str, Callable[[Plan], Record]]:
    """By name; imported here, because Ray reads its environment when it is imported."""
    from tools.serving_bars.batching import measure_batching
    from tools.serving_bars.burst import measure_burst, measure_governor
    from tools.serving_bars.capacities import measure_presets, measure_replicas
    from tools.serving_bars.hop import measure_cached, measure_hop

    return {
        "cached": measure_cached,
        "hop": measure_hop,
        "presets": measure_presets,
        "batching": measure_batching,
        "burst": lambda plan: measure_burst(plan, options.capacity, options.out),
        "governor": lambda plan: measure_governor(plan, options.capacity, options.out),
        "replicas": measure_replicas,
    }


def _plan(options: argparse.Namespace, photos: PhotoSource) -> Plan:
    settings = {} if options.checkpoint is None else {"checkpoint": options.checkpoint}
    return Plan(options.seconds, photos, settings, options.seed)


def _photos(options: argparse.Namespace) -> PhotoSource:
    if options.photos is None:
        return PhotoSource.generated(options.seed)
    return PhotoSource.from_folder(options.photos)


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.serving_bars", epilog=EXAMPLE,
        description="Measures the service against its bars; leave the machine alone meanwhile.",
    )  # fmt: skip
    add = parser.add_argument
    add("--only", metavar="NAMES", help=f"some of {', '.join(NAMES)}, separated by commas")
    add("--seconds", type=float, default=60.0, help="length of one run")
    add("--photos", type=Path, metavar="DIR", help="photos to send; generated ones when absent")
    add("--capacity", type=float, help="requests per second for the bursts; measured when absent")
    add("--checkpoint", type=Path, help="folder of the model; the shipped one when absent")
    add("--out", type=Path, default=Path("docs/results/service"), help="where results go")
    add("--seed", type=int, default=0, help="of times, tasks and photos")
    return parser


if __name__ == "__main__":
    sys.exit(main())
