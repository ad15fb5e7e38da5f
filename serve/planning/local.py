"""Measurements that need replicas: a service on this machine, one thread per replica."""

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from typing import Any

import psutil

from model_core.config import CONFIG_ROOT
from model_core.predictor import Predictor
from serve.cluster.ports import free_port
from serve.load.arrivals import Mix, Phase
from serve.load.calls import Load
from serve.load.photos import PhotoSource
from serve.planning.costs import Costs
from serve.planning.measure import CostMeter, measure_way
from serve.planning.plan import saturation_rate
from serve.planning.simulation import Shape
from serve.planning.validate import (
    OVERLOAD,
    Comparison,
    calls_of,
    compare,
    offer,
    with_handling,
)
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
    """Costs of the engine in this process, and of the way to one replica of this shape.

    What HTTP takes from a busy engine is what its answers per second under too much load leave
    unexplained; so this one number of a single replica is fitted, and not foretold. Beside the
    engine runs what the machine's cores did meanwhile, but for the engine's one.
    """
    meter = CostMeter(predictor, photos, options.policy)
    mix = Mix.parse(options.mix)
    costs = meter.measure([task for task, _ in mix.shares], options.repeats)
    with running(shape, checkpoint=options.checkpoint) as url:
        way = measure_way(url, photos, options.policy, meter.answer_ms, options.requests)
        rate = OVERLOAD * saturation_rate(costs, shape, mix)
        phases = (Phase(rate, options.seconds),)
        calls = Load(phases, mix, {"policy": options.policy}).calls(photos)
        started_s, busy_before_s = time.monotonic(), _busy_core_s()
        report = offer(url, calls, rate)
        beside_s = _busy_core_s() - busy_before_s - (time.monotonic() - started_s)
    costs = costs.model_copy(
        update={
            "way_ms": max(0.0, way.more_ms),
            "cached_ms": way.cached_ms,
            "beside_ms": 1e3 * max(0.0, beside_s) / max(1, report.total.num_ok),
            "request_bytes": way.request_bytes,
            "answer_bytes": way.answer_bytes,
        }
    )
    return with_handling(costs, shape, mix, report.answered_per_s)


def compare_here(
    costs: Costs, shape: Shape, mix: Mix, photos: PhotoSource, options: argparse.Namespace
) -> list[Comparison]:
    """The simulation beside so many replicas."""
    with running(shape, checkpoint=options.checkpoint) as url:
        calls_at = calls_of(photos, mix, costs.policy)
        rate = saturation_rate(costs, shape, mix) / 2
        offer(url, calls_at(rate, min(WARM_S, options.seconds)), rate)
        offer_here = partial(offer, url)
        return compare(costs, shape, mix, options.seconds, calls_at, offer_here, os.cpu_count())


def _busy_core_s() -> float:
    """Seconds that this machine's cores have worked, since it started."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))
