"""The thin Ray wrapper: one replica is the HTTP ingress and the engine in one process.

``build_app`` is what ``serve run`` and ``serve deploy`` call with the ``args`` of a file in
``configs/serve``; ``python -m serve`` calls ``bind_app`` with settings it has already resolved.
"""

import logging
from collections.abc import Mapping
from typing import Any

import ray.serve as ray_serve
from fastapi import FastAPI
from ray.serve import Application

from model_core.checkpoint import default_checkpoint
from model_core.predictor import Predictor
from serve.cache.result_cache import ResultCache
from serve.engine import Engine, EngineLimits
from serve.errors import OverloadedError
from serve.http.api import create_app
from serve.policies.live_config import LiveConfig
from serve.service import Service
from serve.settings import ServeSettings
from serve.telemetry.logs import configure_logging
from serve.telemetry.metrics_server import start_metrics_server
from serve.telemetry.tracing import make_tracing

logger = logging.getLogger(__name__)

DEPLOYMENT_NAME = "offramp"
# For a replica to stop once the requests in flight have ended.
STOP_S = 5.0
# A replica that died is missed, and replaced, within about this time.
HEALTH_CHECK_S = 1.0
# Room for requests that our own queue refuses with a sentence; beyond it Ray's proxy refuses.
SPARE_REQUESTS = 64


class OfframpReplica:
    """Loads the model, starts the engine, and gives Ray the ASGI application."""

    def __init__(self, settings: ServeSettings) -> None:
        replica = ray_serve.get_replica_context().replica_tag
        configure_logging(settings, replica)
        self._service = load_service(settings)
        metrics = self._service.metrics
        metrics.replica = replica
        if settings.metrics_port is not None:
            start_metrics_server(metrics, settings.metrics_host, settings.metrics_port)
        self._service.warm_up()

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The application; Ray asks for it once the constructor is through."""
        # Ray puts the id on every answer, ours included: once is enough.
        return create_app(self._service, sends_request_id=False)

    async def reconfigure(self, user_config: Mapping[str, Any]) -> None:
        """Changes default policy and presets while requests go on, all of it or nothing.

        What audits found of the presets before is forgotten, and all are trusted again. One that
        says ``is_draining`` ends when the requests in flight have ended.

        Raises:
            ConfigError: A field is wrong, or the model cannot follow a preset.
        """
        config = LiveConfig.parse(user_config)
        service = self._service
        service.policies.replace(config)
        service.oversight.ledger.reset()
        logger.info(
            "the default policy is now %s; presets of the operator: %s",
            service.policies.default,
            ", ".join(config.presets) or "none",
        )
        if not config.is_draining:
            service.drain.stop()
        else:
            await self.drain()

    async def drain(self) -> None:
        """Sends new requests away, and returns once those in flight have ended, or time is over."""
        drain = self._service.drain
        if not await drain.start(self._service.settings.drain_timeout_s):
            logger.warning("%d requests outlast the drain", drain.num_in_flight)

    def check_health(self) -> None:
        """Ray replaces the replica when this raises.

        Raises:
            RuntimeError: The engine's thread has ended.
        """
        if not self._service.engine.is_alive:
            raise RuntimeError("the engine's thread has ended")


def load_service(settings: ServeSettings) -> Service:
    """The service of one replica, with its model loaded and its engine running."""
    tracing = make_tracing(settings)
    predictor = Predictor.load(
        settings.checkpoint or default_checkpoint(),
        device=settings.device,
        dtype=settings.dtype,
        num_threads=settings.num_threads,
        weights=settings.weights,
    )
    limits = EngineLimits(
        settings.queue_limit,
        settings.max_admit_per_step,
        settings.request_timeout_s,
        settings.max_admit_s_per_step,
    )
    engine = Engine(lambda: predictor.new_slots(settings.num_slots), limits)
    return Service(predictor, engine, ResultCache.from_settings(settings), settings, tracing)


def build_app(args: Mapping[str, Any]) -> Application:
    """The application for a Serve configuration file; ``args`` are fields of ``ServeSettings``.

    Raises:
        ConfigError: A field is wrong.
    """
    return bind_app(ServeSettings.resolve(args))


def bind_app(settings: ServeSettings, options: Mapping[str, Any] | None = None) -> Application:
    """The application for settings, with options of the deployment laid over the defaults."""
    max_ongoing = settings.num_slots + settings.queue_limit + SPARE_REQUESTS
    chosen: dict[str, Any] = {
        "max_ongoing_requests": max_ongoing,
        "max_queued_requests": settings.queue_limit,
        "backpressure_config": {"status_code": OverloadedError.status, "retry_after_s": 1},
        "health_check_period_s": HEALTH_CHECK_S,
        "graceful_shutdown_wait_loop_s": 0.2,
        "graceful_shutdown_timeout_s": settings.drain_timeout_s + STOP_S,
        **(options or {}),
    }
    if settings.num_replicas is not None:
        chosen["num_replicas"] = settings.num_replicas
        # Ray takes one or the other.
        chosen.pop("autoscaling_config", None)
    ingress = ray_serve.ingress()(OfframpReplica)
    deployment = ray_serve.deployment(name=DEPLOYMENT_NAME)(ingress)
    return deployment.options(**chosen).bind(settings)
