"""The setting that one target gets: tested in chains, chosen among those that passed."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from model_core.config import ExitConfig
from model_core.evaluation.benchmark import benchmark
from model_core.evaluation.grids import describe_exits
from model_core.evaluation.likelihood import photos_needed
from model_core.evaluation.sequence import make_chains, run_chains
from model_core.evaluation.trials import Goal, Part, Trial
from model_core.evaluation.workload import Workload

logger = logging.getLogger(__name__)

NUM_TIMED = 32  # answers that measure a chosen setting


@dataclass(frozen=True)
class Choice:
    """The outcome for one target.

    Attributes:
        target: Share of full depth's quality.
        exits: The chosen exits; full depth when nothing passed.
        is_full_depth: True when nothing passed.
        message: The outcome in a sentence.
        chosen: The chosen setting on the testing part; None when nothing passed.
        tested: What was tested, in the order of the tests; those that passed are in ``passed``.
        passed: Settings, in words.
        measured_saved: Share of the time without the stem that it saved at batch size 1, measured
            directly beside full depth; None where nothing passed or times do not count.
    """

    target: float
    exits: ExitConfig
    is_full_depth: bool
    message: str
    chosen: Trial | None
    tested: list[Trial]
    passed: list[str]
    measured_saved: float | None = None


def choose(part: Part, by_kind: Sequence[Sequence[Trial]], goal: Goal, target_index: int) -> Choice:
    """The cheapest setting shown to keep a target.

    Args:
        part: The testing part.
        by_kind: Searched trials by kind of policy: a chain is made of each.
        goal: Targets and confidence.
        target_index: Which target.
    """
    target = goal.targets[target_index]
    chains = make_chains(by_kind, target_index)
    exits = {trial.setting: trial.exits for chain in chains for trial in chain}
    tested: dict[str, Trial] = {}

    def evidence(setting: str) -> float:
        if setting not in tested:
            tested[setting] = part.run(exits[setting])
        return tested[setting].evidence[target_index]

    names = [[trial.setting for trial in chain] for chain in chains]
    passed = run_chains(names, evidence, goal.confidence)
    saving = [tested[setting] for setting in passed if tested[setting].cost_saved > 0]
    chosen = max(saving, key=lambda trial: trial.cost_saved, default=None)
    choice = Choice(
        target=target,
        exits=chosen.exits if chosen else ExitConfig(),
        is_full_depth=chosen is None,
        message=_message(chosen, list(tested.values()), part, goal, target),
        chosen=chosen,
        tested=list(tested.values()),
        passed=passed,
    )
    logger.info("%s", choice.message)
    return choice


def _message(
    chosen: Trial | None, tested: Sequence[Trial], part: Part, goal: Goal, target: float
) -> str:
    if chosen:
        return (
            f"{chosen.setting}: keeps {target:g} of full depth's quality "
            f"(confidence {goal.confidence:g}) and saves {chosen.cost_saved:.1%} of its {goal.cost}"
        )
    needed = photos_needed(target, goal.confidence)
    if part.num_photos < needed:
        reason = (
            f"{part.num_photos} photos are too few, even a setting that changes nothing "
            f"needs {needed}"
        )
    elif tested:
        reason = "the safest settings that save anything fell short on the testing part"
    else:
        reason = f"no setting that saves any {goal.cost} may keep the target"
    return f"nothing passed {target:g}, so full depth: {reason}"


def with_measured_times(workload: Workload, choices: Sequence[Choice]) -> list[Choice]:
    """The choices with what they save when measured directly, all in one interleaved run."""
    settings = {describe_exits(item.exits): item.exits for item in choices if item.chosen}
    if not settings:
        return list(choices)
    timed = workload.examples[:NUM_TIMED]
    measured = benchmark(workload.predictor, workload.task, timed, settings, [1])
    saved = {row.policy: row.saving.wall_without_stem for row in measured.rows}
    for setting, share in saved.items():
        logger.info("measured: %s saves %.1f %% of the time without the stem", setting, 100 * share)
    return [replace(item, measured_saved=saved.get(describe_exits(item.exits))) for item in choices]
