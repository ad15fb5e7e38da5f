"""The manifest of a checkpoint folder: the SHA-256 of every file that belongs to it.

Its own hash names the checkpoint, so whatever is in it changes that name.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from model_core.errors import CheckpointError

FORMAT_VERSION = 1
MANIFEST_FILE = "manifest.json"


def write_manifest(folder: Path, names: Iterable[str]) -> None:
    """Write the manifest of the files ``names``, as they are now."""
    manifest = {
        "format_version": FORMAT_VERSION,
        "files": {name: _sha256(folder / name) for name in names},
    }
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, str]:
    """Hashes by file name.

    Raises:
        CheckpointError: It is missing, damaged, or of another format.
    """
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise CheckpointError(f"{path}: not found; a checkpoint folder holds {MANIFEST_FILE}")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version, files = manifest["format_version"], dict(manifest["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: damaged, not a manifest") from error
    if version != FORMAT_VERSION:
        raise CheckpointError(f"{path}: format {version!r}; this version reads {FORMAT_VERSION}")
    return files


def check_file(path: Path, hashes: Mapping[str, str]) -> None:
    """Compare a file with the hashes of its folder's manifest.

    Raises:
        CheckpointError: It is missing, damaged, or the manifest does not know it.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: not found, the checkpoint is incomplete")
    if _sha256(path) != hashes.get(path.name):
        raise CheckpointError(
            f"{path}: does not match {MANIFEST_FILE}; the file is damaged or of another checkpoint"
        )


def checkpoint_hash(folder: Path) -> str:
    """The name of what the folder holds: the hash of its manifest."""
    return _sha256(folder / MANIFEST_FILE)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
