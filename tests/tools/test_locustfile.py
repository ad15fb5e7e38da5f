"""The locust file sends what the load tool sends, and says what is missing without locust."""

import json
import runpy
import sys
import types
from pathlib import Path

import pytest

FILE = str(Path(__file__).resolve().parents[2] / "tools" / "locustfile.py")


class FakeUser:
    """Stands for locust's user: remembers what is posted."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, dict[str, str]]] = []
        self.client = types.SimpleNamespace(post=self.post)

    def post(self, path: str, data: bytes, headers: dict[str, str]) -> None:
        assert headers == {"content-type": "application/json"}
        self.posted.append((path, json.loads(data)))


def test_users_ask_for_every_task_with_photos_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    locust = types.SimpleNamespace(FastHttpUser=FakeUser, constant_throughput=lambda rate: rate)
    monkeypatch.setitem(sys.modules, "locust", locust)
    user = runpy.run_path(FILE)["OfframpUser"]()
    for ask in user.tasks:
        ask(user)
    assert [path for path, _ in user.posted] == ["/v1/caption", "/v1/entailment", "/v1/tags"]
    assert len({body["image"] for _, body in user.posted}) == 3
    assert list(user.tasks.values()) == [7, 2, 1]


def test_without_locust_the_file_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "locust", None)
    with pytest.raises(SystemExit, match="pip install locust"):
        runpy.run_path(FILE)
