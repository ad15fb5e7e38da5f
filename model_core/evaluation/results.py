"""What a sweep leaves behind: one JSON file per task, written point by point."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model_core.config import ExitConfig, describe_validation_error
from model_core.errors import InputError
from model_core.evaluation.benchmark import Conditions, Spread
from model_core.evaluation.evaluate import MeanDepth, Saving
from model_core.evaluation.intervals import MetricEstimate
from model_core.evaluation.points import FULL

SCHEMA_VERSION = 2
PROJECT = Path(__file__).resolve().parents[2]
MEASURED_CODE = ("model_core", "configs")  # what figures depend on
JUDGMENTS, RETRIEVAL, CONFORMAL, TAGS = "judgments", "retrieval", "conformal", "tags"
TUNING = "tuning"  # folder of the sweeps that settings are chosen on
NO_SWEEPS = (JUDGMENTS, RETRIEVAL, CONFORMAL, TAGS)  # files that stand beside those of sweeps


@dataclass(frozen=True)
class PointTimes:
    """Times of one setting at one batch size, and the share of full depth's that they save."""

    ms: Spread
    ms_without_stem: Spread
    wall: float
    wall_without_stem: float


class PointResult(BaseModel):
    """One point: a setting of a family, or an oracle.

    Attributes:
        family: The curve it belongs to.
        name: Unique within the family.
        exits: What ran; None for an oracle, which no setting reaches.
        num_beams: Of the search. Differences are to full depth with as many.
        metrics: By name, with intervals.
        variety: Of captions, by name, without: a resample repeats photos, and seems less varied.
        saving: Layers and operations, answer by answer.
        layers_without_text: Layers saved with the image alone as the encoder's term.
        mean_depth: Of image, text and tokens.
        times: By batch size; empty for an oracle, or when no times were asked for.
        commit: Of the code that measured it.
    """

    model_config = ConfigDict(extra="forbid")

    family: str
    name: str
    exits: ExitConfig | None
    num_beams: int = 1
    metrics: dict[str, MetricEstimate]
    variety: dict[str, float] = Field(default_factory=dict)
    saving: Saving
    layers_without_text: float
    mean_depth: MeanDepth
    times: dict[int, PointTimes] = Field(default_factory=dict)
    commit: str

    @property
    def key(self) -> str:
        """Unique within a file."""
        return f"{self.family}: {self.name}"


class SweepResults(BaseModel):
    """A sweep of one task.

    Attributes:
        metric: The metric that plots show.
        has_constant_text: True when every example has the same text side.
        num_timed: Examples that times were measured on.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: int = SCHEMA_VERSION
    task: str
    split: str
    metric: str
    has_constant_text: bool
    num_examples: int
    num_timed: int
    conditions: Conditions
    points: list[PointResult] = Field(default_factory=list)

    def find(self, key: str) -> PointResult | None:
        """The point of that key, if it was measured."""
        return next((point for point in self.points if point.key == key), None)

    @property
    def full(self) -> PointResult:
        """Full depth, greedy: what every saving is against."""
        return self.family(FULL)[0]

    def quality(self, point: PointResult) -> float:
        """The headline metric of a point."""
        return point.metrics[self.metric].value

    @property
    def batch_sizes(self) -> list[int]:
        """Batch sizes that times were measured at, smallest first."""
        return sorted({size for point in self.points for size in point.times})

    def family(self, name: str) -> list[PointResult]:
        """The points of a family, in the order they were measured."""
        return [point for point in self.points if point.family == name]

    def is_of_the_same_run(self, other: "SweepResults") -> bool:
        """True when points of both may stand in one file."""
        same = ("schema_version", "task", "split", "metric", "num_examples", "conditions")
        return all(getattr(self, name) == getattr(other, name) for name in same)


def write_results(results: BaseModel, path: Path) -> None:
    """Replace the file in one move."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    unfinished.write_text(results.model_dump_json(indent=1) + "\n", encoding="utf-8")
    unfinished.rename(path)


def read_results(path: Path) -> SweepResults:
    """The results in a file.

    Raises:
        InputError: It is not a file of results.
    """
    try:
        return SweepResults.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise InputError(f"{path}: {describe_validation_error(error)}") from error


def partial_path(path: Path) -> Path:
    """Where the points stand until the sweep is complete."""
    return path.with_suffix(".partial.json")


def complete_results(folder: Path) -> dict[str, SweepResults]:
    """The finished files of a folder by their names without ``.json``, in order.

    Raises:
        InputError: A file is not one of results.
    """
    return {
        path.stem: read_results(path)
        for path in sorted(folder.glob("*.json"))
        if not path.name.endswith(".partial.json") and path.stem not in NO_SWEEPS
    }


def current_commit() -> str:
    """Commit of the code, ``-dirty`` when the code differs from it; ``unknown`` outside of git."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        changes = _git("status", "--porcelain", "--", *MEASURED_CODE)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}-dirty" if changes else commit


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    found = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    return found.stdout.strip()
