"""Where each dynamic family lies against the fixed-depth curve, in a sentence made from results."""

from collections.abc import Sequence
from itertools import groupby

from model_core.evaluation.fixed_curve import (
    Comparison,
    Measure,
    MeasuredSweep,
    Verdict,
    baseline_families,
    compare,
    measures_of,
)
from model_core.evaluation.points import COPY_SUFFIX, FAMILIES, FIXED_FAMILIES, PRESETS

EXPLANATION = (
    "A dynamic policy earns its place only above the curve of fixed depths at equal cost "
    "(interpolated linearly along their upper edge). A policy of one exit site is set against the "
    "fixed depths of that site, one of several sites and the presets against every fixed setting. "
    "*Level* means that the paired interval of the difference holds 0; brackets give the smallest "
    "and the largest difference, percentages the cost saved."
)


def verdicts(sweep: MeasuredSweep, sizes: Sequence[int] | None = None) -> list[str]:
    """A sentence per dynamic family, as a list; times at these batch sizes (all when None)."""
    families = [name for name in FAMILIES if name not in FIXED_FAMILIES]
    families = [name for name in families if not name.endswith(COPY_SUFFIX)]
    return [
        f"- {verdict(sweep, family, sizes)}"
        for family in (*families, PRESETS)
        if sweep.results.family(family)
    ]


def verdict(sweep: MeasuredSweep, family: str, sizes: Sequence[int] | None = None) -> str:
    """Where the points of a family lie, measure by measure."""
    baseline = baseline_families(family)
    against = "every fixed setting" if len(baseline) > 1 else f"`{baseline[0]}`"
    clauses = []
    for measure in measures_of(sweep.results, sizes):
        clause = _clause(comparisons(sweep, family, measure))
        clauses.append(f"in {measure.name} {clause}")
    return f"`{family}` against {against}: " + "; ".join(clauses) + "."


def comparisons(sweep: MeasuredSweep, family: str, measure: Measure) -> list[Comparison]:
    """Of the family's points that have such a cost, least saved first."""
    found = [compare(sweep, point, measure) for point in sweep.results.family(family)]
    known = [comparison for comparison in found if comparison is not None]
    return sorted(known, key=lambda comparison: comparison.saved)


def _clause(found: Sequence[Comparison]) -> str:
    if not found:
        return "not measured"
    runs = [
        _run(word, list(members))
        for word, members in groupby(found, key=lambda comparison: comparison.verdict)
    ]
    return ", ".join(runs)


def _run(word: Verdict, members: Sequence[Comparison]) -> str:
    ends = [f"{100 * comparison.saved:.0f} %" for comparison in (members[0], members[-1])]
    place = f"at {ends[0]}" if ends[0] == ends[1] else f"from {ends[0]} to {ends[1]}"
    differences = [found.difference for found in members if found.difference is not None]
    if not differences:
        return f"{word} {place}"
    low, high = f"{min(differences):+.3f}", f"{max(differences):+.3f}"
    return f"{word} {place} ({low if low == high else f'{low} to {high}'})"
