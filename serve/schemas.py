"""The wire format of the service: requests, answers and reports, as pydantic models only.

Imported by the page too, so nothing here may import the model or Ray. The trace mirrors
``model_core.types.ExitTrace`` field by field; a test keeps the two equal.
"""

from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, model_validator

from serve.policies.preset_order import RankedPreset
from serve.rules import ExitRules, PolicyChoice, WireModel

_MIN_QUALITY = Field(
    default=None,
    description="Cheapest preset that is accepted under load; goes with a preset or the default.",
)
_TIMEOUT_S = Field(
    default=None,
    gt=0,
    description="Seconds until the answer is of no use any more; at most the service's own limit.",
)


class CaptionRequest(WireModel):
    """A photo to describe."""

    image: str = Field(
        description="Data URL or plain base64 of a JPEG, PNG, WebP, BMP or GIF file."
    )
    policy: PolicyChoice | None = Field(
        default=None,
        description="Preset name or explicit rules; the service's default when absent.",
    )
    min_quality: RankedPreset | None = _MIN_QUALITY
    timeout_s: float | None = _TIMEOUT_S
    max_new_tokens: int | None = Field(default=None, ge=1, le=512)
    num_beams: int = Field(
        default=1, ge=1, le=8, description="Beams of the search; 1 is greedy decoding."
    )
    stream: bool = Field(
        default=False,
        description="True: tokens as server-sent events while they are decided, then the answer.",
    )


class EntailmentRequest(WireModel):
    """A photo and a sentence: does the photo entail it?"""

    image: str = Field(description="Data URL or plain base64 of the photo.")
    hypothesis: str = Field(description="The sentence to judge.")
    premise: str | None = Field(default=None, description="A sentence that describes the photo.")
    policy: PolicyChoice | None = None
    stream: bool = Field(
        default=False,
        description="True: tokens as server-sent events while they are decided, then the answer.",
    )
    min_quality: RankedPreset | None = _MIN_QUALITY
    timeout_s: float | None = _TIMEOUT_S


class EmbedRequest(WireModel):
    """A photo or a sentence to compare with others: exactly one of the two."""

    image: str | None = Field(default=None, description="Data URL or plain base64 of the photo.")
    text: str | None = Field(default=None, description="A sentence about what a photo may show.")
    policy: PolicyChoice | None = None
    min_quality: RankedPreset | None = _MIN_QUALITY
    timeout_s: float | None = _TIMEOUT_S

    @model_validator(mode="after")
    def _one_is_given(self) -> Self:
        if (self.image is None) == (self.text is None):
            given = "neither" if self.image is None else "both"
            raise ValueError(f"give either image or text, exactly one of them (got {given})")
        return self


class TagsRequest(WireModel):
    """A photo to name words for."""

    image: str = Field(description="Data URL or plain base64 of the photo.")
    policy: PolicyChoice | None = Field(
        default=None, description="Of its rules the one for the image holds."
    )
    min_quality: RankedPreset | None = _MIN_QUALITY
    timeout_s: float | None = _TIMEOUT_S


def _default_policies() -> list[PolicyChoice]:
    return ["full", "balanced"]


class CompareRequest(WireModel):
    """The same input under several policies, side by side."""

    image: str
    task: Literal["caption", "entailment"] = "caption"
    hypothesis: str | None = None
    premise: str | None = None
    policies: list[PolicyChoice] = Field(
        default_factory=_default_policies, min_length=2, max_length=4
    )


class ModalityTrace(WireModel):
    """How far one modality went through the encoder; depth 0 where the request had none."""

    depth: int
    num_layers: int
    scores: list[float]
    thresholds: list[float]
    from_cache: bool = False


class TokenTrace(WireModel):
    """How far one token went through the decoder."""

    text: str
    depth: int
    scores: list[float]
    thresholds: list[float]
    caught_up: int
    computed_depth: int


class EncoderTrace(WireModel):
    """Exits of the two modalities."""

    image: ModalityTrace
    text: ModalityTrace


class DecoderTrace(WireModel):
    """Exits of every token."""

    num_layers: int
    tokens: list[TokenTrace]


class StageMs(WireModel):
    """Milliseconds per stage."""

    preprocess: float
    stem: float
    encode: float
    decode: float


class Cost(WireModel):
    """What the answer cost beside full depth: layers by MuE's formula, and FLOPs.

    Where the encoder alone answers, layers are those of what it encoded.
    """

    layers_run: float
    layers_full: float
    flops: int
    flops_full: int
    stage_ms: StageMs


class ExitTrace(WireModel):
    """Which layers ran and why each stop was made."""

    schema_version: int
    encoder: EncoderTrace
    decoder: DecoderTrace
    cost: Cost


CacheState = Literal["miss", "hit", "coalesced", "off"]


class ModelName(WireModel):
    """Which weights answered."""

    name: str
    hash: str


# Why another preset is in force than was asked for: the queue was long and the request allows a
# cheaper one, or audits found the preset to agree too little with full depth.
MoveReason = Literal["load", "audit"]


class PolicyInForce(WireModel):
    """The exits that were applied: the preset's name (null when spelled out) and its rules.

    ``asked`` is the preset asked for, where another one is in force for the ``reason``.
    """

    name: str | None
    rules: ExitRules
    asked: str | None = None
    reason: MoveReason | None = None


class AnswerBase(WireModel):
    """What every answer carries."""

    trace: ExitTrace
    cache: CacheState
    policy: PolicyInForce
    model: ModelName
    request_id: str


class CaptionAnswer(AnswerBase):
    """A caption with its exits."""

    caption: str


class EntailmentAnswer(AnswerBase):
    """A label with its probabilities and exits."""

    label: str
    probabilities: dict[str, float]


class StreamedToken(WireModel):
    """A token of the answer: what it adds to the text, and the layers run for it.

    Joined, the texts are the caption, or the word that stands for the label; the end mark adds
    nothing.
    """

    text: str
    depth: int


class TokenEvent(WireModel):
    """Data of a `token` event: the tokens decided since the last one, in order."""

    tokens: list[StreamedToken] = Field(min_length=1)


class EmbedAnswer(AnswerBase):
    """A unit vector with the exits behind it: the product of two is their cosine."""

    embedding: list[float]


class TagWord(WireModel):
    """A word and its probability."""

    word: str
    probability: float


class TagsAnswer(AnswerBase):
    """The words of a photo, likeliest first, and the probability of every word there is.

    A word belongs to the photo from the threshold of the depth at which the photo left.
    """

    words: list[TagWord]
    probabilities: dict[str, float]
    threshold: float


class CompareAnswer(WireModel):
    """One answer per policy, in the order asked; ``is_same`` compares each with the first."""

    answers: list[CaptionAnswer | EntailmentAnswer]
    is_same: list[bool]
    request_id: str


class TaskReport(WireModel):
    """What one task takes and gives."""

    name: str
    takes_text: bool
    labels: list[str]
    max_new_tokens: int


class ModelReport(WireModel):
    """The weights and limits in force (`GET /v1/model`)."""

    name: str
    hash: str
    device: str
    dtype: str
    num_encoder_layers: int
    num_decoder_layers: int
    hidden_size: int
    vocabulary_size: int
    num_parameters: int
    tasks: list[TaskReport]


class PresetReport(WireModel):
    """A preset and its rules per task."""

    name: str
    description: str
    tasks: dict[str, ExitRules]


class PoliciesReport(WireModel):
    """The presets, the default, and the policy kinds (`GET /v1/policies`)."""

    default: str
    presets: list[PresetReport]
    kinds: list[str]


class HealthReport(WireModel):
    """How the replica is (`GET /healthz`)."""

    status: Literal["ok", "degraded"]
    cache_backend: Literal["redis", "embedded", "memory", "off"]
    cache_is_up: bool
    queue_length: int
    slots_in_use: int
    num_slots: int
    warnings: list[str] = Field(default_factory=list)


class ErrorDetail(WireModel):
    """What was wrong, the value, what is allowed, and the request's id.

    With ``type`` it is also what clients of OpenAI's API expect of an error.
    """

    code: str
    message: str
    request_id: str
    type: str = "server_error"


class ErrorAnswer(WireModel):
    """Body of every 4xx and 5xx answer, and data of the `error` event that ends a stream."""

    error: ErrorDetail


class StreamEvent(StrEnum):
    """Names of a stream's events: `token` as often as needed, then one of the other two."""

    TOKEN = "token"
    ANSWER = "answer"
    ERROR = "error"
