"""``python -m serve caption-folder``: captions of every photo in a folder, as a parquet file.

Stopped with Ctrl-C or by a failure, the same command goes on where it was. Exit codes: 0 finished
(photos that cannot be read included: their rows say why), 1 stopped or failed, 2 wrong usage.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from model_core.checkpoint import default_checkpoint
from model_core.commands.options import add_policy, positive
from model_core.config import CONFIG_ROOT, preset_exits
from model_core.errors import CheckpointError, ConfigError, InputError
from model_core.packed_weights import AUTO, WEIGHT_CHOICES
from model_core.photo_vectors import PhotoFile, list_photos
from model_core.predictor import DTYPES
from serve.batch.caption_rows import TASK, PhotoLimits
from serve.batch.part_files import PartFiles, job_name, write_result
from serve.settings import ServeSettings, prepare_environment

COMMAND = "caption-folder"
EXAMPLE = f"example: python -m serve {COMMAND} ~/photos --out captions.parquet --policy balanced"


def main(arguments: Sequence[str]) -> int:
    """Runs the job; returns the exit code."""
    options = _make_parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING)
    prepare_environment(CONFIG_ROOT.parent)
    try:
        photos = list_photos(options.folder)
        settings = ServeSettings.resolve()
        num_errors = _run(options, photos, PhotoLimits(
            settings.max_upload_bytes, settings.max_pixels
        ))  # fmt: skip
    except (InputError, ConfigError) as error:
        print(f"{COMMAND}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{COMMAND}: stopped; the same command goes on from here", file=sys.stderr)
        return 1
    except (CheckpointError, OSError, RuntimeError) as error:
        print(
            f"{COMMAND}: {error}\nwhat is finished is kept; the same command goes on from there",
            file=sys.stderr,
        )
        return 1
    print(f"{options.out}: {len(photos)} photos, {num_errors} of them without a caption")
    return 0


def _run(options: argparse.Namespace, photos: list[PhotoFile], limits: PhotoLimits) -> int:
    """Number of photos that have no caption."""
    # Ray takes seconds to import: wrong usage should be told before that.
    from serve.batch.caption_job import CaptionJob, ModelChoice

    model = ModelChoice(
        options.checkpoint.resolve(), options.device, options.dtype, options.threads,
        options.weights,
    )  # fmt: skip
    info = model.load().info
    exits = preset_exits(options.policy, TASK, info.depths)
    numerics = f"{info.dtype}, {info.weights} weights, preprocessing {info.preprocessing_version}"
    parts = Path(f"{options.out}.parts").resolve() / job_name(info.hash, numerics, exits)
    part_files = PartFiles(parts)
    rows = part_files.read(photos)
    missing = [photo for photo in photos if photo.name not in rows]
    if missing:
        job = CaptionJob(options.folder.resolve(), parts, model, exits, limits)
        _caption(job, missing, len(photos), options)
        rows = part_files.read(photos)
    write_result(options.out, [rows[photo.name] for photo in photos])
    return sum(row["error"] is not None for row in rows.values())


def _caption(
    job: Any, missing: list[PhotoFile], num_photos: int, options: argparse.Namespace
) -> None:
    import ray

    from serve.batch.caption_job import caption_missing
    from serve.cluster.local_cluster import start_ray

    is_ours = not ray.is_initialized()
    if is_ours:
        start_ray(options.threads * options.concurrency + 1)
    try:
        with Progress(console=Console(stderr=True)) as progress:
            bar = progress.add_task("captions", total=num_photos)
            progress.advance(bar, num_photos - len(missing))
            for count in caption_missing(job, missing, options.batch_size, options.concurrency):
                progress.advance(bar, count)
    finally:
        if is_ours:
            ray.shutdown()


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m serve {COMMAND}", epilog=EXAMPLE,
        description="Captions of every photo in a folder and its subfolders, as a parquet file.",
    )  # fmt: skip
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    add_policy(parser)
    parser.add_argument("--checkpoint", type=Path, default=default_checkpoint(), metavar="FOLDER")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=sorted(DTYPES), default="float32")
    parser.add_argument("--weights", choices=WEIGHT_CHOICES, default=AUTO)
    parser.add_argument("--threads", type=positive, default=1, help="torch threads of an actor")
    parser.add_argument(
        "--batch-size", type=positive, default=16, metavar="N",
        help="photos that go through the model together, and are lost when it is stopped",
    )  # fmt: skip
    parser.add_argument(
        "--concurrency", type=positive, default=1, metavar="N", help="actors, each with the model"
    )
    return parser
