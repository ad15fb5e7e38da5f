"""Preset files: written, merged task by task, and refused."""

import dataclasses
from pathlib import Path

import pytest
import yaml

from model_core.config import CONFIG_ROOT, CatchUp, ExitConfig, load_preset
from model_core.errors import ConfigError
from model_core.evaluation.benchmark import Conditions
from model_core.evaluation.calibrate import Calibration, PartSummary
from model_core.evaluation.choice import Choice
from model_core.evaluation.evaluate import MeanDepth, Saving
from model_core.evaluation.hold_out import HeldOut
from model_core.evaluation.likelihood import KeptShare
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


def calibration_of(task: str) -> Calibration:
    return Calibration(
        task=task,
        metric="cider" if task == "caption" else "accuracy",
        checkpoint="0123456789abcdef",
        goal=Goal((0.99,), 0.95),
        search=PartSummary("train", 500, 500, 0.6),
        test=PartSummary("val", 1000, 1000, 0.5),
        choices=[],
        searched=[],
        time_model=None,
        conditions=Conditions(task, 32, "tiny", "0123", "cpu", "float32", 1, "", ""),
    )


def choice_of(exits: ExitConfig, target: float = 0.99) -> Choice:
    return Choice(target, exits, exits == ExitConfig(), "", None, [], [])


def held_out_of(target: float, quality: float) -> HeldOut:
    kept = KeptShare(0.95, quality / 0.5, 1.05)
    return HeldOut(target, "test", 800, 0.5, quality, kept, Saving(0.3, 0.2), MeanDepth(1, 1, 1))


def write(path: Path, task: str, exits: ExitConfig, target: float = 0.99) -> None:
    write_preset(calibration_of(task), choice_of(exits, target), path)


def test_new_preset_is_read_back_as_it_was_chosen(tmp_path: Path) -> None:
    path = tmp_path / "new.yaml"
    write(path, "caption", CAPTION)
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
    write(path, "caption", CAPTION)
    write(path, "entailment", ENTAILMENT, 0.98)
    preset = load_preset(str(path))
    assert preset.tasks == {"caption": CAPTION, "entailment": ENTAILMENT}
    assert "caption on val (1000 examples, checkpoint 01234567) to keep 0.99" in preset.description
    assert "; entailment on val (1000 examples" in preset.description
    assert "to keep 0.98 of full depth's accuracy with confidence 0.95." in preset.description


def test_same_task_again_replaces_what_was_said_of_it(tmp_path: Path) -> None:
    path = tmp_path / "again.yaml"
    for exits, target in ((CAPTION, 0.9), (ENTAILMENT, 0.95)):
        write(path, "entailment", exits, target)
    preset = load_preset(str(path))
    assert preset.tasks == {"entailment": ENTAILMENT}
    assert "0.95 of full depth" in preset.description
    assert "0.9 of full depth" not in preset.description


def test_full_depth_is_written_and_said(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    write(path, "caption", ExitConfig())
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
    write(path, "entailment", ENTAILMENT)
    preset = load_preset(str(path))
    assert preset.default.decoder == ConfidencePolicy(threshold=0.4)
    assert preset.tasks["caption"].image == FixedDepthPolicy(depth=2)
    assert preset.description.startswith("The service's default. Calibrated: entailment on val")
    assert path.read_text().startswith("# Mine.\n# Used by: python -m serve\ndescription:")


def test_file_that_is_no_preset_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_text("hidden_size: 8\n")
    with pytest.raises(ConfigError, match="hidden_size"):
        write(path, "caption", CAPTION)
    assert path.read_text() == "hidden_size: 8\n"


def test_description_that_gets_too_long_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "long.yaml"
    path.write_text(yaml.safe_dump({"description": "x" * 390}))
    with pytest.raises(ConfigError, match="description"):
        write(path, "caption", CAPTION)


def test_names_lead_to_the_presets(tmp_path: Path) -> None:
    assert preset_path("balanced") == CONFIG_ROOT / "policy" / "balanced.yaml"
    assert preset_path(f"{tmp_path}/mine.yaml") == tmp_path / "mine.yaml"


@pytest.mark.parametrize("name", ["full", "Fast", "../up", "", "a b"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="preset name"):
        preset_path(name)


def test_calibration_is_plain_data() -> None:
    assert dataclasses.asdict(calibration_of("caption"))["goal"]["cost"] == "wall"


def test_head_says_how_the_promise_held_and_only_of_this_target(tmp_path: Path) -> None:
    path = tmp_path / "held.yaml"
    path.write_text(
        "# Mine.\n# caption: chosen by hand.\n# entailment: chosen by hand.\ntasks: {}\n"
    )
    for quality in (0.4, 0.49):
        held = [held_out_of(0.9, 0.3), held_out_of(0.99, quality)]
        write_preset(calibration_of("caption"), choice_of(CAPTION), path, held)
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert head == [
        "# Mine.",
        "# entailment: chosen by hand.",
        "# caption: held out on test, cider 0.490 against 0.500 at full depth, share kept 0.980 "
        "(0.950 to 1.050; 800 examples, checkpoint 01234567).",
    ]
