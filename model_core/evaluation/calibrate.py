"""Thresholds that keep a share of full depth's quality with a stated confidence.

Two groups of photos, none in both. On the *searching part* (photos of the training split unless
asked otherwise) settings are tried and put in chains, from safe to cheap. On the *testing part*
(the whole validation split) they are tested in that order, and the cheapest that passed is chosen.

Why the promise holds. Let a setting *fall short* when it keeps less than the target in expectation
over photos like those of the testing part. The chains are made without the testing photos, so given
the chains those photos are independent draws, and each single test passes a setting that falls
short with chance at most its level (``likelihood.py``: in the limit of many photos; checked by
simulation for the numbers used here). ``sequence.py`` bounds the chance that *any* setting that
falls short passes by ``1 - confidence``; the chosen one is among those that passed, so it falls
short with at most that chance, whatever its cost and however it was chosen among them. Nothing is
asked of the searching part: photos that the model was trained on may order the settings badly,
which costs saving, never the promise. The same holds for settings that are foretold wrongly and for
times that are measured badly.

What is not promised: that all targets hold at once (each has its own tests and its own confidence),
and anything about other kinds of photos. CIDEr's document frequencies are those of the testing part
and count as given; pairs of entailment about one photo are one observation. Where the model itself
was chosen on the validation split, its photos are not quite fresh, which no test here accounts for:
that is what ``hold_out.py`` looks at.

Sources: Learn-then-Test, arXiv 2110.01052; its use for exits, arXiv 2207.07061 (CALM); an order
from separate data, arXiv 2210.07913 (Pareto testing). The likelihood test is our choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from model_core.evaluation.answer_record import AnswerRecord
from model_core.evaluation.benchmark import Conditions, conditions
from model_core.evaluation.choice import NUM_TIMED, Choice, choose, with_measured_times
from model_core.evaluation.grids import ENCODER_KINDS, SEARCHED_DECODER_KINDS
from model_core.evaluation.photo_split import check_parts
from model_core.evaluation.search import Search, SearchSpace, group_by_kind
from model_core.evaluation.time_model import TimeModel, measure_time_model
from model_core.evaluation.trials import CostMeasure, Goal, Part, Trial
from model_core.evaluation.workload import Workload


class Kinds(NamedTuple):
    """Kinds of policy that may be combined."""

    decoder: Sequence[str] = SEARCHED_DECODER_KINDS
    encoder: Sequence[str] = ENCODER_KINDS


ALL_KINDS = Kinds()


@dataclass(frozen=True)
class PartSummary:
    """One part: its split, its examples, and full depth's quality on them."""

    split: str
    num_examples: int
    num_photos: int
    quality_full: float


@dataclass(frozen=True)
class Calibration:
    """What ``calibrate`` finds.

    Attributes:
        task: Name of the task.
        metric: What ``quality`` means: ``cider`` or ``accuracy``.
        checkpoint: Hash of the model; thresholds belong to it.
        goal: Targets, confidence, cost measure.
        search: The searching part.
        test: The testing part.
        choices: One per target, in the goal's order.
        searched: Settings tried on the whole searching part.
        time_model: The prices behind ``wall``; None for a counted cost.
        conditions: What times depend on.
    """

    task: str
    metric: str
    checkpoint: str
    goal: Goal
    search: PartSummary
    test: PartSummary
    choices: list[Choice]
    searched: list[Trial]
    time_model: TimeModel | None
    conditions: Conditions


def calibrate(
    search: Workload,
    test: Workload,
    goal: Goal,
    kinds: Kinds = ALL_KINDS,
    folder: Path | None = None,
) -> Calibration:
    """The cheapest exits shown to keep each target.

    Args:
        search: The searching part.
        test: The testing part, of the same model and task.
        goal: What to keep, and what to save.
        kinds: What may be combined.
        folder: Where answers are kept, so that a stopped calibration goes on; None: in memory.

    Raises:
        InputError: The parts share a photo, or full depth scores 0 on one.
    """
    check_parts(search.examples, test.examples)
    has_times = goal.cost is CostMeasure.WALL
    time_model = measure_time_model(search) if has_times else None
    parts = {
        name: Part(name, AnswerRecord(workload, folder), goal, time_model)
        for name, workload in (("search", search), ("test", test))
    }
    finder = Search(_space(search, goal, kinds), parts["search"], goal.targets)
    searched = finder.run()
    by_kind = group_by_kind(searched)
    choices = [choose(parts["test"], by_kind, goal, number) for number in range(len(goal.targets))]
    return Calibration(
        task=test.task,
        metric=test.metric,
        checkpoint=test.predictor.info.hash,
        goal=goal,
        search=_summary(search, parts["search"]),
        test=_summary(test, parts["test"]),
        choices=with_measured_times(test, choices) if has_times else choices,
        searched=searched,
        time_model=time_model,
        conditions=conditions(test.predictor, test.task, min(NUM_TIMED, len(test.examples))),
    )


def _space(workload: Workload, goal: Goal, kinds: Kinds) -> SearchSpace:
    info = workload.predictor.info
    task = info.tasks[workload.task]
    return SearchSpace(
        info.num_encoder_layers,
        info.num_decoder_layers,
        # A constant instruction is encoded once for all answers: only MuE's layer count charges it.
        has_text=task.takes_text or (info.has_text_side and goal.cost is CostMeasure.LAYERS),
        has_steps=not task.allowed_outputs,
        decoder_kinds=kinds.decoder,
        encoder_kinds=kinds.encoder,
        first_exit_depth=info.first_exit_depth,
    )


def _summary(workload: Workload, part: Part) -> PartSummary:
    return PartSummary(workload.split, part.num_examples, part.num_photos, part.quality)
