"""The search for settings worth testing: coordinate by coordinate, from safe to cheap."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from model_core.config import ExitConfig
from model_core.evaluation.grids import (
    DECODER_KINDS,
    ENCODER_KINDS,
    EncoderSetting,
    encoder_grid,
    policies_of,
)
from model_core.evaluation.statistics import KeptShare
from model_core.evaluation.trials import Goal, Trial

MAX_ENCODER_SETTINGS = 4  # from which the search goes on into the decoder

RunTrial = Callable[[ExitConfig], Trial]


def fails_clearly(trial: Trial, goal: Goal) -> bool:
    """True when the target is out of reach even at the upper bound."""
    return trial.kept.upper < goal.target


def safe_to_cheap(trials: Sequence[Trial], goal: Goal, safest: KeptShare) -> list[Trial]:
    """Trials worth testing, in ascending order of what they save.

    Left out: what saves nothing, what kept less than the target here, what a cheaper trial beats in
    safety, and what is as good as an earlier trial in both. Safety is the lower bound, capped at
    ``safest``: a lucky trial does not push out those that hardly change an answer, with which
    the test should begin.
    """

    def safety(trial: Trial) -> float:
        return min(trial.kept.lower, safest.lower)

    promising = {
        (trial.cost_saved, safety(trial)): trial
        for trial in reversed(trials)
        if trial.cost_saved > 0 and trial.kept.estimate >= goal.target
    }
    possible = list(promising.values())
    front = [
        trial
        for trial in possible
        if not any(
            other.cost_saved >= trial.cost_saved and safety(other) > safety(trial)
            for other in possible
        )
    ]
    return sorted(front, key=lambda trial: trial.cost_saved)


def spread(trials: Sequence[Trial], limit: int) -> list[Trial]:
    """At most ``limit`` of ``trials``, evenly spaced, the last one among them."""
    count = len(trials)
    if count <= limit:
        return list(trials)
    return [trials[(place + 1) * count // limit - 1] for place in range(limit)]


@dataclass(frozen=True)
class SearchSpace:
    """Which settings the search may combine.

    Attributes:
        num_encoder_layers: Layers there are.
        num_decoder_layers: Layers there are.
        has_text: False leaves the text at full depth.
        decoder_kinds: Kinds of policy in the decoder.
        encoder_kinds: Kinds of policy in the encoder, the same for both modalities.
    """

    num_encoder_layers: int
    num_decoder_layers: int
    has_text: bool
    decoder_kinds: Sequence[str] = DECODER_KINDS
    encoder_kinds: Sequence[str] = ENCODER_KINDS


@dataclass
class Search:
    """Tries settings on one part: first the encoder's joint grid, then the decoder on the best.

    A setting fails clearly when even the upper bound of what it keeps is below the target; nothing
    that is cheaper in every coordinate is tried after it.

    Attributes:
        space: What may be combined.
        goal: Target and confidence.
        run_trial: Tries one setting on the searching part.
        safest: What a setting keeps there that changes no answer.
        trials: Those made so far, in order.
    """

    space: SearchSpace
    goal: Goal
    run_trial: RunTrial
    safest: KeptShare
    trials: list[Trial] = field(default_factory=list)

    def run(self) -> list[Trial]:
        """Every trial, in the order they were made."""
        for kind in self.space.encoder_kinds:
            self._try_encoder(kind)
        for start in self._starts():
            for kind in self.space.decoder_kinds:
                self._try_decoder(start, kind)
        return self.trials

    def _try(self, exits: ExitConfig) -> bool:
        trial = self.run_trial(exits)
        self.trials.append(trial)
        return not fails_clearly(trial, self.goal)

    def _try_encoder(self, kind: str) -> None:
        failed: list[EncoderSetting] = []
        grid = encoder_grid(kind, self.space.num_encoder_layers, self.space.has_text)
        for setting in grid:
            is_hopeless = any(
                other.image_level <= setting.image_level and other.text_level <= setting.text_level
                for other in failed
            )
            if not is_hopeless and not self._try(setting.exits):
                failed.append(setting)

    def _starts(self) -> list[ExitConfig]:
        front = safe_to_cheap(self.trials, self.goal, self.safest)
        chosen = spread(front, MAX_ENCODER_SETTINGS - 1)
        return [ExitConfig(), *(trial.exits for trial in chosen)]

    def _try_decoder(self, start: ExitConfig, kind: str) -> None:
        for policy in policies_of(kind, self.space.num_decoder_layers):
            if not self._try(start.model_copy(update={"decoder": policy})):
                return
