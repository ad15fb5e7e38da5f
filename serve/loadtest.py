"""``python -m serve.loadtest``: an open-loop load on a running service, and what came of it.

Tables go to stdout, messages to stderr. Exit codes: 0 done, 1 the service does not answer, 2 wrong
usage. What the numbers mean is in ``serve/load``.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from serve.load.arrivals import Mix, Phase
from serve.load.calls import Load
from serve.load.client import LoadClient, RetryRule
from serve.load.highest_rate import Bound, highest_rate
from serve.load.photos import PhotoSource
from serve.load.plot import load_figure, save_figure
from serve.load.report import LoadReport, make_report
from serve.load.run import run_open_loop
from serve.load.table import load_table

EXAMPLE = """example: python -m serve.loadtest --rate 20 --seconds 30 --policy balanced \\
  --mix caption=0.7,entailment=0.2,tags=0.1 --out load.json --plot load.svg"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the load; returns the exit code."""
    options = make_parser().parse_args(arguments)
    try:
        return _run(options)
    except ValueError as error:
        print(f"loadtest: {error}", file=sys.stderr)
        return 2
    except httpx.HTTPError as error:
        print(f"loadtest: {options.url} does not answer: {error!r}", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    photos = read_photos(options)
    headers = read_headers(options)
    load_of(options, options.rate, 0)  # wrong options are told before the service is asked
    check_service(options.url)
    if options.find_capacity:
        return _find_capacity(options, photos, headers)
    _show(options, measure(options, options.rate, photos, headers))
    return 0


def measure(
    options: argparse.Namespace, rate: float, photos: PhotoSource, headers: dict[str, str]
) -> LoadReport:
    """One run at one rate."""
    load = load_of(options, rate, options.seed)
    calls = load.calls(photos)

    async def run() -> LoadReport:
        retries = RetryRule(options.retries, options.retries)
        async with LoadClient(options.url, headers, options.timeout, retries) as client:
            outcomes = await run_open_loop(client.send, calls)
        return make_report(outcomes, _conditions(options, rate))

    return asyncio.run(run())


def _find_capacity(
    options: argparse.Namespace, photos: PhotoSource, headers: dict[str, str]
) -> int:
    bound = Bound(options.p95_ms)

    def run(rate: float) -> LoadReport:
        options.seed += 1  # other photos: what was answered before is in the cache
        report = measure(options, rate, photos, headers)
        verdict = "holds" if bound.holds(report) else "does not hold"
        p95 = f"{report.total.latencies.p95_ms:.0f} ms" if report.total.latencies else "-"
        print(f"{rate:.1f}/s {verdict}: p95 {p95}", file=sys.stderr)
        return report

    found = highest_rate(run, options.rate, bound.holds)
    print(f"highest rate with p95 below {bound.p95_ms:g} ms: {found.rate:.1f}/s\n")
    if found.run is not None:
        _show(options, found.run)
    return 0


def _show(options: argparse.Namespace, report: LoadReport) -> None:
    print(load_table(report))
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    if options.plot is not None:
        title = f"{report.conditions['policy'] or 'default policy'}, {report.offered_per_s:.1f}/s"
        save_figure(load_figure([(title, report)]), options.plot)


def load_of(options: argparse.Namespace, rate: float, seed: int) -> Load:
    """The load that the options describe.

    Raises:
        ValueError: An option cannot be used.
    """
    fields: dict[str, Any] = {}
    if options.policy is not None:
        fields["policy"] = options.policy
    if options.min_quality is not None:
        fields["min_quality"] = options.min_quality
    return Load(
        (Phase(rate, options.seconds),),
        Mix.parse(options.mix),
        fields,
        options.cached_fraction,
        seed,
    )


def read_photos(options: argparse.Namespace) -> PhotoSource:
    """Photos of the folder, or generated ones.

    Raises:
        ValueError: The folder holds none.
    """
    if options.photos is None:
        return PhotoSource.generated(options.seed)
    return PhotoSource.from_folder(options.photos)


def read_headers(options: argparse.Namespace) -> dict[str, str]:
    """Headers of every request.

    Raises:
        ValueError: The file of the key cannot be read, or is empty.
    """
    headers = {"cache-control": "no-cache, no-store"} if options.no_cache else {}
    if options.api_key_file is None:
        return headers
    try:
        words = options.api_key_file.read_text(encoding="utf-8").split()
    except OSError as error:
        raise ValueError(f"{options.api_key_file}: cannot be read ({error.strerror})") from error
    if not words:
        raise ValueError(f"{options.api_key_file}: holds no key")
    return {**headers, "authorization": f"Bearer {words[0]}"}


def check_service(url: str) -> None:
    """Returns when the service is ready.

    Raises:
        httpx.HTTPError: It is not, or nobody answers there.
    """
    httpx.get(f"{url}/readyz", timeout=10.0, trust_env=False).raise_for_status()


def _conditions(options: argparse.Namespace, rate: float) -> dict[str, Any]:
    names = ("seconds", "mix", "policy", "min_quality", "cached_fraction", "no_cache", "seed")
    chosen = {name: getattr(options, name) for name in names}
    return {"rate": rate, "photos": "generated" if options.photos is None else "folder", **chosen}


def make_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m serve.loadtest", epilog=EXAMPLE,
        description="Offers an open-loop load to a running service and reports what came of it.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--url", default="http://127.0.0.1:8000", help="where the service answers")
    add("--rate", type=float, default=10.0, help="requests per second, on average")
    add("--seconds", type=float, default=30.0, help="length of a run")
    add("--mix", default="caption=0.7,entailment=0.2,tags=0.1", help="shares of the tasks")
    add("--policy", help="preset of every request; the service's default when absent")
    add("--min-quality", help="cheapest preset that a busy service may use instead")
    add("--photos", type=Path, metavar="DIR", help="photos to send; generated ones when absent")
    add("--cached-fraction", type=float, default=0.0, help="share that repeats an earlier one")
    add("--no-cache", action="store_true", help="ask the service not to use its cache")
    add("--retries", type=int, default=0, help="times a refused or broken request is sent again")
    add("--timeout", type=float, default=60.0, help="seconds to wait for an answer")
    add("--api-key-file", type=Path, metavar="FILE", help="file with the bearer key")
    add("--find-capacity", action="store_true", help="search the highest rate, from --rate on")
    add("--p95-ms", type=float, default=1000.0, help="what p95 has to stay below in that search")
    add("--seed", type=int, default=0, help="of times, tasks and photos")
    add("--out", type=Path, metavar="FILE", help="write the report as JSON")
    add("--plot", type=Path, metavar="FILE", help="draw the run, as .svg or .png")
    return parser


if __name__ == "__main__":
    sys.exit(main())
