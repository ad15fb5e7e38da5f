"""What the thin Ray wrapper adds: live changes and health."""

import asyncio
from typing import Any

import pytest

from model_core.errors import ConfigError
from serve.deployment import OfframpReplica, bind_app
from serve.settings import ServeSettings
from tests.serve.asgi import wait_until
from tests.serve.conftest import Running, Start


def replica_of(running: Running) -> OfframpReplica:
    replica = OfframpReplica.__new__(OfframpReplica)
    replica._service = running.service
    return replica


async def test_user_config_changes_the_default_policy_live(running: Running, image: str) -> None:
    await replica_of(running).reconfigure({"default_policy": "fast"})
    answer = (await running.client.post("/v1/caption", json={"image": image})).json()
    assert answer["policy"]["name"] == "fast"


def decoder_at(depth: int) -> dict[str, Any]:
    return {"default": {"decoder": {"kind": "fixed_depth", "depth": depth}}}


async def ask(running: Running, image: str, policy: str) -> dict[str, Any]:
    response = await running.client.post("/v1/caption", json={"image": image, "policy": policy})
    answer: dict[str, Any] = response.json()
    return answer


async def test_user_config_changes_presets_and_takes_them_back(
    running: Running, image: str
) -> None:
    replica = replica_of(running)
    shipped = await ask(running, image, "fast")
    await replica.reconfigure({"default_policy": "mine", "presets": {"mine": decoder_at(2)}})
    assert (await ask(running, image, "mine"))["policy"]["rules"]["decoder"]["depth"] == 2
    await replica.reconfigure({"presets": {"fast": decoder_at(3)}})
    assert (await ask(running, image, "fast"))["policy"]["rules"]["decoder"]["depth"] == 3
    gone = await ask(running, image, "mine")
    assert "unknown preset 'mine'" in gone["error"]["message"]
    await replica.reconfigure({})
    assert (await ask(running, image, "fast"))["policy"] == shipped["policy"]
    assert running.service.policies.default == "balanced"


async def test_changed_preset_is_not_answered_from_the_results_of_the_old_one(
    running: Running, image: str
) -> None:
    replica = replica_of(running)
    states = []
    for depth in (2, 3, 2):
        await replica.reconfigure({"presets": {"mine": decoder_at(depth)}})
        states.append((await ask(running, image, "mine"))["cache"])
    assert states == ["miss", "miss", "hit"]


async def test_request_in_flight_keeps_the_exits_it_was_admitted_with(
    start: Start, image: str
) -> None:
    running = await start(is_gated=True)
    replica = replica_of(running)
    await replica.reconfigure({"presets": {"mine": decoder_at(2)}})
    asked = asyncio.create_task(ask(running, image, "mine"))
    await wait_until(lambda: bool(running.service.engine.num_running))
    await replica.reconfigure({"presets": {"mine": decoder_at(3)}})
    running.gate.open()
    assert (await asked)["policy"]["rules"]["decoder"]["depth"] == 2
    assert running.predictor.requests[0].exits.decoder.depth == 2


@pytest.mark.parametrize(
    ("user_config", "message"),
    [
        ({"default_policy": "best", "presets": {"fast": decoder_at(1)}}, "default_policy"),
        ({"policy": "fast", "default_policy": "fast"}, "policy: Extra inputs"),
        (
            {"default_policy": "fast", "presets": {"a": decoder_at(1), "b": decoder_at(9)}},
            "presets.b.default.decoder.depth: 9",
        ),
    ],
)
async def test_wrong_user_config_changes_nothing(
    running: Running, user_config: dict[str, Any], message: str
) -> None:
    before = running.service.policies.report(["caption"])
    with pytest.raises(ConfigError, match=message):
        await replica_of(running).reconfigure(user_config)
    assert running.service.policies.report(["caption"]) == before


async def test_health_check_fails_with_the_engine(running: Running) -> None:
    replica = replica_of(running)
    replica.check_health()
    await asyncio.to_thread(running.service.engine.close)
    with pytest.raises(RuntimeError, match="has ended"):
        replica.check_health()


async def test_warm_up_runs_every_task_once(running: Running) -> None:
    await asyncio.to_thread(running.service.warm_up)
    tasks = [request.task for request in running.predictor.requests]
    # Both modalities are embedded.
    assert tasks == ["caption", "entailment", "retrieval", "retrieval", "tags"]


def test_deployment_options_of_the_file_and_replicas_of_the_settings() -> None:
    options = {"num_replicas": 2, "ray_actor_options": {"num_cpus": 2}}
    from_file = bind_app(ServeSettings(), options)._bound_deployment
    assert (from_file.num_replicas, from_file.ray_actor_options["num_cpus"]) == (2, 2)
    assert bind_app(ServeSettings(num_replicas=3), options)._bound_deployment.num_replicas == 3


def test_number_of_replicas_in_the_settings_ends_autoscaling() -> None:
    options = {"autoscaling_config": {"min_replicas": 1, "max_replicas": 4}}
    deployment = bind_app(ServeSettings(num_replicas=2), options)._bound_deployment
    assert (deployment.num_replicas, deployment._deployment_config.autoscaling_config) == (2, None)


async def test_draining_replica_ends_what_it_has_and_sends_others_away(
    start: Start, image: str
) -> None:
    running = await start(is_gated=True)
    replica = replica_of(running)
    asked = asyncio.create_task(ask(running, image, "full"))
    await wait_until(lambda: bool(running.service.drain.num_in_flight))
    draining = asyncio.create_task(replica.reconfigure({"is_draining": True}))
    await wait_until(lambda: running.service.drain.is_on)
    refused = await running.client.post("/v1/caption", json={"image": image})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert (await running.client.get("/readyz")).status_code == 503
    assert not draining.done()
    running.gate.open()
    assert (await asked)["caption"]
    await draining
    replica.check_health()
    await replica.reconfigure({})
    assert (await running.client.post("/v1/caption", json={"image": image})).status_code == 200


async def test_drain_ends_when_its_time_is_over(start: Start, image: str) -> None:
    running = await start(is_gated=True, drain_timeout_s=0)
    asked = asyncio.create_task(ask(running, image, "full"))
    await wait_until(lambda: bool(running.service.drain.num_in_flight))
    await replica_of(running).reconfigure({"is_draining": True})
    assert running.service.drain.num_in_flight == 1
    running.gate.open()
    assert (await asked)["caption"]


def test_replica_gets_the_time_of_the_drain_to_stop() -> None:
    config = bind_app(ServeSettings(drain_timeout_s=40))._bound_deployment._deployment_config
    assert config.graceful_shutdown_timeout_s == 45
