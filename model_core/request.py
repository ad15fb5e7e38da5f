"""A prepared input: what a slot is given."""

from dataclasses import dataclass

from torch import Tensor

from model_core.config import ExitConfig


@dataclass(frozen=True)
class Request:
    """One prepared input, ready for a slot.

    Attributes:
        task: Name of the task.
        pixels: ``(3, S, S)`` prepared pixels.
        text_ids: Ids of the encoder's text side.
        exits: Policies and catch-up rule.
        max_new_tokens: Most decoding steps, the end mark included.
        labels: Label -> id it is answered with; empty for free text.
        has_constant_text: True when every request of the task has this text side.
        preprocess_ms: What preparing took.
    """

    task: str
    pixels: Tensor
    text_ids: tuple[int, ...]
    exits: ExitConfig
    max_new_tokens: int
    labels: tuple[tuple[str, int], ...] = ()
    has_constant_text: bool = False
    preprocess_ms: float = 0.0
