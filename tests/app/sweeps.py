"""Sweeps without a service: settings, examples and outcomes with numbers that can be checked."""

from app.exploration.examples import Example
from app.exploration.grid import Family, Setting
from app.exploration.outcomes import Findings, Outcome, Place
from serve.rules import ExitRules, FixedDepthRule

FULL = Setting("full depth", Family.FULL, ExitRules())
SHALLOW = Setting(
    "decoder fixed_depth 2",
    Family.FIXED,
    ExitRules(decoder=FixedDepthRule(kind="fixed_depth", depth=2)),
)


def outcome(text: str, layers: float, ms: float, is_cached: bool = False) -> Outcome:
    """An answer of ``layers`` out of 12, which costs as many tenths of a GFLOP."""
    return Outcome(text, layers, 12, layers * 1e8, 12e8, ms, 6, 6, layers - 6, is_cached)


def make_findings() -> Findings:
    """Full depth on three photos, a shallow setting on the first two: one caption differs."""
    examples = tuple(
        Example(f"/photos/{name}.png", f"{name}.png", references=(text,))
        for name, text in (
            ("cat", "a cat on a sofa"),
            ("dog", "a dog on the grass"),
            ("boat", "a boat at sea"),
        )
    )
    outcomes = {
        Place(0, 0): outcome("a cat on a sofa", 12, 40),
        Place(0, 1): outcome("a dog on the grass", 12, 60),
        Place(0, 2): outcome("a boat at sea", 12, 80),
        Place(1, 0): outcome("a cat on a sofa", 8, 20),
        Place(1, 1): outcome("a dog in the snow", 8, 30, is_cached=True),
    }
    return Findings("caption", (FULL, SHALLOW), examples, outcomes)
