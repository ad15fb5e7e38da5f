"""Grids of policies, from safe to cheap: what calibration searches and the sweep measures."""

from collections.abc import Mapping

from pydantic import TypeAdapter

from model_core.config import CatchUp, ExitConfig
from model_core.policies import (
    AnyPolicy,
    ExitPolicy,
    ExitSite,
    FixedDepthPolicy,
    NeverPolicy,
    ThresholdDecay,
)

THRESHOLDS: Mapping[str, tuple[float, ...]] = {
    "confidence": (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1),
    "classifier": (0.99, 0.98, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5, 0.4, 0.3),
    "similarity": (0.999, 0.995, 0.99, 0.985, 0.98, 0.97, 0.95, 0.925, 0.9, 0.85, 0.8, 0.7),
}
FIXED_DEPTH = "fixed_depth"
DECODER_KINDS = tuple(THRESHOLDS)
ENCODER_KINDS = ("similarity", FIXED_DEPTH)  # an encoder has no exit head
NEVER = "never"  # full depth: adds no setting
SEARCHED_DECODER_KINDS = (*DECODER_KINDS, FIXED_DEPTH)

_POLICY: TypeAdapter[AnyPolicy] = TypeAdapter(AnyPolicy)


def policies_of(kind: str, num_layers: int) -> list[AnyPolicy]:
    """Policies of one kind, safe to cheap; full depth is not among them."""
    if kind == FIXED_DEPTH:
        return [FixedDepthPolicy(depth=depth) for depth in range(num_layers - 1, 0, -1)]
    return [
        _POLICY.validate_python({"kind": kind, "threshold": threshold})
        for threshold in THRESHOLDS[kind]
    ]


def site_paths(
    site: ExitSite, kind: str, num_layers: int, has_steps: bool
) -> list[list[AnyPolicy]]:
    """Paths of policies of one kind at one site, each safe to cheap.

    Every other threshold is fine enough to find a neighbourhood. In the decoder of a task that
    takes several steps, similarity has a second path: MuE's falling thresholds (arXiv 2211.11152,
    ``beta`` 0.95 and ``tau`` 1), which begin near their number and end about 0.03 below it.
    """
    policies = policies_of(kind, num_layers)
    if kind == FIXED_DEPTH:
        return [policies]
    coarse = policies[1::2]
    paths = [coarse]
    if site is ExitSite.DECODER and kind == "similarity" and has_steps:
        falling = {"decay": ThresholdDecay()}
        paths.append([policy.model_copy(update=falling) for policy in coarse])
    return paths


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
