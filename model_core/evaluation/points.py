"""The points of a sweep: fixed depths, the threshold grid of every dynamic policy, presets."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from model_core.config import CatchUp, ExitConfig, load_preset, preset_names
from model_core.evaluation.grids import (
    DECODER_KINDS,
    ENCODER_KINDS,
    FIXED_DEPTH,
    describe_exits,
    policies_of,
)
from model_core.policies import AnyPolicy, FixedDepthPolicy
from model_core.policy_heads import HEADS

FULL = "full"
FIXED_DECODER = "fixed_decoder"
PRESETS = "presets"
ORACLE = "oracle"


class SweepPoint(NamedTuple):
    """One setting of a family; a family is one curve of a plot."""

    family: str
    name: str
    exits: ExitConfig


class Depths(NamedTuple):
    """Layers of the encoder and of the decoder."""

    encoder: int
    decoder: int


Family = Callable[[Depths], list[ExitConfig]]


def _fixed_decoder(depths: Depths) -> list[ExitConfig]:
    return [ExitConfig(decoder=policy) for policy in _fixed(depths.decoder)]


def _fixed_image(depths: Depths) -> list[ExitConfig]:
    return [ExitConfig(image=policy) for policy in _fixed(depths.encoder)]


def _fixed_text(depths: Depths) -> list[ExitConfig]:
    return [ExitConfig(text=policy) for policy in _fixed(depths.encoder)]


def _fixed_joint(depths: Depths) -> list[ExitConfig]:
    """The diagonal; a shallower side goes along in proportion."""
    steps = max(depths)
    found = []
    for step in range(1, steps + 1):
        encoder, decoder = (
            FixedDepthPolicy(depth=math.ceil(step * layers / steps)) for layers in depths
        )
        found.append(ExitConfig(image=encoder, text=encoder, decoder=decoder))
    return found


def _fixed(num_layers: int) -> list[FixedDepthPolicy]:
    return [FixedDepthPolicy(depth=depth) for depth in range(1, num_layers + 1)]


def _grid(kind: str, make_exits: Callable[[AnyPolicy], ExitConfig]) -> Family:
    return lambda depths: [make_exits(policy) for policy in policies_of(kind, depths.decoder)]


def _families() -> dict[str, Family]:
    families: dict[str, Family] = {
        FIXED_DECODER: _fixed_decoder,
        "fixed_image": _fixed_image,
        "fixed_text": _fixed_text,
        "fixed_joint": _fixed_joint,
    }
    for kind in DECODER_KINDS:
        families[kind] = _grid(kind, lambda policy: ExitConfig(decoder=policy))
        families[f"{kind}_{CatchUp.COPY_HIDDEN}"] = _grid(
            kind, lambda policy: ExitConfig(decoder=policy, catch_up=CatchUp.COPY_HIDDEN)
        )
    for kind in ENCODER_KINDS:
        if kind != FIXED_DEPTH:
            families[f"{kind}_image"] = _grid(kind, lambda policy: ExitConfig(image=policy))
            families[f"{kind}_text"] = _grid(kind, lambda policy: ExitConfig(text=policy))
            families[f"{kind}_joint"] = _grid(
                kind, lambda policy: ExitConfig(image=policy, text=policy, decoder=policy)
            )
    return families


FAMILIES: Mapping[str, Family] = _families()


def sweep_points(
    selection: Sequence[str],
    task: str,
    depths: Depths,
    learned_kinds: Collection[str] = tuple(HEADS),
) -> list[SweepPoint]:
    """The points of the chosen families, presets and YAML files, in order; oracles are apart.

    Args:
        selection: Names of ``FAMILIES``, ``presets``, ``oracle`` (which has no point here), or
            presets and YAML files; empty means everything.
        task: Its exits are taken from a preset.
        depths: Layers of the model.
        learned_kinds: Kinds of policy that the model has heads for; everything leaves out others.

    Raises:
        ConfigError: A name is none of these.
    """
    points: list[SweepPoint] = []
    for name in selection or [*_usable_families(depths, learned_kinds), PRESETS]:
        if name in FAMILIES:
            settings = FAMILIES[name](depths)
            points += [SweepPoint(name, describe_exits(exits), exits) for exits in settings]
        elif name == PRESETS:
            points += [_preset(preset, task) for preset in preset_names() if preset != FULL]
        elif name not in (ORACLE, FULL):
            points.append(_preset(name, task))
    return points


def _usable_families(depths: Depths, learned_kinds: Collection[str]) -> list[str]:
    needed = {
        name: {exits.decoder.learned_kind for exits in settings(depths)} - {None}
        for name, settings in FAMILIES.items()
    }
    return [name for name, kinds in needed.items() if kinds <= set(learned_kinds)]


def _preset(name: str, task: str) -> SweepPoint:
    return SweepPoint(PRESETS, name, load_preset(name).for_task(task))
