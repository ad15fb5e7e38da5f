"""What an operator may change while requests go on: the ``user_config`` of the deployment.

It says everything each time: a preset that it no longer holds is the shipped one again, and a
default that it leaves out is the one of the settings. All of it is checked before any of it holds.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import Field

from model_core.config import (
    Depths,
    ExitConfig,
    FrozenConfig,
    PresetConfig,
    parse_config,
    preset_names,
)
from model_core.errors import ConfigError, InputError
from model_core.exit_checks import check_image_head
from model_core.policies import ExitSite
from model_core.request import TAGS_TASK
from serve.policies.model_fit import find_misfit

# Full depth is what answers are compared with, so its meaning cannot be changed.
FULL = "full"
PresetName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]


class LiveConfig(FrozenConfig):
    """The default preset, presets beside or instead of the shipped ones, and whether to drain.

    A replica that drains answers what it has begun, and sends everybody else away with a 503.
    """

    default_policy: str | None = None
    is_draining: bool = False
    presets: dict[PresetName, PresetConfig] = Field(default_factory=dict, max_length=64)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """A checked ``user_config``.

        Raises:
            ConfigError: A field is wrong; the message names it.
        """
        config = parse_config(values, cls, source="user_config")
        if FULL in config.presets:
            raise ConfigError(
                f"user_config: presets.{FULL}: cannot be changed, since other presets are compared "
                "with it; choose another name"
            )
        known = list(dict.fromkeys([*preset_names(), *config.presets]))
        if config.default_policy is not None and config.default_policy not in known:
            raise ConfigError(
                f"user_config: default_policy: unknown preset {config.default_policy!r:.80}; use "
                f"one of {', '.join(known)}"
            )
        return config

    def check_model(self, depths: Depths, usable_kinds: Sequence[str]) -> None:
        """Refuses presets that the model cannot follow.

        Args:
            depths: Of the model.
            usable_kinds: Kinds of policy that it has heads for.

        Raises:
            ConfigError: A policy cannot be followed; the message names preset, task and site.
        """
        for name, preset in self.presets.items():
            for task, exits in {"": preset.default, **preset.tasks}.items():
                place = f"tasks.{task}" if task else "default"
                field = f"user_config: presets.{name}.{place}"
                _check_exits(field, exits, depths, usable_kinds)
                if task == TAGS_TASK:
                    continue
                try:
                    check_image_head(exits)
                except InputError as error:
                    raise ConfigError(f"{field}.{error}") from error


def _check_exits(
    field: str, exits: ExitConfig, depths: Depths, usable_kinds: Sequence[str]
) -> None:
    for site in ExitSite:
        kind = getattr(exits, site.value).kind
        if kind not in usable_kinds:
            raise ConfigError(
                f"{field}.{site}.kind: '{kind}' needs learned heads that this checkpoint does not "
                f"have; use one of {', '.join(usable_kinds)}"
            )
    misfit = find_misfit(exits, depths)
    if misfit is not None:
        raise ConfigError(f"{field}.{misfit}")
