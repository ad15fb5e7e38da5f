"""The presets from safest to cheapest: the one home of that order.

Imported by the wire format, so nothing here may import the model or Ray.
"""

from typing import Literal, get_args

RankedPreset = Literal["full", "quality", "balanced", "fast"]
PRESET_ORDER: tuple[str, ...] = get_args(RankedPreset)
FULL_PRESET = PRESET_ORDER[0]


def next_safer(name: str) -> str:
    """The preset to fall back to: the one before in the order, or full depth for any other."""
    if name not in PRESET_ORDER:
        return FULL_PRESET
    return PRESET_ORDER[max(0, PRESET_ORDER.index(name) - 1)]


def presets_between(safest: str, cheapest: str) -> tuple[str, ...]:
    """The ranked presets from one to the other, both included; empty where they are reversed."""
    first, last = PRESET_ORDER.index(safest), PRESET_ORDER.index(cheapest)
    return PRESET_ORDER[first : last + 1]
