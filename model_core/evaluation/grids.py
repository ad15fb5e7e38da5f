"""Grids of policies, from safe to cheap: what calibration searches and the sweep measures."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

from pydantic import TypeAdapter

from model_core.config import CatchUp, ExitConfig
from model_core.policies import AnyPolicy, ExitPolicy, ExitSite, FixedDepthPolicy, NeverPolicy

THRESHOLDS: Mapping[str, tuple[float, ...]] = {
    "confidence": (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1),
    "classifier": (0.99, 0.98, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5, 0.4, 0.3),
    "similarity": (0.999, 0.995, 0.99, 0.985, 0.98, 0.97, 0.95, 0.925, 0.9, 0.85, 0.8, 0.7),
}
FIXED_DEPTH = "fixed_depth"
DECODER_KINDS = tuple(THRESHOLDS)
ENCODER_KINDS = ("similarity", FIXED_DEPTH)  # an encoder has no exit head

_POLICY: TypeAdapter[AnyPolicy] = TypeAdapter(AnyPolicy)


def policies_of(kind: str, num_layers: int) -> list[AnyPolicy]:
    """Policies of one kind, safe to cheap; full depth is not among them."""
    if kind == FIXED_DEPTH:
        return [FixedDepthPolicy(depth=depth) for depth in range(num_layers - 1, 0, -1)]
    return [
        _POLICY.validate_python({"kind": kind, "threshold": threshold})
        for threshold in THRESHOLDS[kind]
    ]


class EncoderSetting(NamedTuple):
    """One point of the joint grid of both modalities; level 0 is full depth, higher is cheaper."""

    image_level: int
    text_level: int
    exits: ExitConfig


def encoder_grid(kind: str, num_layers: int, has_text: bool) -> list[EncoderSetting]:
    """Joint grid of image and text, safe to cheap, without the point where both are at full depth.

    Args:
        kind: One of ``ENCODER_KINDS``, for both modalities.
        num_layers: Layers of the encoder.
        has_text: False keeps the text at full depth.
    """
    policies = policies_of(kind, num_layers)
    if kind != FIXED_DEPTH:
        policies = policies[1::2]  # two modalities: every other threshold is fine enough
    ladder: Sequence[AnyPolicy] = [NeverPolicy(), *policies]
    texts = ladder if has_text else ladder[:1]
    pairs = product(enumerate(ladder), enumerate(texts))
    grid = [
        EncoderSetting(image_level, text_level, ExitConfig(image=image, text=text))
        for (image_level, image), (text_level, text) in pairs
        if image_level or text_level
    ]
    return sorted(grid, key=lambda setting: setting.image_level + setting.text_level)


def describe_policy(policy: ExitPolicy) -> str:
    """Its kind, its one number, and what else differs from the defaults in brackets."""
    values = policy.model_dump()
    words = [str(values.pop("kind"))]
    words += [f"{values.pop(name):g}" for name in ("threshold", "depth") if name in values]
    extras = [
        " ".join([name, *(_words(value))])
        for name, value in values.items()
        if value != type(policy).model_fields[name].default
    ]
    return " ".join(words) + (f" ({', '.join(extras)})" if extras else "")


def _words(value: object) -> list[str]:
    if isinstance(value, dict):
        return [f"{name} {part}" for name, part in value.items()]
    return [str(value)]


def describe_exits(exits: ExitConfig) -> str:
    """One line: what stands at each site that can leave early; ``full depth`` if none can."""
    sites = [
        f"{site.value} {describe_policy(policy)}"
        for site in ExitSite
        if not isinstance(policy := getattr(exits, site.value), NeverPolicy)
    ]
    if exits.catch_up is not CatchUp.DEFERRED:
        sites.append(exits.catch_up.value)
    return ", ".join(sites) or "full depth"
