"""A short run that trains the heads of one kind of policy for the tiny model."""

import json
from pathlib import Path

import yaml

from model_core.config import ModelConfig
from model_core.training.loop import METRICS_FILE


def values_of(
    objective: str, tiny: ModelConfig, checkpoint: Path, data: Path, folder: Path
) -> dict[str, object]:
    """A short run, as its YAML file says it."""
    model = folder / "tiny.yaml"
    model.write_text(yaml.safe_dump(tiny.model_dump(mode="json")))
    return {
        "model": str(model),
        "objective": objective,
        "start_from": str(checkpoint),
        "data": {
            "folder": str(data),
            "photos_per_batch": 4,
            "captions_per_photo": 2,
            "pairs_per_batch": 3,
        },
        "loss": {"turn_steps": 2},  # both halves of JEI-DNN's recipe have their turn
        "optim": {"learning_rate": 1e-2, "warmup_steps": 2},
        "num_steps": 6,
        "num_threads": 1,
        "precision": "float32",
        "checkpoint_every_steps": 2,
        "output_folder": str(folder / "run"),
        "feature_folder": str(folder / "features"),
    }


def metrics(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / METRICS_FILE).read_text().splitlines()]
