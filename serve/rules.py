"""The wire format of exits: one rule per kind of policy, and the rules of one request.

They mirror ``model_core.policies``; a test keeps the two equal. Imported by the page too, so
nothing here may import the model or Ray.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class WireModel(BaseModel):
    """Base of all wire models: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", from_attributes=True, frozen=True)


class ThresholdDecay(WireModel):
    """MuE's falling threshold: ``beta * threshold + (1 - beta) * exp(-tau * step / max_steps)``."""

    beta: float = Field(default=0.95, ge=0.0, le=1.0)
    tau: float = Field(default=1.0, ge=0.0, le=100.0)


class NeverRule(WireModel):
    """Run every layer."""

    kind: Literal["never"] = "never"
    min_depth: int = Field(default=1, ge=1, le=1000)


class FixedDepthRule(WireModel):
    """Leave after a fixed number of layers."""

    kind: Literal["fixed_depth"]
    depth: int = Field(ge=1, le=1000)
    min_depth: int = Field(default=1, ge=1, le=1000)


class SimilarityRule(WireModel):
    """Leave when a layer changed the states little (cosine of consecutive depths)."""

    kind: Literal["similarity"]
    threshold: float = Field(ge=-1.0, le=1.0)
    decay: ThresholdDecay | None = None
    min_depth: int = Field(default=1, ge=1, le=1000)


class ClassifierRule(WireModel):
    """Leave when trained heads expect full depth to choose the same (decoder only)."""

    kind: Literal["classifier"]
    threshold: float = Field(ge=0.0, le=1.0)
    min_depth: int = Field(default=1, ge=1, le=1000)


class ConfidenceRule(WireModel):
    """Leave when the largest probability of the exit head is high enough (decoder only)."""

    kind: Literal["confidence"]
    threshold: float = Field(ge=0.0, le=1.0)
    min_depth: int = Field(default=1, ge=1, le=1000)


class EntropyRule(WireModel):
    """Leave when the exit head is certain enough, by its entropy (decoder only)."""

    kind: Literal["entropy"]
    threshold: float = Field(ge=0.0, le=1.0)
    min_depth: int = Field(default=1, ge=1, le=1000)


class MarginRule(WireModel):
    """Leave when the best probability leads the second by enough (decoder only)."""

    kind: Literal["margin"]
    threshold: float = Field(ge=0.0, le=1.0)
    min_depth: int = Field(default=1, ge=1, le=1000)


class PatienceRule(WireModel):
    """Leave when so many further layers have chosen the same (decoder only)."""

    kind: Literal["patience"]
    patience: int = Field(ge=1, le=1000)
    min_depth: int = Field(default=1, ge=1, le=1000)


class ShallowExitRule(WireModel):
    """Leave at one shallow depth when confident enough there, else not at all (decoder only)."""

    kind: Literal["shallow_exit"]
    threshold: float = Field(ge=0.0, le=1.0)
    depth: int = Field(default=2, ge=1, le=1000)
    min_depth: int = Field(default=1, ge=1, le=1000)


class PalbertRule(WireModel):
    """Leave by the learned chance of having halted by now (decoder only)."""

    kind: Literal["palbert"]
    threshold: float = Field(default=0.5, gt=0.0, lt=1.0)
    rule: Literal["q_exit", "sample", "expectation"] = "q_exit"
    min_depth: int = Field(default=1, ge=1, le=1000)


class JeiDnnRule(WireModel):
    """Leave where the learned gates make leaving likely enough (decoder only)."""

    kind: Literal["jei_dnn"]
    threshold: float = Field(default=0.5, gt=0.0, le=1.0)
    min_depth: int = Field(default=1, ge=1, le=1000)


EncoderRule = Annotated[NeverRule | FixedDepthRule | SimilarityRule, Field(discriminator="kind")]
# With tag heads the image also has confidence: the F1 that a head expects of its own tags.
ImageRule = Annotated[
    NeverRule | FixedDepthRule | SimilarityRule | ConfidenceRule, Field(discriminator="kind")
]
DecoderRule = Annotated[
    NeverRule
    | FixedDepthRule
    | SimilarityRule
    | ClassifierRule
    | ConfidenceRule
    | EntropyRule
    | MarginRule
    | PatienceRule
    | ShallowExitRule
    | PalbertRule
    | JeiDnnRule,
    Field(discriminator="kind"),
]


class ExitRules(WireModel):
    """An explicit policy: one rule per exit site, and the catch-up rule."""

    image: ImageRule = NeverRule()
    text: EncoderRule = NeverRule()
    decoder: DecoderRule = NeverRule()
    catch_up: Literal["deferred", "copy_hidden"] = "deferred"
    lookahead: int | None = Field(
        default=None,
        ge=1,
        le=16,
        description="Lossless: the decoder's rule drafts so many tokens, full depth checks them.",
    )


PolicyChoice = str | ExitRules
