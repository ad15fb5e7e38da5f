"""A prepared input: what ``Slots.admit`` takes."""

from dataclasses import dataclass

from torch import Tensor

from model_core.config import ExitConfig

MAX_NUM_BEAMS = 8
MAX_LENGTH_PENALTY = 10.0


@dataclass(frozen=True)
class Request:
    """One prepared input; it takes a slot for each of its beams.

    Attributes:
        task: Name of the task.
        pixels: ``(3, S, S)`` prepared pixels; None where ``features`` stand for them.
        text_ids: Ids of the encoder's text side.
        exits: Policies and catch-up rule.
        max_new_tokens: Most decoding steps, the end mark included.
        labels: Label -> id it is answered with; empty for free text.
        has_constant_text: True when every request of the task has this text side.
        preprocess_ms: What preparing took.
        num_beams: Beams of the search (``model_core.beam``); 1 is greedy decoding.
        length_penalty: Power of the length by which a finished beam's log-probability is divided.
        features: ``(Ti, C)`` stem features computed before; the stem is not run for this request.
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
