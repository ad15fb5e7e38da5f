"""Routes for whoever watches the service: health, readiness and metrics."""

from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from serve import schemas
from serve.errors import UnavailableError
from serve.http.auth import require_key
from serve.http.inputs import JSON_TYPE
from serve.http.responses import as_json
from serve.service import Service

Responses = dict[int | str, dict[str, Any]]
NOT_TAKING: Responses = {
    503: {"model": schemas.HealthReport, "description": "No requests are taken; see `warnings`."}
}
# Spelled out: a model would be described as text, which is what /metrics has otherwise.
NO_KEY: Responses = {
    401: {
        "description": "No or a wrong API key.",
        "content": {JSON_TYPE: {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}},
    }
}


class OpenRoutes:
    """Health and readiness, open to everybody; and metrics, for who has a key, if there are any."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def router(self) -> APIRouter:
        """The routes at the top."""
        router = APIRouter()
        for path, handler in (("/healthz", self.healthz), ("/readyz", self.readyz)):
            router.add_api_route(
                path, handler, response_model=schemas.HealthReport, responses=NOT_TAKING
            )
        check = require_key(self._service.settings.read_api_keys())
        router.add_api_route(
            "/metrics",
            self.metrics,
            response_class=PlainTextResponse,
            dependencies=[Depends(check)],
            responses=NO_KEY,
        )
        return router

    async def healthz(self) -> Response:
        """How the replica is; `degraded` still answers, `503` does not."""
        return as_json(await _health(self._service), self._status())

    async def readyz(self) -> Response:
        """`200` once requests are taken."""
        return as_json(await _health(self._service), self._status())

    async def metrics(self) -> Response:
        """The counters of this replica, for Prometheus."""
        return Response(self._service.metrics.render(), media_type=CONTENT_TYPE_LATEST)

    def _status(self) -> int:
        takes_requests = self._service.engine.is_alive and not self._service.drain.is_on
        return 200 if takes_requests else UnavailableError.status


async def _health(service: Service) -> schemas.HealthReport:
    engine, cache = service.engine, service.cache
    cache_is_up = await cache.check()
    warnings = []
    if not engine.is_alive:
        warnings.append("the engine takes no requests")
    if service.drain.is_on:
        warnings.append("this replica is being drained: it takes no new requests")
    if not cache_is_up:
        warnings.append(f"the result cache ({cache.name}) does not answer: nothing is reused")
    if engine.num_waiting >= service.settings.queue_limit:
        warnings.append("the queue is full")
    warnings += service.oversight.ledger.warnings()
    is_degraded = bool(warnings)
    if cache.name == "memory" and service.settings.embedded_cache:
        warnings.append("no shared cache: results are kept in this replica's memory")
    return schemas.HealthReport(
        status="degraded" if is_degraded else "ok",
        cache_backend=cache.name,
        cache_is_up=cache_is_up,
        queue_length=engine.num_waiting,
        slots_in_use=engine.num_running,
        num_slots=engine.num_slots,
        warnings=warnings,
    )
