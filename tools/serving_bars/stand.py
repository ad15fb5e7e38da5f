"""A service to measure: started on a free port, asked by a client of its own, and stopped."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from model_core.evaluation.results import current_commit
from serve.cluster.local_cluster import LocalCluster
from serve.cluster.ports import free_port
from serve.load.arrivals import Mix, Phase
from serve.load.calls import Call, Load, make_body
from serve.load.client import LoadClient, with_client
from serve.load.photos import PhotoSource
from serve.load.report import LoadReport, make_report, this_machine
from serve.load.run import run_open_loop
from serve.settings import ServeSettings
from tools.serving_bars.records import Check, Record


@dataclass(frozen=True)
class Plan:
    """How long to measure, and with what.

    Attributes:
        seconds: Of one run.
        photos: To send.
        settings: Of every service, by the names of ``ServeSettings``.
        seed: Of the loads.
    """

    seconds: float
    photos: PhotoSource
    settings: dict[str, Any]
    seed: int = 0


@contextmanager
def running(plan: Plan, num_replicas: int = 1, **settings: Any) -> Iterator[LocalCluster]:
    """A service on this machine, one thread per replica."""
    given = {**plan.settings, "api_port": free_port(), "log_level": "WARNING", **settings}
    options = {"num_replicas": num_replicas, "ray_actor_options": {"num_cpus": 1}}
    with LocalCluster(ServeSettings.resolve(given), options) as cluster:
        yield cluster


def endless_calls(
    photos: PhotoSource, mix: Mix, fields: dict[str, Any], path: str = "/v1/{task}", first: int = 0
) -> Iterator[Call]:
    """Calls with photos of their own; tasks alternate by their shares, the same way each time."""
    taken = dict.fromkeys((task for task, _ in mix.shares), 0.0)
    for index in itertools.count(first):
        for task, share in mix.shares:
            taken[task] += share
        task = max(taken, key=lambda name: taken[name])
        taken[task] -= 1.0
        body = make_body(task, photos.jpeg(index), fields, index)
        yield Call(0.0, task, path.format(task=task), body)


def offer(plan: Plan, url: str, phases: tuple[Phase, ...], fields: dict[str, Any]) -> LoadReport:
    """What the service did under an open load of captions."""
    load = Load(phases, Mix.parse("caption=1"), fields, seed=plan.seed)
    calls = load.calls(plan.photos)

    async def run(client: LoadClient) -> LoadReport:
        outcomes = await run_open_loop(client.send, calls)
        return make_report(outcomes, {"phases": [[one.rate, one.seconds] for one in phases]})

    return with_client(url, run)


def record(
    name: str,
    checks: list[Check],
    rows: list[dict[str, float | int | str | None]],
    conditions: dict[str, Any],
) -> Record:
    """A record of this machine and this code."""
    return Record(
        name=name,
        checks=checks,
        rows=rows,
        conditions=conditions,
        machine=this_machine(),
        commit=current_commit(),
    )
