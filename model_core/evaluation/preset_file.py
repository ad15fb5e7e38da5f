"""Presets written from a calibration: one task at a time, the rest of the file kept as it is.

The description says on what a task's exits were calibrated, and comments at the head of the file
how the promise held on photos that chose nothing.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from model_core.config import CONFIG_ROOT, ExitConfig, PresetConfig, load_config, parse_config
from model_core.errors import ConfigError
from model_core.evaluation.calibrate import Calibration
from model_core.evaluation.choice import Choice
from model_core.evaluation.hold_out import HeldOut
from model_core.policies import ExitPolicy, ExitSite

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_CALIBRATED = "Calibrated: "


def preset_path(name_or_path: str) -> Path:
    """Where a preset of that name stands, or the YAML file itself.

    Raises:
        ConfigError: It can be neither a name nor a YAML file, or it is ``full``.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        return Path(name_or_path)
    if not _NAME.fullmatch(name_or_path) or name_or_path == "full":
        raise ConfigError(
            f"preset name {name_or_path!r:.80}: use small letters, digits, - and _, not 'full'; "
            "or the path of a YAML file"
        )
    return CONFIG_ROOT / "policy" / f"{name_or_path}.yaml"


def write_preset(
    calibration: Calibration, choice: Choice, path: Path, held_out: Sequence[HeldOut] = ()
) -> None:
    """Put chosen exits into a preset file as those of the task.

    What the file says of other tasks, its default and the rest of its head stay; comments that
    begin with the task's name and a colon are about its earlier exits, and go.

    Args:
        calibration: Of the choice.
        choice: One of its choices.
        path: The file.
        held_out: What is to be said of the choice; other targets are left out.

    Raises:
        ConfigError: The file that is there is not a preset, or its description gets too long.
    """
    header = [
        "# Thresholds calibrated for one checkpoint; after training, calibrate again.",
        f"# Used by: python -m model_core caption PHOTO --policy {path.stem}",
    ]
    preset = PresetConfig()
    if path.is_file():
        preset = load_config(path, PresetConfig)
        lines = path.read_text(encoding="utf-8").splitlines()
        header = [line for line in lines if line.startswith("#")] or header
    header = [line for line in header if not line.startswith(_about(calibration.task))]
    header += [
        _held_out_line(calibration, item) for item in held_out if item.target == choice.target
    ]
    values = {
        "description": _description(preset.description, calibration, choice),
        "default": preset.default,
        "tasks": {**preset.tasks, calibration.task: choice.exits},
    }
    merged = parse_config(values, PresetConfig, source=str(path))
    unfinished = path.with_suffix(".part")
    unfinished.write_text("\n".join([*header, _yaml(merged)]), encoding="utf-8")
    unfinished.rename(path)


def _about(task: str) -> str:
    return f"# {task}: "


def _held_out_line(calibration: Calibration, item: HeldOut) -> str:
    kept = item.kept
    return (
        f"{_about(calibration.task)}held out on {item.split}, "
        f"{calibration.metric} {item.quality:.3f} against {item.quality_full:.3f} at full depth, "
        f"share kept {kept.estimate:.3f} ({kept.lower:.3f} to {kept.upper:.3f}; "
        f"{item.num_examples} examples, checkpoint {calibration.checkpoint[:8]})."
    )


def _description(before: str, calibration: Calibration, choice: Choice) -> str:
    opening, _, rest = before.partition(_CALIBRATED)
    clauses = [clause for clause in rest.removesuffix(".").split("; ") if clause]
    start = f"{calibration.task} on "
    test = calibration.test
    mine = (
        f"{start}{test.split} ({test.num_examples} examples, checkpoint "
        f"{calibration.checkpoint[:8]}) to keep {choice.target:g} of full depth's "
        f"{calibration.metric} with confidence {calibration.goal.confidence:g}"
    )
    if choice.is_full_depth:
        mine += ", where nothing passed: full depth"
    opening += " " if opening and not opening.endswith(" ") else ""
    kept = [clause for clause in clauses if not clause.startswith(start)]
    return f"{opening}{_CALIBRATED}{'; '.join([*kept, mine])}."


def _yaml(preset: PresetConfig) -> str:
    values: dict[str, Any] = {"description": preset.description}
    if preset.default != ExitConfig():
        values["default"] = _plain(preset.default)
    values["tasks"] = {task: _plain(exits) for task, exits in preset.tasks.items()}
    return yaml.safe_dump(
        values, sort_keys=False, allow_unicode=True, default_flow_style=None, width=98
    )


def _plain(exits: ExitConfig) -> dict[str, Any]:
    sites: dict[str, Any] = {site.value: _plain_policy(getattr(exits, site)) for site in ExitSite}
    changed = exits.model_dump(mode="json", exclude={*sites}, exclude_defaults=True)
    return sites | changed


def _plain_policy(policy: ExitPolicy) -> dict[str, Any]:
    kind = policy.model_dump()["kind"]
    return {"kind": kind} | policy.model_dump(mode="json", exclude_defaults=True)
