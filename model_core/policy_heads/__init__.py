"""Learned heads of exit policies: one small module per kind of policy, trained on a frozen model.

A kind that needs heads has one file here, which says what they are and what they cost, and one
entry below, which says which command makes them. ``model_core.heads_file`` keeps them beside a
checkpoint, the model holds those it was given, and a policy reaches them through its signals.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from model_core.policy_heads.base import PolicyHeads
from model_core.policy_heads.classifier import AgreementClassifier
from model_core.policy_heads.gates import UncertaintyGates
from model_core.policy_heads.halting import HaltingLayers

CLASSIFIER = "classifier"
PALBERT = "palbert"
JEI_DNN = "jei_dnn"


class HeadsKind(NamedTuple):
    """The heads that a kind of policy needs, and the command that trains them."""

    heads_class: type[PolicyHeads]
    command: str


def _trained_by(name: str) -> str:
    return f"python -m model_core train --config configs/train/{name}.yaml"


HEADS: dict[str, HeadsKind] = {
    CLASSIFIER: HeadsKind(AgreementClassifier, _trained_by("flickr8k-classifier")),
    PALBERT: HeadsKind(HaltingLayers, _trained_by("flickr8k-palbert")),
    JEI_DNN: HeadsKind(UncertaintyGates, _trained_by("flickr8k-jei-dnn")),
}


def usable_kinds(kinds: Iterable[str], learned_kinds: Collection[str]) -> list[str]:
    """``kinds`` of policy without those that need heads which are not among ``learned_kinds``."""
    return [kind for kind in kinds if kind not in HEADS or kind in learned_kinds]


__all__ = [
    "CLASSIFIER",
    "HEADS",
    "JEI_DNN",
    "PALBERT",
    "AgreementClassifier",
    "HaltingLayers",
    "HeadsKind",
    "PolicyHeads",
    "UncertaintyGates",
    "usable_kinds",
]
