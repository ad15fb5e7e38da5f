"""Measurements that need replicas: a service on this machine, one thread per replica."""

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import psutil

from model_core.config import CONFIG_ROOT
from model_core.predictor import Predictor
from serve.cluster.ports import free_port
from serve.load.arrivals import Mix
from serve.load.photos import PhotoSource
from serve.planning.costs import Costs
from serve.planning.measure import CostMeter, measure_way
from serve.planning.simulation import Shape
from serve.planning.validate import Comparison, RunningService, compare, with_handling
from serve.settings import ServeSettings, prepare_environment

WARM_S = 5.0


@contextmanager
def running(shape: Shape, **values: Any) -> Iterator[str]:
    """The address of a service of this shape that runs meanwhile."""
    prepare_environment(CONFIG_ROOT.parent)
    # Ray reads its environment when it is imported.
    from serve.cluster.local_cluster import LocalCluster

    limits = {field.name: getattr(shape, field.name) for field in fields(shape)}
    given = {"api_port": free_port(), "log_level": "WARNING", **limits, **values}
    settings = ServeSettings.resolve(given)
    options = {"ray_actor_options": {"num_cpus": 1}}
    with LocalCluster(settings, options) as cluster:
        yield cluster.address


def measure_here(
    predictor: Predictor,
    photos: PhotoSource,
    options: argparse.Namespace,
    shape: Shape,
) -> Costs:
    """Costs of the engine in this process, and of the way to one replica of this shape."""
    meter = CostMeter(predictor, photos, options.policy)
    mix = Mix.parse(options.mix)
    costs = meter.measure([task for task, _ in mix.shares], options.repeats)
    with running(shape, checkpoint=options.checkpoint) as url:
        way = measure_way(url, photos, options.policy, meter.answer_ms, options.requests)
        service = RunningService(url, photos, mix, options.policy, shape)
        service.saturate(min(WARM_S, options.seconds))
        costs = costs.model_copy(
            update={
                "way_ms": max(0.0, way.more_ms),
                "cached_ms": way.cached_ms,
                "request_bytes": way.request_bytes,
                "answer_bytes": way.answer_bytes,
            }
        )
        return fit_to_busy_replica(costs, shape, mix, service, options.seconds)


def fit_to_busy_replica(
    costs: Costs, shape: Shape, mix: Mix, service: RunningService, seconds: float
) -> Costs:
    """The costs with what HTTP takes from a busy engine, and what runs beside it.

    The former is what one replica's answers per second, when nobody pauses, leave unexplained: a
    number that is fitted, and not foretold. Beside the engine runs what the machine's cores did
    meanwhile, but for the engine's one.
    """
    started_s, busy_before_s = time.monotonic(), _busy_core_s()
    answered_per_s = service.saturate(seconds)
    elapsed_s = time.monotonic() - started_s
    beside_s = _busy_core_s() - busy_before_s - elapsed_s
    beside_ms = 1e3 * max(0.0, beside_s) / max(1.0, answered_per_s * elapsed_s)
    fitted = costs.model_copy(update={"beside_ms": beside_ms})
    return with_handling(fitted, shape, mix, answered_per_s)


def compare_here(
    costs: Costs,
    mix: Mix,
    shapes: Sequence[Shape],
    photos: PhotoSource,
    options: argparse.Namespace,
) -> tuple[Costs, list[Comparison]]:
    """The simulation beside replicas of each shape, and the costs it used: where one replica is
    among them, they are fitted to it first, since a shared machine changes from hour to hour.
    """
    found: list[Comparison] = []
    for shape in shapes:
        with running(shape, checkpoint=options.checkpoint) as url:
            service = RunningService(url, photos, mix, costs.policy, shape)
            service.saturate(min(WARM_S, options.seconds))
            if shape.num_replicas == 1:
                costs = fit_to_busy_replica(costs, shape, mix, service, options.seconds)
            found += compare(costs, shape, mix, options.seconds, service, os.cpu_count())
    return costs, found


def _busy_core_s() -> float:
    """Seconds that this machine's cores have worked, since it started."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))
