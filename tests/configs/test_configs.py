"""Every YAML file under configs/ loads, and says in its header which command uses it."""

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from model_core.config import CONFIG_ROOT, ModelConfig, PresetConfig, load_config, preset_names
from model_core.training.config import TrainConfig

PATHS = sorted(CONFIG_ROOT.rglob("*.yaml"))
CLASSES: dict[str, type[BaseModel]] = {
    "model": ModelConfig,
    "policy": PresetConfig,
    "train": TrainConfig,
}
COMMANDS = ("python -m ", "serve ", "docker compose ", "kubectl ")


def names_of(kind: str) -> list[str]:
    return [path.stem for path in PATHS if path.parent.name == kind]


STAGES = (
    "text",
    "joint",
    "cider",
    "finish",
    "distil",
    "poolers",
    "classifier",
    "palbert",
    "jei-dnn",
    "tags",
)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_file_is_a_mapping_of_its_kind(path: Path) -> None:
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(values, dict)
    if path.parent.name in CLASSES:
        load_config(path, CLASSES[path.parent.name])


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_header_comment_gives_a_command(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    header = lines[: next(index for index, line in enumerate(lines) if line[:1] != "#")]
    assert any(command in line for line in header for command in COMMANDS)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("model", {"offramp-s", "ofa-base", "coca"}),
        ("policy", {"full", "quality", "balanced", "fast", "mue", "deed", "lossless"}),
        (
            "train",
            {"flickr8k", "coca"} | {f"flickr8k-{stage}" for stage in STAGES},
        ),
        ("prometheus", {"prometheus", "alerts"}),
        ("datasources", {"prometheus"}),
        ("dashboards", {"offramp"}),
        ("serve", {"cpu", "gpu", "autoscaling", "kuberay"}),
    ],
)
def test_no_published_configuration_is_missing(kind: str, names: set[str]) -> None:
    assert names <= set(names_of(kind))


@pytest.mark.parametrize("name", names_of("model"))
def test_model_is_named_after_its_file(name: str) -> None:
    assert load_config(CONFIG_ROOT / "model" / f"{name}.yaml", ModelConfig).name == name


def test_full_is_the_first_preset_and_runs_every_layer() -> None:
    assert preset_names()[0] == "full"
    full = load_config(CONFIG_ROOT / "policy" / "full.yaml", PresetConfig)
    assert full == PresetConfig(description=full.description)


def test_tied_model_differs_from_the_shipped_one_in_its_words_alone() -> None:
    shipped, tied = (
        load_config(CONFIG_ROOT / "model" / f"{name}.yaml", ModelConfig)
        for name in ("offramp-s", "offramp-s-tied")
    )
    assert tied == shipped.model_copy(update={"name": "offramp-s-tied", "text_embedding_rank": 0})
