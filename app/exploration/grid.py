"""The settings of a sweep: full depth, fixed depths, and thresholds from safe to cheap.

All sites move together: one step of the sweep takes each site the same share of the way from its
safest value to its cheapest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, ValidationError

from app.controls import LAYER_COUNTS, NO_VALUE_KIND, SITES, rule_fields
from app.errors import InputError
from serve.rules import ExitRules, FixedDepthRule

MAX_THRESHOLDS = 20
NUM_FIXED = 3
FULL_NAME = "full depth"


class Family(StrEnum):
    """What a setting is there for."""

    FULL = "full depth"
    FIXED = "fixed depths"
    SWEPT = "thresholds"


@dataclass(frozen=True)
class Setting:
    """One setting of a sweep."""

    name: str
    family: Family
    rules: ExitRules


@dataclass(frozen=True)
class SiteRange:
    """What one site does in a sweep: a kind of rule, and its value at both ends."""

    kind: str
    safest: float
    cheapest: float


def make_settings(
    ranges: Mapping[str, SiteRange], num_thresholds: int, has_fixed: bool, layers: tuple[int, int]
) -> tuple[Setting, ...]:
    """The settings, full depth first; equal ones once.

    Args:
        ranges: By site.
        num_thresholds: Steps from the safest to the cheapest.
        has_fixed: Whether fixed depths stand beside them.
        layers: Of encoder and decoder.

    Raises:
        InputError: A value is outside what the wire format allows, or there is nothing to sweep.
    """
    rules = [(Family.FULL, ExitRules())]
    if has_fixed:
        rules += [(Family.FIXED, fixed_rules(*depths)) for depths in spread_depths(*layers)]
    if any(site.kind != NO_VALUE_KIND for site in ranges.values()):
        rules += [(Family.SWEPT, swept) for swept in sweep_rules(ranges, num_thresholds)]
    unique: dict[str, Setting] = {}
    for family, each in rules:
        unique.setdefault(describe_rules(each), Setting(describe_rules(each), family, each))
    if len(unique) == 1:
        raise InputError("Nothing to sweep: give a site another rule than `never`.")
    return tuple(unique.values())


def spread_depths(encoder: int, decoder: int) -> list[tuple[int, int]]:
    """A few depths of encoder and decoder below the last, shallowest first."""
    deepest = max(encoder, decoder)
    count = min(NUM_FIXED, deepest - 1)
    steps = [1 + round(number * (deepest - 2) / max(count - 1, 1)) for number in range(count)]
    return [(-(-step * encoder // deepest), -(-step * decoder // deepest)) for step in steps]


def fixed_rules(encoder: int, decoder: int) -> ExitRules:
    """Every site at a fixed depth."""
    side = FixedDepthRule(kind="fixed_depth", depth=encoder)
    words = FixedDepthRule(kind="fixed_depth", depth=decoder)
    return ExitRules(image=side, text=side, decoder=words)


def sweep_rules(ranges: Mapping[str, SiteRange], count: int) -> list[ExitRules]:
    """``count`` steps from the safest values to the cheapest."""
    shares = [number / (count - 1) for number in range(count)] if count > 1 else [0.0]
    return [rules_at(ranges, share) for share in shares]


def rules_at(ranges: Mapping[str, SiteRange], share: float) -> ExitRules:
    """The rules at a share (0..1) of the way.

    Raises:
        InputError: A value is outside what the wire format allows.
    """
    fields = {name: site_fields(site, share) for name, site in ranges.items()}
    try:
        return ExitRules.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = " ".join(str(part) for part in first["loc"])
        raise InputError(f"The range for {place} is not possible: {first['msg']}.") from error


def site_fields(site: SiteRange, share: float) -> dict[str, object]:
    """The wire fields of one site."""
    value = site.safest + share * (site.cheapest - site.safest)
    rounded = round(value) if site.kind in LAYER_COUNTS else round(value, 4)
    return rule_fields(site.kind, rounded)


def describe_rules(rules: ExitRules) -> str:
    """A setting in few words; sites that run every layer are left out."""
    words = {site: describe_rule(getattr(rules, site)) for site in SITES}
    given = {site: word for site, word in words.items() if word}
    if not given:
        return FULL_NAME
    values = list(given.values())
    if len(values) == len(SITES) and all(one == other for one, other in pairwise(values)):
        return f"{values[0]} everywhere"
    return ", ".join(f"{site} {word}" for site, word in given.items())


def describe_rule(rule: BaseModel) -> str:
    """Kind and value of one rule; nothing where every layer runs."""
    fields = rule.model_dump()
    if fields["kind"] == NO_VALUE_KIND:
        return ""
    value = fields[LAYER_COUNTS.get(fields["kind"], "threshold")]
    return f"{fields['kind'].replace('_', ' ')} {value:g}"


def site_ranges(values: Sequence[Any]) -> dict[str, SiteRange]:
    """Ranges from the controls' values: kind, safest and cheapest of each site in turn.

    Raises:
        InputError: An end is missing.
    """
    found = {}
    for index, site in enumerate(SITES):
        kind, safest, cheapest = values[3 * index : 3 * index + 3]
        if kind != NO_VALUE_KIND and (safest is None or cheapest is None):
            raise InputError(f"{site}: give the safest and the cheapest value of {kind}.")
        found[site] = SiteRange(str(kind), float(safest or 0), float(cheapest or 0))
    return found
