"""Every method with one setting: chosen on another split, reported on this one.

Each family is given the cheapest setting that keeps a share of full depth's quality on the tuning
split; what that setting is worth on the sweep's own split is the row. So a row may keep less than
was asked for, and nothing in it was chosen on the figures that it shows.
"""

from collections.abc import Mapping

from model_core.evaluation.bars import LARGE_BATCH, MISSING, SMALL_BATCH, kept_share, percent
from model_core.evaluation.family_choice import tuned
from model_core.evaluation.fixed_curve import Comparison, MeasuredSweep, compare, time_measure
from model_core.evaluation.points import (
    FAMILIES,
    FIXED_DECODER,
    FIXED_IMAGE,
    FIXED_JOINT,
    FIXED_MIXED,
    JOINT_SUFFIX,
    LOSSLESS,
    ORACLE,
    method_families,
)
from model_core.evaluation.results import PointResult, SweepResults
from model_core.evaluation.tables import difference_cell, estimate_cell, metric_label, table
from model_core.policies import ExitSite

SHARES = (0.99, 0.95)
NOTHING = "nothing keeps it"
METHODS: Mapping[str, str] = {
    FIXED_DECODER: "fixed depth of the decoder",
    FIXED_IMAGE: "fixed depth of the image",
    FIXED_JOINT: "fixed depths of everything",
    FIXED_MIXED: "fixed depths, shallow encoder",
    LOSSLESS: "lossless drafts (LayerSkip, arXiv 2404.16710)",
    "similarity": "similarity (CALM's saturation, arXiv 2207.07061)",
    "classifier": "classifier (CALM, arXiv 2207.07061)",
    "confidence": "confidence (DEED, arXiv 2311.08623)",
    "entropy": "entropy (DeeBERT, arXiv 2004.12993)",
    "margin": "margin (CALM's softmax gap, arXiv 2207.07061)",
    "patience": "patience (PABEE, arXiv 2006.04152)",
    "shallow_exit": "one shallow exit (FREE, arXiv 2310.05424)",
    "palbert": "Q-exit (PALBERT, arXiv 2204.03276)",
    "jei_dnn": "gates (JEI-DNN, arXiv 2310.09163)",
    f"similarity_{ExitSite.IMAGE}": "similarity of the image",
    f"similarity_{ExitSite.TEXT}": "similarity of the text",
    f"similarity{JOINT_SUFFIX}": "similarity everywhere (MuE, arXiv 2211.11152)",
}
HEADINGS = (
    *("layers saved", "FLOPs saved", f"time saved, batch {SMALL_BATCH}", f"batch {LARGE_BATCH}"),
    f"beside fixed depths of the same time, batch {SMALL_BATCH}",
)
EXPLANATION = (
    "Each method has the cheapest setting that keeps the share on {tuning} examples of "
    "{split}; the figures are what that setting is worth on {held_out}, where it may keep less. "
    "Differences and brackets are paired 95 % intervals over photos. Time is without the stem. The "
    "last column is quality less that of a mixture of fixed depths at the same sites that takes "
    "the same time: a method earns its place where the whole bracket is above 0."
)


def method_table(sweep: MeasuredSweep, tuning: SweepResults, share: float) -> list[str]:
    """The lines of the table for one task and one share of full depth's quality."""
    results = sweep.results
    label = metric_label(results.metric)
    headings = ["method", "setting", label, "against full depth", *HEADINGS]
    rows = [_row(sweep, "full depth", results.full, is_reference=True)]
    families = [name for name in method_families(list(FAMILIES)) if tuning.family(name)]
    for family in families:
        point = tuned(results, tuning, family, share)
        if point is None:
            rows.append([METHODS[family], NOTHING, *([MISSING] * (len(headings) - 2))])
        else:
            rows.append(_row(sweep, METHODS[family], point))
    rows += [_row(sweep, METHODS[LOSSLESS], point) for point in results.family(LOSSLESS)]
    for point in results.family(ORACLE):
        rows.append(_row(sweep, f"oracle of the {point.name}", point, is_reference=True))
    return table(headings, rows)


def explanation(sweep: MeasuredSweep, tuning: SweepResults) -> str:
    """What the rows are, and are not."""
    return EXPLANATION.format(
        tuning=tuning.num_examples, split=tuning.split, held_out=sweep.results.split
    )


def _row(
    sweep: MeasuredSweep, name: str, point: PointResult, *, is_reference: bool = False
) -> list[str]:
    metric = point.metrics[sweep.results.metric]
    return [
        name,
        MISSING if is_reference else f"{point.name} (keeps {kept_share(sweep.results, point):.3f})",
        estimate_cell(metric),
        difference_cell(metric),
        percent(point.saving.layers),
        percent(point.saving.flops),
        *(_time_cell(point, size) for size in (SMALL_BATCH, LARGE_BATCH)),
        MISSING if is_reference else _comparison_cell(sweep, point),
    ]


def _time_cell(point: PointResult, size: int) -> str:
    return percent(point.times[size].wall_without_stem) if size in point.times else MISSING


def _comparison_cell(sweep: MeasuredSweep, point: PointResult) -> str:
    found = compare(sweep, point, time_measure(SMALL_BATCH))
    return MISSING if found is None else describe_comparison(found)


def describe_comparison(found: Comparison) -> str:
    """The difference and its interval, or that no fixed depth is as cheap."""
    if found.difference is None:
        return found.verdict.value
    words = f"{found.difference:+.3f}"
    if found.low is not None and found.high is not None:
        words += f" [{found.low:+.3f}, {found.high:+.3f}]"
    return words


def method_sections(
    sweeps: Mapping[str, MeasuredSweep], tuning: Mapping[str, SweepResults]
) -> list[str]:
    """A section for each task that was tuned: the tables of all shares."""
    lines: list[str] = []
    for name, sweep in sweeps.items():
        if name not in tuning:
            continue
        results = sweep.results
        lines += [f"### {results.task.capitalize()}, {results.split}", ""]
        lines += [explanation(sweep, tuning[name]), ""]
        for share in SHARES:
            lines += [f"At {share:.0%} of full depth's quality on the tuning split:", ""]
            lines += [*method_table(sweep, tuning[name], share), ""]
    return lines
