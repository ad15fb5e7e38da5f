"""How the promise held: chosen settings once more, on photos that chose nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model_core.evaluation.answer_record import AnswerRecord
from model_core.evaluation.choice import Choice
from model_core.evaluation.evaluate import MeanDepth, Saving
from model_core.evaluation.likelihood import KeptShare
from model_core.evaluation.trials import CostMeasure, Goal, Part
from model_core.evaluation.workload import Workload


@dataclass(frozen=True)
class HeldOut:
    """A chosen setting beside full depth on held-out examples.

    Attributes:
        target: What it was chosen to keep.
        split: Name of the split.
        num_examples: Of that split.
        quality_full: Full depth's.
        quality: The setting's.
        kept: Share kept; the bounds hold together with the confidence of the calibration.
        saving: Layers and operations.
        mean_depth: Of image, text and tokens.
    """

    target: float
    split: str
    num_examples: int
    quality_full: float
    quality: float
    kept: KeptShare
    saving: Saving
    mean_depth: MeanDepth


def hold_out(
    choices: Sequence[Choice], goal: Goal, workloads: Sequence[Workload], folder: Path | None = None
) -> list[HeldOut]:
    """Every choice that saves something on each workload; nothing is chosen here.

    Args:
        choices: Of a calibration.
        goal: Of the same.
        workloads: Held-out examples of the same model and task.
        folder: Where answers are kept; None: in memory.

    Raises:
        InputError: Full depth scores 0 on a workload.
    """
    two_sided = Goal(goal.targets, (1 + goal.confidence) / 2, CostMeasure.FLOPS)
    found = []
    for workload in workloads:
        part = Part(workload.split, AnswerRecord(workload, folder), two_sided)
        for choice in choices:
            if choice.is_full_depth:
                continue
            trial = part.run(choice.exits)
            found.append(
                HeldOut(
                    target=choice.target,
                    split=workload.split,
                    num_examples=trial.num_examples,
                    quality_full=part.quality,
                    quality=trial.quality,
                    kept=trial.kept,
                    saving=trial.saving,
                    mean_depth=trial.mean_depth,
                )
            )
    return found
