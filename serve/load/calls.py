"""The requests of a run, made before it starts: building them must not slow the sending."""

import base64
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from serve.load.arrivals import Mix, Phase, poisson_times
from serve.load.photos import PhotoSource

HYPOTHESES = (
    "a dog runs over the grass",
    "two people talk to each other",
    "nobody is outside",
    "a child plays with a ball",
    "a man rides a bicycle",
)


@dataclass(frozen=True)
class Call:
    """One HTTP request, and when it is due.

    Attributes:
        at_s: Seconds from the start of the run.
        task: What it asks for.
        path: Route.
        body: JSON.
        is_repeat: The same request was made before, so a cache may answer.
    """

    at_s: float
    task: str
    path: str
    body: bytes
    is_repeat: bool = False


@dataclass(frozen=True)
class Load:
    """What is offered to a service.

    Attributes:
        phases: Rates over time.
        mix: Shares of the tasks.
        fields: Of every request's JSON, for example ``policy``.
        cached_fraction: Share of requests that repeat an earlier one.
        seed: Of times, tasks, photos and repeats.
    """

    phases: tuple[Phase, ...]
    mix: Mix
    fields: dict[str, Any]
    cached_fraction: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.cached_fraction < 1.0:
            raise ValueError(
                f"cached_fraction {self.cached_fraction:g} must be at least 0 and below 1"
            )

    def calls(self, photos: PhotoSource) -> list[Call]:
        """Every request of the run, by time; photos of two loads differ where their seeds do."""
        rng = np.random.default_rng(self.seed)
        times = poisson_times(self.phases, rng)
        tasks = self.mix.draw(len(times), rng)
        repeats = rng.random(len(times)) < self.cached_fraction
        first_photo = int(rng.integers(2**23))
        calls: list[Call] = []
        earlier: dict[str, list[bytes]] = {}
        for index, (at_s, task, is_repeat) in enumerate(zip(times, tasks, repeats, strict=True)):
            known = earlier.setdefault(task, [])
            should_repeat = bool(is_repeat and known)
            if not should_repeat:
                known.append(make_body(task, photos.jpeg(first_photo + index), self.fields, index))
            body = known[int(rng.integers(len(known)))] if should_repeat else known[-1]
            calls.append(Call(at_s, task, f"/v1/{task}", body, should_repeat))
        return calls


def make_body(task: str, photo: bytes, fields: dict[str, Any], index: int = 0) -> bytes:
    """The JSON of a request; ``index`` chooses the sentence of an entailment."""
    content = {"image": base64.b64encode(photo).decode(), **fields}
    if task == "entailment":
        content["hypothesis"] = HYPOTHESES[index % len(HYPOTHESES)]
    return json.dumps(content).encode()
