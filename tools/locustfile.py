"""The load of ``serve/load`` for those who prefer locust: mixed tasks, photos of their own.

Locust is not installed with this project: ``pip install locust``, then

    locust -f tools/locustfile.py --host http://127.0.0.1:8000 --users 20 --spawn-rate 5

Its users wait for one answer before they ask again (a closed loop), so a slow service is asked less
often and its latencies look better than they are; ``python -m serve.loadtest`` has no such fault.
"""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from serve.load.arrivals import TASKS
from serve.load.calls import make_body
from serve.load.photos import PhotoSource

try:
    from locust import FastHttpUser, constant_throughput
except ImportError as error:
    raise SystemExit("locust is missing: pip install locust") from error

WEIGHTS = dict(zip(TASKS, (7, 2, 1), strict=True))
PHOTOS = PhotoSource.generated(0)
NUMBERS = itertools.count()


def ask(user: Any, task: str) -> None:
    """Sends one request of a task, with a photo that nobody has sent before."""
    number = next(NUMBERS)
    body = make_body(task, PHOTOS.jpeg(number), {}, number)
    user.client.post(f"/v1/{task}", data=body, headers={"content-type": "application/json"})


class OfframpUser(FastHttpUser):  # type: ignore[misc]
    """Asks once a second."""

    wait_time = constant_throughput(1)
    tasks: ClassVar[dict[Callable[[Any], None], int]] = {
        partial(ask, task=name): weight for name, weight in WEIGHTS.items()
    }
