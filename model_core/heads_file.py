"""Learned heads on disk: a small file per kind of policy beside the weights of a checkpoint.

Adding or replacing them rewrites the manifest and leaves the model's own files as they are.
"""

import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from model_core.config import ModelConfig
from model_core.errors import CheckpointError
from model_core.manifest import check_file, read_manifest, write_manifest
from model_core.policy_heads import HEADS, PolicyHeads


def heads_file(kind: str) -> str:
    """Name of the file with the heads of a kind of policy."""
    return f"exit_{kind}.safetensors"


def add_heads(
    source: Path, target: Path, kind: str, heads: PolicyHeads, dtype: torch.dtype
) -> None:
    """Write the checkpoint ``source`` with other heads of one kind to the folder ``target``.

    The model's files are copied as they are; both folders may be the same.

    Raises:
        CheckpointError: ``source`` has no manifest that can be read.
    """
    extend_checkpoint(
        source, target, heads_file(kind), lambda: write_heads(target, kind, heads, dtype)
    )


def extend_checkpoint(source: Path, target: Path, name: str, write: Callable[[], None]) -> None:
    """Copy ``source`` to ``target``, let ``write`` make the file ``name`` there, and list it.

    Raises:
        CheckpointError: ``source`` has no manifest that can be read.
    """
    names = [*read_manifest(source), name]
    if source.resolve() != target.resolve():
        shutil.copytree(source, target, dirs_exist_ok=True)
    write()
    write_manifest(target, dict.fromkeys(names))


def write_heads(folder: Path, kind: str, heads: PolicyHeads, dtype: torch.dtype) -> None:
    """Write the file of heads alone; the manifest is the caller's."""
    weights = {
        name: value.detach().to("cpu", dtype).contiguous()
        for name, value in heads.state_dict().items()
    }
    save_file(weights, folder / heads_file(kind))


def read_heads(
    folder: Path, hashes: Mapping[str, str], config: ModelConfig
) -> dict[str, PolicyHeads]:
    """The heads that a checkpoint folder holds, by kind, in float32.

    Raises:
        CheckpointError: A file is damaged, or does not belong to the others.
    """
    found = {}
    for kind, (heads_class, _) in HEADS.items():
        path = folder / heads_file(kind)
        if path.name not in hashes and not path.exists():
            continue
        check_file(path, hashes)
        heads = heads_class(config)
        try:
            weights = {name: value.float() for name, value in load_file(path).items()}
            heads.load_state_dict(weights)
        except (RuntimeError, SafetensorError) as error:
            raise CheckpointError(f"{path}: is not of a model of this configuration") from error
        found[kind] = heads
    return found


def remove_heads(folder: Path, kept: Collection[str]) -> None:
    """Delete the files of heads in ``folder`` whose kind is not among ``kept``."""
    for kind in HEADS:
        if kind not in kept:
            (folder / heads_file(kind)).unlink(missing_ok=True)
