"""What orders of tests save, simulated: one sequence of all settings against chains by kind.

Used by: ``python -m tools.chain_power``. Settings of three kinds save more and keep less the
further they go; scores are noisy sums over photos, as captions' are. Each world is searched on some
photos and tested on others; printed is the mean saving of the chosen setting by order and target.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from model_core.config import ExitConfig
from model_core.evaluation.evaluate import MeanDepth, Saving
from model_core.evaluation.likelihood import KeptShare
from model_core.evaluation.sequence import make_chains, run_chains
from model_core.evaluation.trials import Trial

MEAN_SCORE, CHANGE_SPREAD = 0.55, 0.5  # of a caption; of the score of one that changed
NUM_SEARCH, NUM_TEST = 600, 1000
NUM_WORLDS = 1000
NUM_SETTINGS = 12
CONFIDENCE = 0.95


class Kind(NamedTuple):
    """Settings of one kind of policy, from safe to cheap.

    Attributes:
        saved: ``(S,)`` share of the cost.
        kept: ``(S,)`` true share of the quality.
        changed: ``(S,)`` share of captions that differ, each including the one before.
    """

    saved: np.ndarray
    kept: np.ndarray
    changed: np.ndarray


def draw_kind(generator: np.random.Generator) -> Kind:
    """A kind whose quality first rises a little, as some do, and then falls."""
    steps = np.linspace(0, 1, NUM_SETTINGS)
    saved = np.linspace(0.08, 0.75, NUM_SETTINGS) * generator.uniform(0.7, 1)
    changed = 0.005 + (0.01 + 0.99 * steps) ** 1.5 * generator.uniform(0.3, 0.9)
    rise = generator.uniform(0, 0.03) * np.sin(np.pi * steps)
    fall = generator.uniform(0.03, 0.25) * steps ** generator.uniform(1.5, 3.5)
    return Kind(saved, 1 + rise - fall, changed)


def draw_evidence(
    generator: np.random.Generator, kind: Kind, target: float, num_photos: int
) -> np.ndarray:
    """``(S,)`` standard errors above the target; settings share the captions they both change."""
    added = np.diff(np.append(0, kind.changed))
    noise = np.cumsum(generator.normal(0, CHANGE_SPREAD * np.sqrt(added / num_photos)))
    mean = MEAN_SCORE * (kind.kept - target) + noise
    error = np.sqrt(
        (kind.changed * CHANGE_SPREAD**2 + ((1 - target) * MEAN_SCORE) ** 2) / num_photos
    )
    evidence: np.ndarray = mean / error
    return evidence


def simulate(target: float, seed: int = 0) -> dict[str, float]:
    """Mean saving of the chosen setting by order."""
    generator = np.random.default_rng(seed)
    totals = {"one sequence": 0.0, "chains by kind": 0.0}
    for _ in range(NUM_WORLDS):
        kinds = [draw_kind(generator) for _ in range(3)]
        searched: list[list[Trial]] = []
        tested: dict[str, float] = {}
        for number, kind in enumerate(kinds):
            first = draw_evidence(generator, kind, target, NUM_SEARCH)
            second = draw_evidence(generator, kind, target, NUM_TEST)
            names = [f"{number} {step}" for step in range(NUM_SETTINGS)]
            searched.append([_trial(*row) for row in zip(names, kind.saved, first, strict=True)])
            tested |= dict(zip(names, second.tolist(), strict=True))
        together = [[trial for trials in searched for trial in trials]]
        totals["one sequence"] += _saved(together, tested)
        totals["chains by kind"] += _saved(searched, tested)
    return {name: total / NUM_WORLDS for name, total in totals.items()}


def _trial(name: str, saved: float, evidence: float) -> Trial:
    return Trial(
        name, ExitConfig(), NUM_SEARCH, MEAN_SCORE, KeptShare(0, 1, 1), (evidence,), saved,
        Saving(0, 0), MeanDepth(1, 1, 1),
    )  # fmt: skip


def _saved(by_kind: list[list[Trial]], tested: Mapping[str, float]) -> float:
    saved = {trial.setting: trial.cost_saved for trials in by_kind for trial in trials}
    chains = [[trial.setting for trial in chain] for chain in make_chains(by_kind, 0)]
    passed = run_chains(chains, tested.__getitem__, CONFIDENCE)
    return max((saved[name] for name in passed), default=0.0)


def main() -> None:
    """Print a line per target."""
    for target in (0.99, 0.97, 0.9):
        figures = ", ".join(f"{name} {value:.3f}" for name, value in simulate(target).items())
        print(f"target {target}: {figures}")


if __name__ == "__main__":
    main()
