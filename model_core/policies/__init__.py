"""Exit policies by name: the one place a policy is registered."""

from typing import Annotated

from pydantic import Field

from model_core.policies.base import (
    ExitDecision,
    ExitPolicy,
    ExitSignals,
    ExitSite,
    KnownScore,
    decide,
    decides_to_leave,
)
from model_core.policies.classifier import ClassifierPolicy
from model_core.policies.confidence import ConfidencePolicy
from model_core.policies.fixed_depth import FixedDepthPolicy
from model_core.policies.never import NeverPolicy
from model_core.policies.similarity import SimilarityPolicy, ThresholdDecay

POLICIES: dict[str, type[ExitPolicy]] = {
    "never": NeverPolicy,
    "fixed_depth": FixedDepthPolicy,
    "similarity": SimilarityPolicy,
    "classifier": ClassifierPolicy,
    "confidence": ConfidencePolicy,
}

AnyPolicy = Annotated[
    NeverPolicy | FixedDepthPolicy | SimilarityPolicy | ClassifierPolicy | ConfidencePolicy,
    Field(discriminator="kind"),
]

__all__ = [
    "POLICIES",
    "AnyPolicy",
    "ClassifierPolicy",
    "ConfidencePolicy",
    "ExitDecision",
    "ExitPolicy",
    "ExitSignals",
    "ExitSite",
    "FixedDepthPolicy",
    "KnownScore",
    "NeverPolicy",
    "SimilarityPolicy",
    "ThresholdDecay",
    "decide",
    "decides_to_leave",
]
