"""A prepared input: what ``Slots.admit`` takes."""

from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor

from model_core.config import ExitConfig

MAX_NUM_BEAMS = 8
MAX_LENGTH_PENALTY = 10.0
# What presets call the tasks that no decoder takes part in.
EMBEDDING_TASK = "retrieval"
TAGS_TASK = "tags"


class Wanted(StrEnum):
    """What a request wants of its encoded input; ``model_core.readouts`` makes it."""

    TOKENS = "tokens"
    EMBEDDING = "embedding"
    TAGS = "tags"

    @property
    def needs_decoder(self) -> bool:
        """False where the answer is there once the encoder has run."""
        return self is Wanted.TOKENS


@dataclass(frozen=True)
class Request:
    """One prepared input; it takes a slot for each of its beams.

    Attributes:
        task: Name of the task.
        pixels: ``(3, S, S)`` prepared pixels; None where ``features`` stand for them, or where
            there is no photo.
        text_ids: Ids of the encoder's text side; empty where there is no text.
        exits: Policies and catch-up rule.
        max_new_tokens: Most decoding steps, the end mark included.
        labels: Label -> id it is answered with; empty for free text.
        has_constant_text: True when every request of the task has this text side.
        preprocess_ms: What preparing took.
        num_beams: Beams of the search (``model_core.beam``); 1 is greedy decoding.
        length_penalty: Power of the length by which a finished beam's log-probability is divided.
        features: ``(Ti, C)`` stem features computed before; the stem is not run for this request.
        wanted: What is made of the encoded input.
    """

    task: str
    pixels: Tensor | None
    text_ids: tuple[int, ...]
    exits: ExitConfig
    max_new_tokens: int
    labels: tuple[tuple[str, int], ...] = ()
    has_constant_text: bool = False
    preprocess_ms: float = 0.0
    num_beams: int = 1
    length_penalty: float = 1.0
    features: Tensor | None = None
    wanted: Wanted = Wanted.TOKENS

    @property
    def has_image(self) -> bool:
        """True when a photo is encoded."""
        return self.pixels is not None or self.features is not None

    @property
    def has_text(self) -> bool:
        """True when a text is encoded."""
        return bool(self.text_ids)
