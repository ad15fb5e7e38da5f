"""The exits that hold for a request: presets by name, or rules spelled out.

Only the shipped presets can be named over HTTP, never a file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model_core.config import (
    Depths,
    ExitConfig,
    PresetConfig,
    load_preset,
    parse_config,
    preset_names,
)
from model_core.errors import ConfigError
from model_core.exit_checks import check_image_head
from model_core.policies import POLICIES
from model_core.policy_heads import usable_kinds
from model_core.request import TAGS_TASK
from serve import schemas
from serve.errors import InvalidInputError, describe_value
from serve.policies.live_config import LiveConfig
from serve.policies.model_fit import find_misfit
from serve.rules import ExitRules, PolicyChoice


@dataclass(frozen=True)
class ChosenPolicy:
    """The exits of one answer.

    Attributes:
        name: Of the preset; None when the request spelled its rules out.
        exits: The policies per site.
        asked: The preset that was asked for, where this one is in its place.
        reason: Why it is.
        preferred: What was asked, where an answer of it that is there already is welcome.
    """

    name: str | None
    exits: ExitConfig
    asked: str | None = None
    reason: schemas.MoveReason | None = None
    preferred: "ChosenPolicy | None" = None

    def as_wire(self) -> schemas.PolicyInForce:
        """How the answer names it."""
        return schemas.PolicyInForce(
            name=self.name, rules=to_rules(self.exits), asked=self.asked, reason=self.reason
        )


class PolicyBook:
    """The presets, the default among them, and the limits of the model they apply to."""

    def __init__(
        self,
        default: str,
        num_encoder_layers: int,
        num_decoder_layers: int,
        learned_kinds: Sequence[str] = (),
        first_exit_depth: int = 1,
    ) -> None:
        """``learned_kinds`` of policy are those that the model has heads for."""
        self._kinds = usable_kinds(POLICIES, learned_kinds)
        self._shipped = {name: load_preset(name) for name in preset_names()}
        self._presets: Mapping[str, PresetConfig] = self._shipped
        self._depths = Depths(num_encoder_layers, num_decoder_layers, first_exit_depth)
        self.default = default
        self._first_default = default

    @property
    def default(self) -> str:
        """The preset of a request that names none."""
        return self._default

    @default.setter
    def default(self, name: str) -> None:
        self._preset(name)
        self._default = name

    def replace(self, config: LiveConfig) -> None:
        """Makes another choice of presets hold from now on; what was chosen before stays as it is.

        Raises:
            ConfigError: The model cannot follow a preset; nothing has changed.
        """
        config.check_model(self._depths, self._kinds)
        self._presets = {**self._shipped, **config.presets}
        self._default = config.default_policy or self._first_default

    def choose(self, choice: PolicyChoice | None, task: str) -> ChosenPolicy:
        """The exits that a request asks for.

        Raises:
            InvalidInputError: No such preset, or rules that the model cannot follow.
            InputError: A rule of the image that only tags have, for another task.
        """
        if isinstance(choice, ExitRules):
            chosen = ChosenPolicy(None, self._parse_rules(choice))
        else:
            name = self._default if choice is None else choice
            chosen = ChosenPolicy(name, self._exits(self._preset(name), task))
        if task != TAGS_TASK:
            check_image_head(chosen.exits)
        return chosen

    def report(self, tasks: list[str]) -> schemas.PoliciesReport:
        """Every preset with its rules per task."""
        presets = [
            schemas.PresetReport(
                name=name,
                description=preset.description,
                tasks={task: to_rules(self._exits(preset, task)) for task in tasks},
            )
            for name, preset in self._presets.items()
        ]
        return schemas.PoliciesReport(default=self._default, presets=presets, kinds=self._kinds)

    def _exits(self, preset: PresetConfig, task: str) -> ExitConfig:
        return preset.for_task(task).within(self._depths)

    def _preset(self, name: str) -> PresetConfig:
        try:
            return self._presets[name]
        except KeyError:
            raise InvalidInputError(
                f"policy: unknown preset {describe_value(name)}; use one of "
                f"{', '.join(self._presets)}, or spell the rules out"
            ) from None

    def _parse_rules(self, rules: ExitRules) -> ExitConfig:
        try:
            exits = parse_config(rules.model_dump(mode="json"), ExitConfig, source="policy")
        except ConfigError as error:
            raise InvalidInputError(str(error)) from error
        misfit = find_misfit(exits, self._depths)
        if misfit is not None:
            raise InvalidInputError(f"policy.{misfit}")
        return exits


def to_rules(exits: ExitConfig) -> ExitRules:
    """The wire form of exits."""
    return ExitRules.model_validate(exits.model_dump(mode="json"))
