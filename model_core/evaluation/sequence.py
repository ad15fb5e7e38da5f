"""Which settings may be called safe: chains of tests, each begun at a share of the level.

A chain is an order of settings, from safe to cheap, that was made without the photos that test it.
Its settings are tested in order at the chain's level until one fails. The levels of the chains add
up to ``1 - confidence``; the level of a chain that passed to its end goes to the others in equal
shares, which go on from where they stopped. The chance that any setting passes that keeps less than
the target is at most ``1 - confidence``, however many are tested and however they depend on each
other. A first wrong pass is that of the first bad setting of some chain, at the level that this
chain has when none but chains without a bad setting have passed theirs on; these levels add up to
no more than ``1 - confidence``, and Bonferroni does the rest.

Source: Learn-then-Test, arXiv 2110.01052 (fixed sequences and graphs); Bretz et al., Statistics in
Medicine 2009 (graphs); an order from other data, arXiv 2210.07913. One chain per kind of policy,
none sharing a setting, is our choice: in one chain of all settings a single unlucky one ends the
tests of every kind. Simulated, chains save 0.251 against 0.231 at a target of 0.99, 0.367 against
0.351 at 0.97 and 0.558 against 0.549 at 0.9 (``python -m tools.chain_power``).
"""

from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import TypeVar

from model_core.evaluation.trials import Trial

AnyItem = TypeVar("AnyItem")

MAX_CHAINS = 3
MAX_IN_CHAIN = 8


def safe_to_cheap(trials: Sequence[Trial], target_index: int) -> list[Trial]:
    """Trials worth testing, the surest first, each later one saving more.

    Left out: what saves nothing, what kept less than the target here, and what another trial beats
    in evidence without saving less.
    """
    possible = {
        (trial.cost_saved, trial.evidence[target_index]): trial
        for trial in reversed(trials)
        if trial.cost_saved > 0 and trial.evidence[target_index] > 0
    }
    front: list[Trial] = []
    for _, trial in sorted(possible.items(), reverse=True):  # cheapest first
        if not front or trial.evidence[target_index] > front[-1].evidence[target_index]:
            front.append(trial)
    return front[::-1]


def spread(items: Sequence[AnyItem], limit: int) -> list[AnyItem]:
    """At most ``limit`` of ``items``, evenly spaced, the last one among them."""
    count = len(items)
    if count <= limit:
        return list(items)
    return [items[(place + 1) * count // limit - 1] for place in range(limit)]


def make_chains(by_kind: Sequence[Sequence[Trial]], target_index: int) -> list[list[Trial]]:
    """One chain per kind of policy, the kinds whose chains reach furthest first.

    Args:
        by_kind: Searched trials of each kind; no trial is of two kinds.
        target_index: Which target the chains are for.
    """
    chains = [spread(safe_to_cheap(trials, target_index), MAX_IN_CHAIN) for trials in by_kind]
    chains = [chain for chain in chains if chain]
    return sorted(chains, key=lambda chain: -chain[-1].cost_saved)[:MAX_CHAINS]


def run_chains(
    chains: Sequence[Sequence[str]], evidence: Callable[[str], float], confidence: float
) -> list[str]:
    """The settings that passed, in the order of their tests.

    Args:
        chains: Settings by name.
        evidence: Standard errors by which a setting kept more than the target on the testing part;
            asked only for what is tested.
        confidence: That none of the settings given back keeps less.
    """
    levels = [(1 - confidence) / len(chains) for _ in chains]
    places = [0] * len(chains)
    passed: list[str] = []
    is_moving = True
    while is_moving:
        is_moving = False
        for number, chain in enumerate(chains):
            while places[number] < len(chain) and _passes(
                evidence(chain[places[number]]), levels[number]
            ):
                passed.append(chain[places[number]])
                places[number] += 1
                is_moving = True
            if places[number] == len(chain) and levels[number] > 0:
                _pass_on(levels, number, [places[n] < len(chains[n]) for n in range(len(chains))])
    return list(dict.fromkeys(passed))


def _passes(evidence: float, level: float) -> bool:
    return level > 0 and evidence >= NormalDist().inv_cdf(1 - level)


def _pass_on(levels: list[float], finished: int, is_open: Sequence[bool]) -> None:
    heirs = [number for number, value in enumerate(is_open) if value]
    for number in heirs:
        levels[number] += levels[finished] / len(heirs)
    levels[finished] = 0.0
