"""A folder captioned on Ray Data: actors that load the model once, and parts that they write.

The driver only says which photos are missing and counts what is finished: a row goes from the actor
that made it to a part file. On more than one machine folder and parts have to be on a shared disk.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.data

from model_core.config import ExitConfig
from model_core.photo_vectors import PhotoFile
from model_core.predictor import Predictor
from serve.batch.caption_rows import FolderCaptioner, PhotoLimits
from serve.batch.part_files import PartFiles

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelChoice:
    """What ``Predictor.load`` takes."""

    checkpoint: Path
    device: str
    dtype: str
    num_threads: int
    weights: str

    def load(self) -> Predictor:
        """The model."""
        return Predictor.load(
            self.checkpoint, self.device, self.dtype, self.num_threads, self.weights
        )


@dataclass(frozen=True)
class CaptionJob:
    """What the actors are told."""

    folder: Path
    parts: Path
    model: ModelChoice
    exits: ExitConfig
    limits: PhotoLimits


class CaptionActor:
    """One process of the pool."""

    def __init__(self, job: CaptionJob) -> None:
        predictor = job.model.load()
        self._captioner = FolderCaptioner(predictor, job.folder, job.exits, job.limits)
        self._parts = PartFiles(job.parts)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Keeps the rows of a batch of photos, and passes their names on."""
        columns = (batch[field].tolist() for field in PhotoFile._fields)
        photos = [PhotoFile(*values) for values in zip(*columns, strict=True)]
        self._parts.write(photos, self._captioner.rows(photos))
        return {"name": batch["name"]}


def caption_missing(
    job: CaptionJob, photos: Sequence[PhotoFile], batch_size: int, concurrency: int
) -> Iterator[int]:
    """Captions ``photos``; yields how many more are finished, as they are.

    Args:
        job: What to do with them; Ray is running.
        photos: Those without a row.
        batch_size: Photos of one part, which go through the model together.
        concurrency: Actors.
    """
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    num_batches = -(-len(photos) // batch_size)
    dataset = ray.data.from_items(
        [photo._asdict() for photo in photos], override_num_blocks=num_batches
    ).map_batches(
        CaptionActor,
        fn_constructor_args=[job],
        batch_size=batch_size,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(size=min(concurrency, num_batches)),
        num_cpus=job.model.num_threads,
        num_gpus=1 if job.model.device.startswith("cuda") else 0,
    )
    for batch in dataset.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=0):
        yield len(batch["name"])
