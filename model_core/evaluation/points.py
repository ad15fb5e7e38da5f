"""The points of a sweep: fixed depths, thresholds of every dynamic policy, presets, beams.

Grids are coarser than those of calibration: a curve needs fewer points than a choice does.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import product
from typing import NamedTuple

from model_core.config import CatchUp, Depths, ExitConfig, preset_exits, preset_names
from model_core.evaluation.grids import (
    DECODER_KINDS,
    ENCODER_KINDS,
    FIXED_DEPTH,
    describe_exits,
    policies_of,
)
from model_core.policies import AnyPolicy, ExitSite, FixedDepthPolicy

FULL = "full"
FIXED_DECODER, FIXED_IMAGE, FIXED_TEXT = "fixed_decoder", "fixed_image", "fixed_text"
FIXED_JOINT, FIXED_MIXED = "fixed_joint", "fixed_mixed"
FIXED_FAMILIES = (FIXED_DECODER, FIXED_IMAGE, FIXED_TEXT, FIXED_JOINT, FIXED_MIXED)
COPY_SUFFIX = f"_{CatchUp.COPY_HIDDEN}"
JOINT_SUFFIX = "_joint"
LOSSLESS = "lossless"
METHODS = "methods"
PRESETS = "presets"
BEAMS = "beams"
ORACLE = "oracle"

NUM_THRESHOLDS = 5  # of a decoder policy, or of one at all three sites
NUM_ENCODER_THRESHOLDS = 3  # of a policy at one modality
NUM_BEAMS = 5
BEAM_PRESETS = (FULL, "balanced", "fast")
COPIED_KINDS = ("similarity", "confidence")  # MuE and CALM, whose rule it is
DRAFT_EXITS, LOOKAHEADS = (1, 2), (2, 4)


class SweepPoint(NamedTuple):
    """One setting of a family; a family is one curve of a plot."""

    family: str
    name: str
    exits: ExitConfig
    num_beams: int = 1


Family = Callable[[Depths], list[ExitConfig]]


def _fixed_decoder(depths: Depths) -> list[ExitConfig]:
    fixed = fixed_depths(depths.decoder, depths.first_exit)
    return [ExitConfig(decoder=policy) for policy in fixed]


def _fixed_image(depths: Depths) -> list[ExitConfig]:
    return [ExitConfig(image=policy) for policy in fixed_depths(depths.encoder)]


def _fixed_text(depths: Depths) -> list[ExitConfig]:
    return [ExitConfig(text=policy) for policy in fixed_depths(depths.encoder)]


def _fixed_joint(depths: Depths) -> list[ExitConfig]:
    """The diagonal; a shallower side goes along in proportion."""
    return [_at_depths(*pair) for pair in _diagonal(depths)]


def _fixed_mixed(depths: Depths) -> list[ExitConfig]:
    """The shallow half of the encoder with the middle of the decoder, off the diagonal."""
    encoder_depths = range(1, math.ceil(depths.encoder / 2) + 1)
    shallowest = max(depths.first_exit, math.ceil(depths.decoder / 3))
    decoder_depths = range(shallowest, 2 * depths.decoder // 3 + 1)
    pairs = product(encoder_depths, decoder_depths)
    return [_at_depths(*pair) for pair in pairs if pair not in _diagonal(depths)]


def _diagonal(depths: Depths) -> list[tuple[int, int]]:
    steps = max(depths.encoder, depths.decoder)
    return [
        (
            math.ceil(step * depths.encoder / steps),
            max(depths.first_exit, math.ceil(step * depths.decoder / steps)),
        )
        for step in range(1, steps)
    ]


def _lossless(depths: Depths) -> list[ExitConfig]:
    """Drafts of the shallowest exits, checked by full depth."""
    exits = (depths.first_exit - 1 + number for number in DRAFT_EXITS)
    drafts = [depth for depth in exits if depth < depths.decoder]
    return [
        ExitConfig(decoder=FixedDepthPolicy(depth=depth), lookahead=lookahead)
        for depth, lookahead in product(drafts, LOOKAHEADS)
    ]


def _at_depths(encoder_depth: int, decoder_depth: int) -> ExitConfig:
    encoder = FixedDepthPolicy(depth=encoder_depth)
    return ExitConfig(image=encoder, text=encoder, decoder=FixedDepthPolicy(depth=decoder_depth))


def fixed_depths(num_layers: int, first_exit: int = 1) -> list[FixedDepthPolicy]:
    """Every exit below the last."""
    return [FixedDepthPolicy(depth=depth) for depth in range(first_exit, num_layers)]


def _grid(kind: str, count: int, make_exits: Callable[[AnyPolicy], ExitConfig]) -> Family:
    return lambda depths: [
        make_exits(policy)
        for policy in evenly(policies_of(kind, depths.decoder, depths.first_exit), count)
    ]


def evenly(policies: Sequence[AnyPolicy], count: int) -> list[AnyPolicy]:
    """``count`` of the policies at equal distances, first and last among them; all if fewer."""
    if len(policies) <= count:
        return list(policies)
    step = (len(policies) - 1) / (count - 1)
    return [policies[round(number * step)] for number in range(count)]


def _copied(family: Family) -> Family:
    """Every other point of a family, with the approximate catch-up rule."""
    return lambda depths: [
        exits.model_copy(update={"catch_up": CatchUp.COPY_HIDDEN}) for exits in family(depths)[1::2]
    ]


def _families() -> dict[str, Family]:
    families: dict[str, Family] = {
        FIXED_DECODER: _fixed_decoder,
        FIXED_IMAGE: _fixed_image,
        FIXED_TEXT: _fixed_text,
        FIXED_JOINT: _fixed_joint,
        FIXED_MIXED: _fixed_mixed,
        LOSSLESS: _lossless,
    }
    for kind in DECODER_KINDS:
        exact = _grid(kind, NUM_THRESHOLDS, lambda policy: ExitConfig(decoder=policy))
        families[kind] = exact
        if kind in COPIED_KINDS:
            families[f"{kind}{COPY_SUFFIX}"] = _copied(exact)
    for kind in ENCODER_KINDS:
        if kind != FIXED_DEPTH:
            families[f"{kind}_{ExitSite.IMAGE}"] = _grid(
                kind, NUM_ENCODER_THRESHOLDS, lambda policy: ExitConfig(image=policy)
            )
            families[f"{kind}_{ExitSite.TEXT}"] = _grid(
                kind, NUM_ENCODER_THRESHOLDS, lambda policy: ExitConfig(text=policy)
            )
            families[f"{kind}{JOINT_SUFFIX}"] = _grid(
                kind,
                NUM_THRESHOLDS,
                lambda policy: ExitConfig(image=policy, text=policy, decoder=policy),
            )
    return families


FAMILIES: Mapping[str, Family] = _families()


def families_of(
    is_one_step: bool,
    depths: Depths,
    learned_kinds: Collection[str],
    has_text_side: bool = True,
) -> list[str]:
    """What a sweep measures by default, the oracle aside.

    Args:
        is_one_step: True for a task whose answer is one token: there is nothing to catch up
            with and nothing to search.
        depths: Layers of the model.
        learned_kinds: Kinds of policy that the model has heads for; others are left out.
        has_text_side: False leaves out the families that differ in the text alone.
    """
    usable = _usable_families(depths, learned_kinds)
    if not has_text_side:
        usable = [name for name in usable if not name.endswith(f"_{ExitSite.TEXT}")]
    if is_one_step:
        needs_steps = (LOSSLESS, *(name for name in usable if name.endswith(COPY_SUFFIX)))
        return [*(name for name in usable if name not in needs_steps), PRESETS]
    return [*usable, PRESETS, BEAMS]


def method_families(families: Sequence[str]) -> list[str]:
    """Of these families those that are tuned on another split: one setting each is reported."""
    return [
        name
        for name in families
        if name not in (PRESETS, BEAMS, ORACLE, LOSSLESS, FIXED_TEXT)
        and not name.endswith(COPY_SUFFIX)
    ]


def sweep_points(selection: Sequence[str], task: str, depths: Depths) -> list[SweepPoint]:
    """The points of the chosen families, presets and YAML files, in order; oracles are apart.

    Args:
        selection: Names of ``FAMILIES``, ``presets``, ``beams`` (``BEAM_PRESETS`` with
            ``NUM_BEAMS`` beams), ``oracle`` (which has no point here), or presets and YAML files.
        task: Its exits are taken from a preset.
        depths: Layers of the model.

    Raises:
        ConfigError: A name is none of these.
    """
    points: list[SweepPoint] = []
    for name in selection:
        if name in FAMILIES:
            settings = FAMILIES[name](depths)
            points += [SweepPoint(name, describe_exits(exits), exits) for exits in settings]
        elif name == PRESETS:
            points += [_preset(preset, task, depths) for preset in preset_names() if preset != FULL]
        elif name == BEAMS:
            points += [_with_beams(preset, task, depths) for preset in BEAM_PRESETS]
        elif name not in (ORACLE, FULL):
            points.append(_preset(name, task, depths))
    return points


def _usable_families(depths: Depths, learned_kinds: Collection[str]) -> list[str]:
    needed = {
        name: {exits.decoder.learned_kind for exits in settings(depths)} - {None}
        for name, settings in FAMILIES.items()
    }
    return [name for name, kinds in needed.items() if kinds <= set(learned_kinds)]


def _preset(name: str, task: str, depths: Depths) -> SweepPoint:
    return SweepPoint(PRESETS, name, preset_exits(name, task, depths))


def _with_beams(name: str, task: str, depths: Depths) -> SweepPoint:
    return SweepPoint(BEAMS, name, preset_exits(name, task, depths), NUM_BEAMS)
