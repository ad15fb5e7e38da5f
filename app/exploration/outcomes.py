"""What a sweep has found so far: one outcome per setting and example, as light values.

A page keeps one `Findings` per visitor; a new one is made as answers come, none is changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import NamedTuple

from app.exits import total_ms
from app.exploration.examples import Example
from app.exploration.grid import Setting
from serve.schemas import CaptionAnswer, EntailmentAnswer


class Place(NamedTuple):
    """Which setting, and which example, by their numbers."""

    setting: int
    example: int


@dataclass(frozen=True)
class Outcome:
    """One answer.

    Attributes:
        text: The caption or the label.
        layers_run: By MuE's formula, beside ``layers_full``.
        flops: Beside ``flops_full``.
        ms: In the model, all stages.
        image_depth: Layers that the photo went through; so ``text_depth``.
        word_depth: Mean of the words.
        is_cached: True when the answer was kept from before, and its times with it.
    """

    text: str
    layers_run: float
    layers_full: float
    flops: float
    flops_full: float
    ms: float
    image_depth: int
    text_depth: int
    word_depth: float
    is_cached: bool


@dataclass(frozen=True)
class Refusal:
    """Why there is no answer."""

    message: str
    request_id: str | None


@dataclass(frozen=True)
class Findings:
    """A sweep as far as it went.

    Attributes:
        task: What was asked.
        settings: Full depth first.
        examples: What every setting was asked.
        outcomes: By place.
        refusals: The same, where the service refused.
    """

    task: str
    settings: tuple[Setting, ...]
    examples: tuple[Example, ...]
    outcomes: Mapping[Place, Outcome] = field(default_factory=dict)
    refusals: Mapping[Place, Refusal] = field(default_factory=dict)

    @property
    def num_asked(self) -> int:
        """Answers and refusals so far."""
        return len(self.outcomes) + len(self.refusals)

    @property
    def num_places(self) -> int:
        """Answers that the whole sweep asks for."""
        return len(self.settings) * len(self.examples)

    @property
    def answered_settings(self) -> list[int]:
        """Settings that have an answer."""
        return sorted({place.setting for place in self.outcomes})

    @property
    def common_examples(self) -> list[int]:
        """Examples that all of these answered: points are compared on the same ones."""
        settings = self.answered_settings
        return [
            number
            for number in range(len(self.examples))
            if settings and all(Place(setting, number) in self.outcomes for setting in settings)
        ]

    def row(self, setting: int, examples: Sequence[int]) -> list[Outcome]:
        """One setting's outcomes on some examples."""
        return [self.outcomes[Place(setting, number)] for number in examples]


def outcome_of(answer: CaptionAnswer | EntailmentAnswer) -> Outcome:
    """What is kept of an answer."""
    cost, encoder = answer.trace.cost, answer.trace.encoder
    depths = [token.depth for token in answer.trace.decoder.tokens]
    return Outcome(
        text=answer.caption if isinstance(answer, CaptionAnswer) else answer.label,
        layers_run=cost.layers_run,
        layers_full=cost.layers_full,
        flops=cost.flops,
        flops_full=cost.flops_full,
        ms=total_ms(cost),
        image_depth=encoder.image.depth,
        text_depth=encoder.text.depth,
        word_depth=fmean(depths) if depths else 0.0,
        is_cached=answer.cache in ("hit", "coalesced"),
    )
