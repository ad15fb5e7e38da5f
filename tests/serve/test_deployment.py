"""What the thin Ray wrapper adds: live changes and health."""

import asyncio
from typing import Any

import pytest

from serve.deployment import OfframpReplica, bind_app
from serve.errors import InvalidInputError
from serve.settings import ServeSettings
from tests.serve.conftest import Running


def replica_of(running: Running) -> OfframpReplica:
    replica = OfframpReplica.__new__(OfframpReplica)
    replica._service = running.service
    return replica


async def test_user_config_changes_the_default_policy_live(running: Running, image: str) -> None:
    replica_of(running).reconfigure({"default_policy": "fast"})
    answer = (await running.client.post("/v1/caption", json={"image": image})).json()
    assert answer["policy"]["name"] == "fast"


@pytest.mark.parametrize(
    ("user_config", "error", "message"),
    [
        ({"default_policy": "best"}, InvalidInputError, "unknown preset 'best'"),
        ({"policy": "fast"}, ValueError, r"unknown \['policy'\]; allowed is default_policy"),
    ],
)
async def test_wrong_user_config_changes_nothing(
    running: Running, user_config: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        replica_of(running).reconfigure(user_config)
    assert running.service.policies.default == "balanced"


async def test_health_check_fails_with_the_engine(running: Running) -> None:
    replica = replica_of(running)
    replica.check_health()
    await asyncio.to_thread(running.service.engine.close)
    with pytest.raises(RuntimeError, match="has ended"):
        replica.check_health()


async def test_warm_up_runs_every_task_once(running: Running) -> None:
    await asyncio.to_thread(running.service.warm_up)
    tasks = [request.task for request in running.predictor.requests]
    assert tasks == ["caption", "entailment", "retrieval", "retrieval", "tags"]


def test_deployment_options_of_the_file_and_replicas_of_the_settings() -> None:
    options = {"num_replicas": 2, "ray_actor_options": {"num_cpus": 2}}
    from_file = bind_app(ServeSettings(), options)._bound_deployment
    assert (from_file.num_replicas, from_file.ray_actor_options["num_cpus"]) == (2, 2)
    assert bind_app(ServeSettings(num_replicas=3), options)._bound_deployment.num_replicas == 3
