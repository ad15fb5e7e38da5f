"""Grids of policies, from safe to cheap: what calibration searches and the sweep measures."""

from collections.abc import Sequence
from typing import cast

from model_core.config import CatchUp, ExitConfig
from model_core.policies import (
    POLICIES,
    AnyPolicy,
    ExitPolicy,
    ExitSite,
    NeverPolicy,
    ThresholdDecay,
)

FIXED_DEPTH = "fixed_depth"
NUMBERS = ("threshold", "patience", "depth")  # what a policy is set by, the first it has
FEW = 6  # settings that are all tried
NEVER = "never"  # full depth: adds no setting
DECODER_KINDS = tuple(kind for kind, policy in POLICIES.items() if policy.grid)
ENCODER_KINDS = ("similarity", FIXED_DEPTH)  # an encoder has no exit head
SEARCHED_DECODER_KINDS = (*DECODER_KINDS, FIXED_DEPTH)


def policies_of(kind: str, num_layers: int, first_exit: int = 1) -> list[AnyPolicy]:
    """Policies of one kind, safe to cheap; full depth is not among them."""
    return list(cast("Sequence[AnyPolicy]", POLICIES[kind].settings(num_layers, first_exit)))


def site_paths(
    site: ExitSite, kind: str, num_layers: int, has_steps: bool, first_exit: int = 1
) -> list[list[AnyPolicy]]:
    """Paths of policies of one kind at one site, each safe to cheap.

    Every other threshold of many is fine enough to find a neighbourhood. In the decoder of a task
    that takes several steps, similarity has a second path: MuE's falling thresholds (arXiv
    2211.11152, ``beta`` 0.95 and ``tau`` 1), which begin near their number and end about 0.03
    below it.
    """
    policies = policies_of(kind, num_layers, first_exit)
    coarse = policies[1::2] if len(policies) > FEW else policies
    paths = [coarse]
    if site is ExitSite.DECODER and kind == "similarity" and has_steps:
        falling = {"decay": ThresholdDecay()}
        paths.append([policy.model_copy(update=falling) for policy in coarse])
    return paths


def describe_policy(policy: ExitPolicy) -> str:
    """Its kind, its one number, and what else differs from the defaults in brackets."""
    values = policy.model_dump()
    words = [str(values.pop("kind"))]
    number = next((name for name in NUMBERS if name in values), None)
    if number is not None:
        words.append(f"{values.pop(number):g}")
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
    if exits.lookahead is not None:
        sites.append(f"lookahead {exits.lookahead}")
    return ", ".join(sites) or "full depth"
