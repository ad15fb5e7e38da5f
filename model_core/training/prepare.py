"""Official releases of the data sets to the folder format that training and evaluation read.

Owns the writing of ``images/``, ``captions.jsonl`` and ``ve_<split>.jsonl``; ``releases.py`` reads
what the authors distribute. Photos are hard-linked or copied as they are: ``preprocessing.py``
resizes them. A list is written only after its photos stand in place, each file in one move, so
that an interrupted run leaves nothing half-written.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from rich.console import Console
from rich.progress import track

from model_core.errors import InputError
from model_core.training.releases import RELEASES, Release

SPLITS = ("train", "val", "test")
SOURCES = tuple(RELEASES)


@dataclass(frozen=True)
class PrepareReport:
    """What ``prepare`` wrote.

    Attributes:
        kind: Name of the data set.
        num_images: Photos in the target's ``images/`` that this run put there or found there.
        num_captioned: Photos with captions, per split.
        num_captions: Captions in all.
        num_pairs: Entailment pairs, per split.
        num_skipped_labels: Pairs left out because their annotators did not agree.
        num_missing_images: Photos the release names but does not hold (their rows are left out).
    """

    kind: str
    num_images: int
    num_captioned: Mapping[str, int]
    num_captions: int
    num_pairs: Mapping[str, int]
    num_skipped_labels: int
    num_missing_images: int


def prepare(kind: str, source: Path, target: Path, *, allow_missing: bool = False) -> PrepareReport:
    """Write the folder format from an official release, and report what was written.

    Running it again is safe: photos already in place are kept, the lists are replaced.

    Args:
        kind: One of ``SOURCES``.
        source: Folder that holds the release as it was unpacked.
        target: Folder to write; made when absent.
        allow_missing: Leave out rows whose photo is missing instead of refusing.

    Raises:
        InputError: The kind is unknown, a file of the release is missing or malformed (named with
            its line), a photo is missing, or a photo's name would leave the folder.
    """
    if kind not in SOURCES:
        raise InputError(f"data set {kind!r}: unknown; use one of {', '.join(SOURCES)}")
    if not source.is_dir():
        raise InputError(f"{source}: is not a folder; give the one the release was unpacked into")
    release = RELEASES[kind](source)
    missing = {name for name, path in release.image_paths.items() if not path.is_file()}
    if missing:
        release = _leave_out(release, missing, source, allow_missing)
    _place_images(release.image_paths, target / "images")
    _write_lists(release, target)
    return PrepareReport(
        kind=kind,
        num_images=len(release.image_paths),
        num_captioned=dict(Counter(row.split for row in release.captions)),
        num_captions=sum(len(row.captions) for row in release.captions),
        num_pairs=dict(Counter(row.split for row in release.pairs)),
        num_skipped_labels=release.num_skipped_labels,
        num_missing_images=len(missing),
    )


def _leave_out(release: Release, missing: set[str], source: Path, allow_missing: bool) -> Release:
    named = ", ".join(sorted(missing)[:3]) + (", ..." if len(missing) > 3 else "")
    counts = f"{len(missing)} of {len(release.image_paths)} photos are missing ({named})"
    if not allow_missing:
        raise InputError(f"{source}: {counts}; unpack the photos, or allow missing ones")
    if len(missing) == len(release.image_paths):
        raise InputError(f"{source}: {counts}; nothing is left to write")
    return release.without(missing)


def _place_images(image_paths: Mapping[str, Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    items = track(
        image_paths.items(), "Placing photos", console=console, disable=not console.is_terminal
    )
    for name, path in items:
        _place(path.resolve(), folder / name)


def _place(path: Path, target: Path) -> None:
    if target.exists() and target.stat().st_size == path.stat().st_size:
        return
    partial = target.with_name(f".{target.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        os.link(path, partial)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(path, partial)
    partial.replace(target)


def _write_lists(release: Release, target: Path) -> None:
    if release.captions:
        rows = ({**vars(row), "captions": list(row.captions)} for row in release.captions)
        _write_jsonl(target / "captions.jsonl", rows)
    for split in SPLITS:
        pairs = [row for row in release.pairs if row.split == split]
        if pairs:
            rows = ({"image": row.image, **row.values, "split": row.split} for row in pairs)
            _write_jsonl(target / f"ve_{split}.jsonl", rows)


def _write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        partial = Path(file.name)
        try:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        except BaseException:
            partial.unlink()
            raise
    partial.chmod(0o644)  # temporary files are private; the list is not
    partial.replace(path)
