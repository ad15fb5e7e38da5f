"""Thresholds that keep a share of full depth's quality with a stated confidence.

The photos are split in two. On the first part settings are *searched*: those that save something
and may keep the target are put in order, from safe to cheap. On the second part they are *tested*
in that order until one fails; the cheapest that passed is chosen. The order does not depend on
the photos that test it, so the chance that any passed setting keeps less than the target is at
most ``1 - confidence``, however many were tried.

Source: Learn-then-Test with fixed-sequence testing, arXiv 2110.01052, as arXiv 2207.07061 (CALM)
uses it; taking the order of several thresholds from separate data is arXiv 2210.07913 (Pareto
testing). The bounds are those of ``statistics.py``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from model_core.config import ExitConfig
from model_core.errors import InputError
from model_core.evaluation.examples import Example
from model_core.evaluation.grids import DECODER_KINDS, ENCODER_KINDS
from model_core.evaluation.search import Search, SearchSpace, safe_to_cheap, spread
from model_core.evaluation.statistics import examples_needed
from model_core.evaluation.trials import CostMeasure, Goal, Part, Trial
from model_core.evaluation.workload import Workload
from model_core.policy_heads import usable_kinds

SEARCH_FRACTION = 1 / 3  # the order needs fewer photos than the proof
MAX_TESTED = 24


@dataclass(frozen=True)
class Calibration:
    """What ``calibrate`` prints.

    Attributes:
        task: Name of the task.
        split: Name of the split.
        num_examples: Examples of both parts.
        metric: What ``quality`` means: ``cider`` or ``accuracy``.
        goal: Target, confidence, cost measure.
        exits: The chosen exits; full depth when nothing passed.
        is_full_depth: True when nothing passed.
        message: The outcome in a sentence.
        quality_full: Full depth on the testing part.
        chosen: The chosen setting on the testing part; None when nothing passed.
        tested: The fixed sequence on the testing part, as far as it went.
        searched: Every setting tried on the searching part.
        num_search: Examples of the searching part.
        num_test: Examples of the testing part.
        seed: Of the split and of the bootstrap.
        checkpoint: Hash of the model; thresholds belong to it.
    """

    task: str
    split: str
    num_examples: int
    metric: str
    goal: Goal
    exits: ExitConfig
    is_full_depth: bool
    message: str
    quality_full: float
    chosen: Trial | None
    tested: list[Trial]
    searched: list[Trial]
    num_search: int
    num_test: int
    seed: int
    checkpoint: str


def calibrate(
    workload: Workload,
    goal: Goal,
    decoder_kinds: Sequence[str] | None = None,
    encoder_kinds: Sequence[str] = ENCODER_KINDS,
    seed: int = 0,
) -> Calibration:
    """The cheapest exits shown to keep the goal's target.

    Args:
        workload: The model and the labelled examples.
        goal: What to keep, and what to save.
        decoder_kinds: Kinds of policy that the decoder may have; None: all that the model can use.
        encoder_kinds: Kinds of policy that the encoder may have.
        seed: Of the split into parts and of the bootstrap.

    Raises:
        InputError: There are too few photos, or full depth scores 0 on a part.
    """
    parts = split_photos(workload.examples, seed)
    search_part = Part("search", workload.part(parts.search), goal, seed)
    space = _space(workload, goal, decoder_kinds, encoder_kinds)
    safest = search_part.kept_by_no_change
    searched = Search(space, goal, search_part.run, safest).run()
    sequence = spread(safe_to_cheap(searched, goal, safest), MAX_TESTED)
    test_part = Part("test", workload.part(parts.test), goal, seed)
    tested = fixed_sequence([trial.exits for trial in sequence], test_part.run, goal)
    passed = [trial for trial in tested if is_passed(trial, goal) and trial.cost_saved > 0]
    chosen = max(passed, key=lambda trial: trial.cost_saved, default=None)
    return Calibration(
        task=workload.task,
        split=workload.split,
        num_examples=len(workload.examples),
        metric=workload.metric,
        goal=goal,
        exits=chosen.exits if chosen else ExitConfig(),
        is_full_depth=chosen is None,
        message=_message(chosen, tested, test_part, goal),
        quality_full=test_part.quality,
        chosen=chosen,
        tested=tested,
        searched=searched,
        num_search=len(parts.search),
        num_test=len(parts.test),
        seed=seed,
        checkpoint=workload.predictor.info.hash,
    )


class SplitExamples(NamedTuple):
    """Examples by the use of their photos; none is in both."""

    search: list[Example]
    test: list[Example]


def split_photos(examples: Sequence[Example], seed: int) -> SplitExamples:
    """``SEARCH_FRACTION`` of the photos, drawn with ``seed``, and the others.

    Raises:
        InputError: There is one photo or none.
    """
    photos = list(dict.fromkeys(example.image for example in examples))
    if len(photos) < 2:
        raise InputError(f"{len(photos)} photos are too few to calibrate on: at least 2 are needed")
    drawn = np.random.default_rng(seed).permutation(len(photos))
    num_search = max(1, int(SEARCH_FRACTION * len(photos)))
    chosen = {photos[number] for number in drawn[:num_search]}
    return SplitExamples(
        [example for example in examples if example.image in chosen],
        [example for example in examples if example.image not in chosen],
    )


def is_passed(trial: Trial, goal: Goal) -> bool:
    """The test of one setting: its lower bound reaches the target."""
    return trial.kept.lower >= goal.target


def fixed_sequence(
    sequence: Sequence[ExitConfig], run_trial: Callable[[ExitConfig], Trial], goal: Goal
) -> list[Trial]:
    """Trials in order, the first failure being the last: each tested at the full level.

    Source: fixed-sequence testing, arXiv 2110.01052.
    """
    tested: list[Trial] = []
    for exits in sequence:
        tested.append(run_trial(exits))
        if not is_passed(tested[-1], goal):
            break
    return tested


def _space(
    workload: Workload,
    goal: Goal,
    decoder_kinds: Sequence[str] | None,
    encoder_kinds: Sequence[str],
) -> SearchSpace:
    info = workload.predictor.info
    if decoder_kinds is None:
        decoder_kinds = usable_kinds(DECODER_KINDS, info.learned_kinds)
    # A constant instruction is encoded once for all answers: only MuE's layer count charges it.
    has_text = info.tasks[workload.task].takes_text or goal.cost is CostMeasure.LAYERS
    return SearchSpace(
        info.num_encoder_layers, info.num_decoder_layers, has_text, decoder_kinds, encoder_kinds
    )


def _message(chosen: Trial | None, tested: Sequence[Trial], part: Part, goal: Goal) -> str:
    if chosen:
        return (
            f"{chosen.setting}: keeps {goal.target:g} of full depth's quality "
            f"(confidence {goal.confidence:g}) and saves {chosen.cost_saved:.1%} of its {goal.cost}"
        )
    needed = examples_needed(goal.target, goal.confidence)
    if part.num_informative < needed:
        reason = (
            f"{part.num_informative} examples that can show a loss are too few, "
            f"even a setting that loses none needs {needed}"
        )
    elif tested:
        reason = "the safest setting that saves anything fell short on the testing part"
    else:
        reason = f"no setting that saves any {goal.cost} may keep the target"
    return f"nothing passed, so full depth: {reason}"
