"""Exit policies by name: the one place a policy is registered."""

from typing import Annotated

from pydantic import Field

from model_core.policies.base import (
    CARRIED_DTYPE,
    ExitDecision,
    ExitPolicy,
    ExitSignals,
    ExitSite,
    KnownScore,
    decide,
    decides_to_leave,
    depth_without_exit,
)
from model_core.policies.classifier import ClassifierPolicy
from model_core.policies.confidence import ConfidencePolicy
from model_core.policies.entropy import EntropyPolicy
from model_core.policies.fixed_depth import FixedDepthPolicy
from model_core.policies.jei_dnn import JeiDnnPolicy
from model_core.policies.margin import MarginPolicy
from model_core.policies.never import NeverPolicy
from model_core.policies.palbert import PalbertPolicy
from model_core.policies.patience import PatiencePolicy
from model_core.policies.shallow_exit import ShallowExitPolicy
from model_core.policies.similarity import SimilarityPolicy, ThresholdDecay

POLICIES: dict[str, type[ExitPolicy]] = {
    "never": NeverPolicy,
    "fixed_depth": FixedDepthPolicy,
    "similarity": SimilarityPolicy,
    "classifier": ClassifierPolicy,
    "confidence": ConfidencePolicy,
    "entropy": EntropyPolicy,
    "margin": MarginPolicy,
    "patience": PatiencePolicy,
    "shallow_exit": ShallowExitPolicy,
    "palbert": PalbertPolicy,
    "jei_dnn": JeiDnnPolicy,
}

AnyPolicy = Annotated[
    NeverPolicy
    | FixedDepthPolicy
    | SimilarityPolicy
    | ClassifierPolicy
    | ConfidencePolicy
    | EntropyPolicy
    | MarginPolicy
    | PatiencePolicy
    | ShallowExitPolicy
    | PalbertPolicy
    | JeiDnnPolicy,
    Field(discriminator="kind"),
]

__all__ = [
    "CARRIED_DTYPE",
    "POLICIES",
    "AnyPolicy",
    "ClassifierPolicy",
    "ConfidencePolicy",
    "EntropyPolicy",
    "ExitDecision",
    "ExitPolicy",
    "ExitSignals",
    "ExitSite",
    "FixedDepthPolicy",
    "JeiDnnPolicy",
    "KnownScore",
    "MarginPolicy",
    "NeverPolicy",
    "PalbertPolicy",
    "PatiencePolicy",
    "ShallowExitPolicy",
    "SimilarityPolicy",
    "ThresholdDecay",
    "decide",
    "decides_to_leave",
    "depth_without_exit",
]
