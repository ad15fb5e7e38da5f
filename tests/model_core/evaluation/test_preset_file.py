"""Preset files: written, merged task by task, and refused."""

import dataclasses
from pathlib import Path

import pytest
import yaml

from model_core.config import CONFIG_ROOT, CatchUp, ExitConfig, load_preset
from model_core.errors import ConfigError
from model_core.evaluation.calibrate import Calibration
from model_core.evaluation.preset_file import preset_path, write_preset
from model_core.evaluation.trials import Goal
from model_core.policies import (
    ConfidencePolicy,
    FixedDepthPolicy,
    NeverPolicy,
    SimilarityPolicy,
    ThresholdDecay,
)

CAPTION = ExitConfig(
    image=FixedDepthPolicy(depth=3),
    decoder=SimilarityPolicy(threshold=0.9, decay=ThresholdDecay(beta=0.8)),
    catch_up=CatchUp.COPY_HIDDEN,
)
ENTAILMENT = ExitConfig(decoder=ConfidencePolicy(threshold=0.6, min_depth=2))


def calibration_of(task: str, exits: ExitConfig, target: float = 0.99) -> Calibration:
    return Calibration(
        task=task,
        split="val",
        num_examples=1000,
        metric="cider" if task == "caption" else "accuracy",
        goal=Goal(target, 0.95),
        exits=exits,
        is_full_depth=exits == ExitConfig(),
        message="",
        quality_full=0.5,
        chosen=None,
        tested=[],
        searched=[],
        num_search=300,
        num_test=700,
        seed=0,
        checkpoint="0123456789abcdef",
    )


def test_new_preset_is_read_back_as_it_was_chosen(tmp_path: Path) -> None:
    path = tmp_path / "new.yaml"
    write_preset(calibration_of("caption", CAPTION), path)
    preset = load_preset(str(path))
    assert preset.tasks == {"caption": CAPTION}
    assert preset.default == ExitConfig()
    assert preset.description == (
        "Calibrated: caption on val (1000 examples, checkpoint 01234567) to keep 0.99 of full "
        "depth's cider with confidence 0.95."
    )
    text = path.read_text()
    assert text.startswith("# ")
    assert "# Used by: python -m model_core caption PHOTO --policy new" in text
    assert "image: {kind: fixed_depth, depth: 3}" in text


def test_second_task_joins_the_first(tmp_path: Path) -> None:
    path = tmp_path / "both.yaml"
    write_preset(calibration_of("caption", CAPTION), path)
    write_preset(calibration_of("entailment", ENTAILMENT, target=0.98), path)
    preset = load_preset(str(path))
    assert preset.tasks == {"caption": CAPTION, "entailment": ENTAILMENT}
    assert "caption on val (1000 examples, checkpoint 01234567) to keep 0.99" in preset.description
    assert "; entailment on val (1000 examples" in preset.description
    assert "to keep 0.98 of full depth's accuracy with confidence 0.95." in preset.description


def test_same_task_again_replaces_what_was_said_of_it(tmp_path: Path) -> None:
    path = tmp_path / "again.yaml"
    for exits, target in ((CAPTION, 0.9), (ENTAILMENT, 0.95)):
        write_preset(calibration_of("entailment", exits, target), path)
    preset = load_preset(str(path))
    assert preset.tasks == {"entailment": ENTAILMENT}
    assert "0.95 of full depth" in preset.description
    assert "0.9 of full depth" not in preset.description


def test_full_depth_is_written_and_said(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    write_preset(calibration_of("caption", ExitConfig()), path)
    preset = load_preset(str(path))
    assert preset.tasks["caption"].decoder == NeverPolicy()
    assert preset.description.endswith("where nothing passed: full depth.")


def test_what_a_person_wrote_stays(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    mine = {
        "description": "The service's default.",
        "default": {"decoder": {"kind": "confidence", "threshold": 0.4}},
        "tasks": {"caption": {"image": {"kind": "fixed_depth", "depth": 2}}},
    }
    path.write_text("# Mine.\n# Used by: python -m serve\n" + yaml.safe_dump(mine))
    write_preset(calibration_of("entailment", ENTAILMENT), path)
    preset = load_preset(str(path))
    assert preset.default.decoder == ConfidencePolicy(threshold=0.4)
    assert preset.tasks["caption"].image == FixedDepthPolicy(depth=2)
    assert preset.description.startswith("The service's default. Calibrated: entailment on val")
    assert path.read_text().startswith("# Mine.\n# Used by: python -m serve\ndescription:")


def test_file_that_is_no_preset_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_text("hidden_size: 8\n")
    with pytest.raises(ConfigError, match="hidden_size"):
        write_preset(calibration_of("caption", CAPTION), path)
    assert path.read_text() == "hidden_size: 8\n"


def test_description_that_gets_too_long_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "long.yaml"
    path.write_text(yaml.safe_dump({"description": "x" * 390}))
    with pytest.raises(ConfigError, match="description"):
        write_preset(calibration_of("caption", CAPTION), path)


def test_names_lead_to_the_presets(tmp_path: Path) -> None:
    assert preset_path("balanced") == CONFIG_ROOT / "policy" / "balanced.yaml"
    assert preset_path(f"{tmp_path}/mine.yaml") == tmp_path / "mine.yaml"


@pytest.mark.parametrize("name", ["full", "Fast", "../up", "", "a b"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="preset name"):
        preset_path(name)


def test_calibration_is_plain_data() -> None:
    assert dataclasses.asdict(calibration_of("caption", CAPTION))["goal"]["cost"] == "flops"
