"""Twice what the service can do, for a while: what is refused, how long answers take, and when it
is over; and the same with the governor, which lets quality give way first.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from serve.load.arrivals import Phase
from serve.load.plot import load_figure, save_figure
from serve.load.report import LoadReport, Second
from serve.load.saturate import throughput
from serve.settings import ServeSettings
from tools.serving_bars.capacities import CAPTIONS
from tools.serving_bars.records import Check, Record
from tools.serving_bars.stand import Plan, endless_calls, offer, record, running

POLICY = "balanced"
GOVERNED_POLICY, CHEAPEST = "quality", "fast"  # the widest range that presets offer
QUEUE_LIMIT = 64
DEADLINE_S = 10.0
CALM_S = 10.0  # before and, twice as long, after the burst
CALM_SHARE = 0.5
FIGURE = "burst.svg"
GOVERNOR = "governor"


@dataclass(frozen=True)
class Burst:
    """One burst: what came of it, and the longest queue that was seen."""

    report: LoadReport
    longest_queue: int
    start_s: float
    end_s: float

    @property
    def during(self) -> list[Second]:
        """Its seconds."""
        return [one for one in self.report.seconds if self.start_s <= one.second < self.end_s]


def recovery_s(burst: Burst, factor: float = 2.0) -> float | None:
    """Seconds from the end of a burst until every later second is as before it.

    As before: nothing refused or failed, and p95 within ``factor`` of the slowest second before.
    None when it never is.
    """
    before = [one.p95_ms for one in burst.report.seconds if one.second < burst.start_s]
    usual = max(value for value in before if value is not None)
    after = [one for one in burst.report.seconds if one.second >= burst.end_s]
    bad = [
        one.second
        for one in after
        if one.num_refused or one.num_failed or (one.p95_ms or 0.0) > factor * usual
    ]
    if not after or (bad and bad[-1] == after[-1].second):
        return None
    return max(0.0, bad[-1] + 1 - burst.end_s) if bad else 0.0


def measure_burst(plan: Plan, capacity: float | None = None, folder: Path | None = None) -> Record:
    """A burst without the governor."""
    burst = run_burst(plan, capacity, {"policy": POLICY})
    _draw(folder, [("burst", burst.report)])
    conditions = _conditions(plan, burst, POLICY)
    return record("burst", _checks(burst), [_row("burst", burst)], conditions)


def measure_governor(
    plan: Plan, capacity: float | None = None, folder: Path | None = None
) -> Record:
    """The same burst with the governor off and on.

    Raises:
        ValueError: This service has no governor.
    """
    if GOVERNOR not in ServeSettings.model_fields:
        raise ValueError(f"governor: the settings have no field {GOVERNOR!r}")
    fields = {"policy": GOVERNED_POLICY, "min_quality": CHEAPEST}
    off = run_burst(plan, capacity, fields)
    on = run_burst(plan, off.report.conditions["capacity"], fields, {GOVERNOR: True})
    _draw(folder, [("governor off", off.report), ("governor on", on.report)])
    ratio = _share_refused(on) / _share_refused(off) if _share_refused(off) else None
    check = Check(
        what="share refused, governor on over off", value=ratio, limit=1.0, is_at_most=True
    )
    rows = [_row("off", off), _row("on", on)]
    conditions = _conditions(plan, off, f"{GOVERNED_POLICY}, down to {CHEAPEST}")
    return record("governor", [check], rows, conditions)


def run_burst(
    plan: Plan, capacity: float | None, fields: dict[str, str], settings: Mapping[str, Any] = {}
) -> Burst:
    """Calm, a burst at twice the capacity, calm; the capacity is measured when None.

    Args:
        plan: How long, with which photos.
        capacity: Requests per second.
        fields: Of every request.
        settings: Of the service.
    """
    limits: dict[str, Any] = {"queue_limit": QUEUE_LIMIT, "request_timeout_s": DEADLINE_S}
    with running(plan, 1, cache=False, **limits, **settings) as cluster:
        if capacity is None:
            calls = endless_calls(plan.photos, CAPTIONS, {"policy": fields["policy"]})
            capacity = throughput(cluster.address, calls, min(15.0, plan.seconds)).answered_per_s
        calm = capacity * CALM_SHARE
        phases = (
            *(Phase(calm, CALM_S), Phase(2 * capacity, plan.seconds), Phase(calm, 2 * CALM_S)),
        )
        with QueueWatch(cluster.address) as watch:
            report = offer(plan, cluster.address, phases, fields)
    report = report.model_copy(update={"conditions": {"capacity": capacity}})
    return Burst(report, watch.longest, CALM_S, CALM_S + plan.seconds)


class QueueWatch:
    """Asks for the length of the queue four times a second, from a thread of its own."""

    def __init__(self, url: str) -> None:
        self.longest = 0
        self._url = url
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "QueueWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(timeout=10)

    def _watch(self) -> None:
        with httpx.Client(base_url=self._url, timeout=5.0, trust_env=False) as client:
            while not self._is_over.wait(0.25):
                try:
                    length = client.get("/healthz").json()["queue_length"]
                except (httpx.HTTPError, ValueError, KeyError):
                    continue
                self.longest = max(self.longest, length)


def _checks(burst: Burst) -> list[Check]:
    report = burst.report
    latencies = report.total.latencies
    other = sum(num for status, num in report.statuses.items() if status not in (200, 429))
    values: list[tuple[str, float | None, float, bool]] = [
        ("longest queue", burst.longest_queue, QUEUE_LIMIT, True),
        ("answers other than 200 and 429", other, 0, True),
        ("refusals with Retry-After (share)", report.retry_after_fraction, 1.0, False),
        (
            "p95 of admitted (ms)",
            None if latencies is None else latencies.p95_ms,
            1e3 * DEADLINE_S,
            True,
        ),
        ("back to normal (s)", recovery_s(burst), 10.0, True),
    ]
    return [
        Check(what=what, value=value, limit=limit, is_at_most=is_at_most)
        for what, value, limit, is_at_most in values
    ]


def _share_refused(burst: Burst) -> float:
    num_due = sum(one.num_due for one in burst.during)
    return sum(one.num_refused for one in burst.during) / num_due


def _row(name: str, burst: Burst) -> dict[str, float | int | str | None]:
    latencies = burst.report.total.latencies
    return {
        "": name,
        "calls": burst.report.total.num,
        "refused in the burst (share)": _share_refused(burst),
        "answers/s in the burst": sum(one.num_ok for one in burst.during)
        / (burst.end_s - burst.start_s),
        "p50 ms": None if latencies is None else latencies.p50_ms,
        "p95 ms": None if latencies is None else latencies.p95_ms,
        "layers saved": burst.report.layers_saved,
        "back to normal (s)": recovery_s(burst),
    }


def _conditions(plan: Plan, burst: Burst, policy: str) -> dict[str, float | str]:
    capacity = burst.report.conditions["capacity"]
    return {"capacity per s": capacity, "seconds of the burst": plan.seconds, "policy": policy}


def _draw(folder: Path | None, reports: list[tuple[str, LoadReport]]) -> None:
    if folder is not None:
        save_figure(load_figure(reports), folder / FIGURE)
