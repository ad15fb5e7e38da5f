"""A deployment that reads a request and answers nothing: what the way to a replica costs alone."""

import ray.serve as ray_serve
from fastapi import FastAPI
from ray.serve import Application
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

NAME = "noop"
PATH = "/noop"


async def answer_nothing(request: Request) -> Response:
    """An empty object, once the body has been read."""
    await request.body()
    return JSONResponse({})


class Noop:
    """A replica whose application does nothing."""

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The application."""
        app = FastAPI()
        app.add_route("/", answer_nothing, methods=["POST"])
        return app


def start_noop() -> None:
    """Deploys it beside the service, under ``PATH``."""
    deployment = ray_serve.deployment(name=NAME)(ray_serve.ingress()(Noop))
    app: Application = deployment.options(ray_actor_options={"num_cpus": 0}).bind()
    ray_serve.run(app, name=NAME, route_prefix=PATH)
