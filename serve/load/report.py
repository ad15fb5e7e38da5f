"""A run in numbers: per task and in all, with its conditions, and second by second."""

import os
import platform
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from serve.load.latencies import Latencies, percentile
from serve.load.outcome import REFUSED, Outcome


class Frozen(BaseModel):
    """Base of the parts of a report."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskLoad(Frozen):
    """One task, or all of them: ``latencies`` are those of answers alone."""

    num: int
    num_ok: int
    num_refused: int
    num_failed: int
    latencies: Latencies | None


class Second(Frozen):
    """Calls that were due in one second; ``p95_ms`` of their answers, None without any."""

    second: int
    num_due: int
    num_ok: int
    num_refused: int
    num_failed: int
    p95_ms: float | None


class Machine(Frozen):
    """Where it was measured."""

    processor: str
    num_cores: int
    python: str


class LoadReport(Frozen):
    """What a service did under a load.

    Attributes:
        conditions: What was offered, by the command's own words.
        machine: Where.
        offered_per_s: Calls per second of the schedule.
        answered_per_s: Answers per second, up to the last one.
        statuses: How many calls ended with which status; 0: no answer.
        caches: How many answers had which cache state.
        presets: How many answers ran under which preset.
        layers_saved: Share of layers that computed answers did not run.
        retry_after_fraction: Share of refusals that say when to come back; None without any.
        lag_p99_ms: How late calls were sent; the machine cannot offer this load when it is large.
        total: All tasks.
        tasks: By task.
        seconds: The course of the run.
    """

    conditions: dict[str, Any]
    machine: Machine
    offered_per_s: float
    answered_per_s: float
    statuses: dict[int, int]
    caches: dict[str, int]
    presets: dict[str, int]
    layers_saved: float | None
    retry_after_fraction: float | None
    lag_p99_ms: float
    total: TaskLoad
    tasks: dict[str, TaskLoad]
    seconds: list[Second]


def make_report(outcomes: Sequence[Outcome], conditions: dict[str, Any]) -> LoadReport:
    """The report of a run.

    Raises:
        ValueError: Nothing was sent.
    """
    if not outcomes:
        raise ValueError("the run had no call: raise --rate or --seconds")
    answers = [outcome for outcome in outcomes if outcome.is_ok]
    refusals = [outcome for outcome in outcomes if outcome.status == REFUSED]
    last_end_s = max((outcome.end_s for outcome in answers), default=0.0)
    told = [outcome for outcome in refusals if outcome.retry_after_s is not None]
    names = sorted({outcome.task for outcome in outcomes})
    return LoadReport(
        conditions=conditions,
        machine=this_machine(),
        offered_per_s=len(outcomes) / max(outcome.due_s for outcome in outcomes),
        answered_per_s=len(answers) / last_end_s if answers else 0.0,
        statuses=dict(sorted(Counter(outcome.status for outcome in outcomes).items())),
        caches=dict(sorted(Counter(outcome.cache for outcome in answers).items())),
        presets=dict(sorted(Counter(outcome.preset for outcome in answers).items())),
        layers_saved=_layers_saved(answers),
        retry_after_fraction=len(told) / len(refusals) if refusals else None,
        lag_p99_ms=1e3 * percentile([outcome.lag_s for outcome in outcomes], 0.99),
        total=_task_load(outcomes),
        tasks={name: _task_load([one for one in outcomes if one.task == name]) for name in names},
        seconds=_seconds(outcomes),
    )


def this_machine() -> Machine:
    """The processor, its cores that we may use, and Python's version."""
    return Machine(
        processor=platform.processor() or platform.machine(),
        num_cores=len(os.sched_getaffinity(0)),
        python=platform.python_version(),
    )


def _task_load(outcomes: Sequence[Outcome]) -> TaskLoad:
    ok = [outcome.latency_s for outcome in outcomes if outcome.is_ok]
    num_refused = sum(outcome.status == REFUSED for outcome in outcomes)
    return TaskLoad(
        num=len(outcomes),
        num_ok=len(ok),
        num_refused=num_refused,
        num_failed=len(outcomes) - len(ok) - num_refused,
        latencies=Latencies.of(ok),
    )


def _layers_saved(answers: Sequence[Outcome]) -> float | None:
    pairs = [(one.layers_run, one.layers_full) for one in answers]
    known = [(run, full) for run, full in pairs if run is not None and full]
    if not known:
        return None
    return 1.0 - sum(run for run, _ in known) / sum(full for _, full in known)


def _seconds(outcomes: Sequence[Outcome]) -> list[Second]:
    groups: dict[int, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(int(outcome.due_s), []).append(outcome)
    return [_second(second, group) for second, group in sorted(groups.items())]


def _second(second: int, outcomes: Sequence[Outcome]) -> Second:
    load = _task_load(outcomes)
    return Second(
        second=second,
        num_due=load.num,
        num_ok=load.num_ok,
        num_refused=load.num_refused,
        num_failed=load.num_failed,
        p95_ms=None if load.latencies is None else load.latencies.p95_ms,
    )
