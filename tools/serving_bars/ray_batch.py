"""The same model under ``@serve.batch``: one whole batch is decoded at a time, until its longest
caption ends. What continuous batching over slots is compared with.
"""

import asyncio
import base64
import json
from typing import Any

import ray.serve as ray_serve
from fastapi import FastAPI
from ray.serve import Application
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from model_core.checkpoint import default_checkpoint
from model_core.config import preset_exits
from model_core.predictor import Predictor
from model_core.preprocessing import decode_photo
from model_core.request import Request
from model_core.types import Answer
from serve.settings import ServeSettings

NAME = "ray_batch"
PATH = "/batched"
BATCH_SIZE = 16
BATCH_WAIT_S = 0.01


class BatchedReplica:
    """A replica that decodes photos as ours does, and answers them batch by batch."""

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._predictor = Predictor.load(
            settings.checkpoint or default_checkpoint(),
            num_threads=settings.num_threads,
            weights=settings.weights,
        )

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The application: one route per task."""
        app = FastAPI()
        app.add_route("/{task}", self.answer, methods=["POST"])
        return app

    async def answer(self, http: HttpRequest) -> Response:
        """The answer to the bodies that our own service takes, with less of a trace."""
        body = json.loads(await http.body())
        request = await asyncio.to_thread(self._prepare, http.path_params["task"], body)
        answer = await self.generate(request)
        return JSONResponse(_as_json(answer, body["policy"]))

    @ray_serve.batch(max_batch_size=BATCH_SIZE, batch_wait_timeout_s=BATCH_WAIT_S)
    async def generate(self, requests: list[Request]) -> list[Answer]:
        """The answers of a batch, once all of them are there."""
        return await asyncio.to_thread(self._predictor.answer, requests)

    def _prepare(self, task: str, body: dict[str, Any]) -> Request:
        photo = decode_photo(base64.b64decode(body["image"]), self._settings.max_pixels)
        exits = preset_exits(body["policy"], task, self._predictor.info.depths)
        return self._predictor.request(task, photo, exits, hypothesis=body.get("hypothesis"))


def start_batched(settings: ServeSettings) -> None:
    """Deploys it beside the service, under ``PATH``."""
    deployment = ray_serve.deployment(name=NAME)(ray_serve.ingress()(BatchedReplica))
    app: Application = deployment.options(
        ray_actor_options={"num_cpus": 0}, max_ongoing_requests=1000
    ).bind(settings)
    ray_serve.run(app, name=NAME, route_prefix=PATH)


def _as_json(answer: Answer, policy: str) -> dict[str, Any]:
    cost = answer.trace.cost
    return {
        "text": answer.text,
        "cache": "off",
        "policy": {"name": policy},
        "trace": {"cost": {"layers_run": cost.layers_run, "layers_full": cost.layers_full}},
    }
