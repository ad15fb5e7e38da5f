"""The benchmark's files as plain values.

Read by models of the page's own, which take what is shown and leave the rest: the page knows
nothing of the model. Where the files are not at hand (an installed package), there are none.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import InputError
from serve.rules import ExitRules

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
TAGS = "tags"
FULL = "full"
FIXED_PREFIX = "fixed_"


class Part(BaseModel):
    """A part of a file; what the page does not show is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Estimate(Part):
    """A metric with its 95 % interval."""

    value: float
    low: float
    high: float


class Saving(Part):
    """Shares of full depth's layers and operations that were saved."""

    layers: float
    flops: float


class Spread(Part):
    """Milliseconds."""

    median: float
    p10: float
    p90: float


class Times(Part):
    """Times at one batch size; shares of full depth's that were saved."""

    ms_without_stem: Spread
    wall_without_stem: float
    ms: Spread | None = None
    wall: float | None = None


class BenchmarkPoint(Part):
    """One setting; ``exits`` is None where no setting reaches the point (an oracle)."""

    family: str
    name: str
    exits: ExitRules | None = None
    num_beams: int = 1
    metrics: Mapping[str, Estimate]
    saving: Saving
    times: Mapping[int, Times] = Field(default_factory=dict)
    commit: str

    @property
    def is_fixed(self) -> bool:
        """Whether every row leaves at the same depth, full depth among them."""
        return self.family == FULL or self.family.startswith(FIXED_PREFIX)


class Conditions(Part):
    """What it was measured on."""

    model: str
    checkpoint: str
    device: str
    dtype: str
    num_threads: int
    processor: str


class Benchmark(Part):
    """One task under every setting."""

    task: str
    split: str
    metric: str
    num_examples: int
    num_timed: int
    conditions: Conditions
    points: tuple[BenchmarkPoint, ...]

    @property
    def batch_sizes(self) -> list[int]:
        """Batch sizes that times were measured at."""
        return sorted({size for point in self.points for size in point.times})

    @property
    def metrics(self) -> list[str]:
        """Metrics of every point, the headline first."""
        names = self.points[0].metrics if self.points else {}
        return sorted(names, key=lambda name: name != self.metric)


def read_benchmarks(folder: Path = RESULTS) -> dict[str, Benchmark]:
    """The sweeps in a folder by the names of their files; empty where there are none.

    Raises:
        InputError: A file is damaged.
    """
    found = {}
    for path in sorted(folder.glob("*.json")):
        if path.name.endswith(".partial.json"):
            continue
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if path.stem == TAGS:
                document = tags_as_sweep(document)
            if "metric" in document:  # other studies stand beside the sweeps
                found[path.stem] = Benchmark.model_validate(document)
        except (ValueError, ValidationError, KeyError) as error:
            raise InputError(f"{path.name} cannot be shown: {error}") from error
    return found


def tags_as_sweep(document: Mapping[str, Any]) -> dict[str, Any]:
    """The study of tags in the form of a sweep: a family per kind of heads and of policy."""
    points = [
        {
            **point,
            "family": tag_family(name, point["policy"]),
            "name": describe_policy(point["policy"]),
            "exits": {"image": point["policy"]},
            "commit": document["commit"],
        }
        for name, model in document["models"].items()
        for point in model["points"]
    ]
    return {
        **document,
        "task": TAGS,
        "metric": "map",
        "num_examples": document["num_photos"],
        "points": points,
    }


def tag_family(heads: str, policy: Mapping[str, Any]) -> str:
    """The family of a point: its heads, fixed depths apart from the others."""
    is_fixed = policy["kind"] in ("never", "fixed_depth")
    return f"{FIXED_PREFIX if is_fixed else ''}{heads}_heads"


def describe_policy(policy: Mapping[str, Any]) -> str:
    """Kind and value of a policy at the image."""
    value = policy.get("threshold", policy.get("depth"))
    return "full" if value is None else f"image {policy['kind']} {value:g}"
