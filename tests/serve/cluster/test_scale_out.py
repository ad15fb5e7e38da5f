"""Replicas that change, drain, die and are replaced while requests go on, on a real cluster."""

import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import ray.serve as ray_serve
from ray.serve.handle import DeploymentHandle

from serve.cluster.haproxy import find_haproxy
from serve.deployment import DEPLOYMENT_NAME, bind_app
from tests.serve.conftest import encode_photo
from tests.serving import Served

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]

BACK_S = 240.0
LISTENING = "0A"
REPLICA_TITLE = "ray::ServeReplica"


@pytest.fixture
def handle(served: Served) -> DeploymentHandle:
    return ray_serve.get_app_handle(DEPLOYMENT_NAME)


def ask(served: Served, seed: int, policy: str | None = None) -> httpx.Response:
    """A caption that no cache has."""
    form = {} if policy is None else {"policy": policy}
    files = {"image": encode_photo(20 + seed, 30)}
    headers = {"Cache-Control": "no-cache"}
    return served.client.post("/v1/caption", data=form, files=files, headers=headers)


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BACK_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def is_ready(served: Served) -> bool:
    try:
        return served.client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def processes_below(pid: int) -> dict[int, str]:
    """Command lines of a process's descendants."""
    parents, commands = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            stat = (path / "stat").read_text()
            commands[int(path.name)] = (path / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        parents[int(path.name)] = int(stat.rpartition(")")[2].split()[1])
    found = {pid}
    while new := {child for child, parent in parents.items() if parent in found} - found:
        found |= new
    return {child: commands[child] for child in found - {pid} if child in commands}


def ours(title: str) -> list[int]:
    return [pid for pid, command in processes_below(os.getpid()).items() if title in command]


def listening_addresses(pid: int) -> set[str]:
    """Hexadecimal IPv4 addresses that a process listens on."""
    sockets = {str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()}
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == LISTENING and f"socket:[{fields[9]}]" in sockets:
            found.add(fields[1].partition(":")[0])
    return found


@pytest.mark.skipif(find_haproxy() is None, reason="Ray brings no HAProxy here")
def test_haproxy_listens_on_the_loopback_address_alone(served: Served) -> None:
    assert served.client.get("/readyz").status_code == 200
    addresses = [listening_addresses(pid) for pid in ours("haproxy -db")]
    assert addresses
    assert set().union(*addresses) == {"0100007F"}


def test_request_id_comes_back_once(served: Served) -> None:
    for given in ({}, {"X-Request-ID": "mine-1"}):
        response = served.client.post("/v1/caption", json={"image": "@"}, headers=given)
        ids = response.headers.get_list("x-request-id")
        assert ids == [response.json()["error"]["request_id"]]


def test_policy_changes_live_on_every_replica(served: Served, handle: DeploymentHandle) -> None:
    replica = ours(REPLICA_TITLE)
    mine = {"default": {"decoder": {"kind": "fixed_depth", "depth": 2}}}
    live = {"default_policy": "mine", "presets": {"mine": mine}}
    first = ask(served, 1).json()["policy"]["name"]
    handle.broadcast("reconfigure", live).results(timeout_s=BACK_S)
    policy = ask(served, 1).json()["policy"]
    assert (policy["name"], policy["rules"]["decoder"]["depth"]) == ("mine", 2)
    handle.broadcast("reconfigure", {}).results(timeout_s=BACK_S)
    assert ask(served, 1).json()["policy"]["name"] == first
    assert ours(REPLICA_TITLE) == replica


def test_drain_during_load_finishes_what_was_let_in(
    served: Served, handle: DeploymentHandle
) -> None:
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(ask, served, seed) for seed in range(24)]
        asked[0].result()
        handle.broadcast("drain").results(timeout_s=BACK_S)
        answers = [one.result() for one in asked]
    try:
        assert {answer.status_code for answer in answers} <= {200, 503}
        refused = ask(served, 1)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert served.client.get("/readyz").status_code == 503
    finally:
        handle.broadcast("reconfigure", {}).results(timeout_s=BACK_S)
    assert ask(served, 1).status_code == 200


def test_killed_replica_is_replaced(served: Served) -> None:
    killed = ours(REPLICA_TITLE)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not set(killed) & set(ours(REPLICA_TITLE)) and is_ready(served))
    assert ask(served, 1).status_code == 200


def test_rolling_update_under_load_fails_no_request(served: Served) -> None:
    settings = served.settings.model_copy(update={"default_policy": "fast"})
    app = bind_app(settings, {"num_replicas": 1})
    before = ours(REPLICA_TITLE)
    statuses, is_over = [], False

    def load(seed: int) -> None:
        while not is_over:
            statuses.append(ask(served, seed).status_code)

    with ThreadPoolExecutor(3) as pool:
        loads = [pool.submit(load, seed) for seed in range(3)]
        try:
            ray_serve.run(app, name=DEPLOYMENT_NAME, route_prefix="/")
            wait_until(lambda: not set(before) & set(ours(REPLICA_TITLE)))
        finally:
            is_over = True
        for one in loads:
            one.result()
    assert set(statuses) == {200}
    assert ask(served, 1).json()["policy"]["name"] == "fast"
