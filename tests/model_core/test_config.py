"""Configuration: overrides, refusals, presets."""

from pathlib import Path

import pytest

from model_core.config import (
    CONFIG_ROOT,
    Depths,
    ExitConfig,
    ModelConfig,
    PresetConfig,
    load_config,
    load_preset,
    parse_config,
    preset_exits,
    preset_names,
)
from model_core.errors import ConfigError
from model_core.policies import FixedDepthPolicy, NeverPolicy

MODEL = CONFIG_ROOT / "model" / "offramp-s.yaml"


def test_override_reaches_a_nested_field() -> None:
    config = load_config(MODEL, ModelConfig, ["tasks.caption.max_new_tokens=7", "hidden_size=24"])
    assert config.tasks["caption"].max_new_tokens == 7
    assert config.hidden_size == 24


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("hidden_size=385", "hidden_size: 385 must be a multiple of num_heads: 12"),
        ("tasks.caption.max_new_tokens=41", "exceeds max_target_tokens: 40"),
        ("depht=3", "depht"),
        ("hidden_size", "must look like a.b=value"),
        ("name.x=1", "name is not a section"),
        ("tasks.caption.instruction=''", "instruction"),
    ],
)
def test_wrong_override_is_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(MODEL, ModelConfig, [override])


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.yaml: cannot be read"):
        load_config(tmp_path / "nothing.yaml", ModelConfig)
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(tmp_path / "broken.yaml", ModelConfig)
    (tmp_path / "list.yaml").write_text("[1]")
    with pytest.raises(ConfigError, match="must hold a mapping"):
        load_config(tmp_path / "list.yaml", ModelConfig)


def test_policy_with_head_is_refused_in_the_encoder() -> None:
    with pytest.raises(ConfigError, match="image: policy 'entropy' reads an exit head"):
        parse_config({"image": {"kind": "entropy", "threshold": 0.5}}, ExitConfig, "request")


@pytest.mark.parametrize("site", ["image", "text"])
def test_policy_with_learned_heads_is_refused_in_the_encoder(site: str) -> None:
    with pytest.raises(ConfigError, match=f"{site}: policy 'classifier' reads an exit head"):
        parse_config({site: {"kind": "classifier", "threshold": 0.5}}, ExitConfig, "request")


def test_preset_of_a_task_comes_before_the_default() -> None:
    preset = parse_config(
        {
            "default": {"decoder": {"kind": "fixed_depth", "depth": 1}},
            "tasks": {"entailment": {"decoder": {"kind": "fixed_depth", "depth": 2}}},
        },
        PresetConfig,
        "preset",
    )
    assert preset.for_task("entailment").decoder.model_dump()["depth"] == 2
    assert preset.for_task("caption").decoder.model_dump()["depth"] == 1


def test_presets_are_found_by_name_and_by_file(tmp_path: Path) -> None:
    assert preset_names()[0] == "full"
    path = tmp_path / "mine.yaml"
    path.write_text("default: {decoder: {kind: confidence, threshold: 0.25}}")
    assert load_preset(str(path)).default.decoder.model_dump()["threshold"] == 0.25
    with pytest.raises(ConfigError, match="'turbo': unknown; use one of full"):
        load_preset("turbo")


def test_a_model_of_other_sizes_builds_and_runs() -> None:
    from model_core.model import UnifiedModel

    config = load_config(CONFIG_ROOT / "model" / "ofa-base.yaml", ModelConfig)
    small = config.model_copy(update={"hidden_size": 24, "ffn_size": 48, "num_encoder_layers": 2})
    model = UnifiedModel(small, vocabulary_size=50).eval()
    assert model.exit_features(6, model.word_embedding.weight[:3]).shape == (3, 24)


def test_shipped_preset_ends_at_the_last_layer_of_a_shallower_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "policy"
    folder.mkdir()
    path = folder / "deep.yaml"
    path.write_text(
        "default: {image: {kind: fixed_depth, depth: 2}, decoder: {kind: fixed_depth, depth: 5}}"
    )
    monkeypatch.setattr("model_core.config.CONFIG_ROOT", tmp_path)
    shipped = preset_exits("deep", "caption", Depths(3, 4))
    assert (shipped.image, shipped.text) == (FixedDepthPolicy(depth=2), NeverPolicy())
    assert shipped.decoder == FixedDepthPolicy(depth=4)
    own = preset_exits(str(path), "caption", Depths(3, 4))
    assert own.decoder == FixedDepthPolicy(depth=5)
