"""Results as pages: a page of every point, and the block of figures in the README.

Nothing is typed by hand: both are made from the JSON files, and a test fails when the README says
something else.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from model_core.errors import InputError
from model_core.evaluation.bars import LARGE_BATCH, SHARES, SMALL_BATCH
from model_core.evaluation.conformal import ConformalReport
from model_core.evaluation.findings import Findings, read_findings
from model_core.evaluation.fixed_curve import MeasuredSweep
from model_core.evaluation.intervals import CONFIDENCE
from model_core.evaluation.method_table import method_sections
from model_core.evaluation.model_card import card_block
from model_core.evaluation.overview import OVERVIEWS, save_overview
from model_core.evaluation.plots import save_figure
from model_core.evaluation.points import (
    BEAMS,
    FAMILIES,
    FIXED_DECODER,
    FULL,
    ORACLE,
    PRESETS,
)
from model_core.evaluation.results import PointResult, SweepResults
from model_core.evaluation.tables import (
    bar_table,
    catch_up_table,
    conformal_table,
    cost_table,
    judgment_table,
    metric_table,
    retrieval_table,
)
from model_core.evaluation.tag_tables import tags_section
from model_core.evaluation.verdicts import EXPLANATION, verdict, verdicts
from model_core.policies import ExitSite

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
BAR_EXPLANATION = (
    "The most that the points of a family save at that quality, each measure by itself; these "
    "points are chosen on the split shown, so they flatter. Presets are chosen on val. Times are "
    f"without the stem unless it is named; *of it left at batch {LARGE_BATCH}* is the saving there "
    f"over the one at batch {SMALL_BATCH}, of the family's fastest point."
)
CONSTANT_TEXT = (
    "The text side is a constant instruction, encoded once per model: MuE's formula of layers "
    "charges its depth like that of any text, FLOPs and time do not. *Layers saved* is the formula "
    "as it stands; *without text* leaves the instruction out: the image is the encoder's term."
)


def write_report(
    folder: Path, readme: Path, methods: Path | None = None, card: Path | None = None
) -> list[Path]:
    """Figures beside the results, the page above them, the blocks in other pages; what was written.

    Args:
        folder: Of the results.
        readme: Its block gets the chosen rows.
        methods: The page of methods, whose block gets their tables; None leaves it out.
        card: The model card, whose block gets what was measured; None leaves it out.

    Raises:
        InputError: The folder holds no finished sweep, or a page has no block to fill.
    """
    findings = read_findings(folder)
    if not findings.sweeps:
        raise InputError(f"{folder}: holds no finished results; `sweep` writes them")
    written = []
    for name, sweep in findings.sweeps.items():
        written.append(folder / f"{name}.svg")
        save_figure(sweep.results, written[-1])
    for name in overviews(findings):
        written.append(folder / f"{name}.svg")
        save_overview(findings.sweeps, OVERVIEWS[name], written[-1])
    page = folder.parent / f"{folder.name}.md"
    page.write_text(results_page(findings, folder.name), encoding="utf-8")
    link = Path(os.path.relpath(folder, readme.parent)).as_posix()
    blocks = {readme: readme_block(findings, link)}
    if methods is not None:
        blocks[methods] = methods_block(findings)
    if card is not None:
        blocks[card] = card_block(findings)
    for path, block in blocks.items():
        path.write_text(fill_block(path.read_text(encoding="utf-8"), block), encoding="utf-8")
    return [*written, page, *blocks]


def methods_block(findings: Findings) -> str:
    """The tables of all methods, and what the exits' probabilities are worth."""
    lines = method_sections(findings.sweeps, findings.tuning)
    if findings.tags:
        lines += tags_section(findings.tags)
    if findings.conformal:
        lines += _conformal_section(findings.conformal)
    return "\n".join(lines).strip("\n")


def _conformal_section(found: ConformalReport) -> list[str]:
    return [
        "### How far the exits' probabilities can be trusted",
        "",
        f"{found.task.capitalize()}, {found.num_examples} examples of {found.split}; temperature "
        f"and quantiles are from {found.fitted_on}. A prediction set should hold the right label "
        "as often as asked.",
        "",
        *conformal_table(found),
        "",
    ]


def fill_block(text: str, block: str) -> str:
    """``text`` with what stands between the two marks replaced by ``block``.

    Raises:
        InputError: The marks are missing or out of order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"the text has no block between {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{block}\n{END}{after}"


def block_of(text: str) -> str:
    """What stands between the marks; empty when they are missing."""
    return text.partition(BEGIN)[2].partition(END)[0].strip("\n")


def overviews(findings: Findings) -> list[str]:
    """The README's figures that these results are enough for."""
    return [
        name
        for name, overview in OVERVIEWS.items()
        if any(overview.has_points(sweep.results) for sweep in findings.sweeps.values())
    ]


def readme_block(findings: Findings, folder: str) -> str:
    """The chosen rows of every file, with the conditions; ``folder`` is where the figures are."""
    lines = []
    for name in overviews(findings):
        lines += [f"![{OVERVIEWS[name].title}]({folder}/{name}.svg)", ""]
    lines += [EXPLANATION, ""]
    for sweep in findings.sweeps.values():
        lines += _readme_sweep(sweep)
    if findings.retrieval:
        lines += ["**Retrieval**, by the encoder alone:", ""]
        lines += [*retrieval_table(findings.retrieval), ""]
    return "\n".join(
        [
            *lines,
            f"Which method when: [methods.md]({Path(folder).parent.as_posix()}/methods.md). Every "
            "point, every metric, and how far the metrics rank as people do: "
            f"[{folder}.md]({folder}.md).",
        ]
    )


def _readme_sweep(sweep: MeasuredSweep) -> list[str]:
    results = sweep.results
    sizes = [size for size in results.batch_sizes if size in (SMALL_BATCH, LARGE_BATCH)]
    lines = [f"**{title(results)}.** {conditions_of(results)}", ""]
    lines += [*cost_table(results, _chosen(results), sizes), ""]
    if results.has_constant_text:
        lines += [CONSTANT_TEXT, ""]
    if results.family(PRESETS):
        lines += [f"Against the fixed depths: {verdict(sweep, PRESETS, sizes)}", ""]
    return lines


def _chosen(results: SweepResults) -> list[PointResult]:
    fixed = results.family(FIXED_DECODER)
    middle = len(fixed) // 2
    oracle = results.find(f"{ORACLE}: {ExitSite.DECODER}")
    return [
        *results.family(FULL),
        *results.family(PRESETS),
        *fixed[middle : middle + 1],
        *([oracle] if oracle else []),
        *results.family(BEAMS),
    ]


def results_page(findings: Findings, folder: str) -> str:
    """Every point of every file, family by family."""
    lines = [
        "# Results",
        "",
        "Made by `python -m model_core report` from the JSON files beside the figures. Words:",
        "[glossary](glossary.md#sweeps). Brackets hold "
        f"{CONFIDENCE:.0%} intervals over resampled photos; those of differences are paired.",
        "",
    ]
    for name, sweep in findings.sweeps.items():
        lines += _page_sweep(name, sweep, folder)
    if findings.retrieval:
        found = findings.retrieval
        counts = f"{found.num_captions} captions, {found.num_photos} photos of {found.split}"
        lines += ["## Retrieval", "", f"By the encoder alone: {counts}.", ""]
        lines += [*retrieval_table(found), ""]
    if findings.judgments:
        lines += _page_judgments(findings)
    return "\n".join(lines)


def _page_sweep(name: str, sweep: MeasuredSweep, folder: str) -> list[str]:
    results = sweep.results
    lines = [f"## {title(results)}", "", conditions_of(results), ""]
    if results.has_constant_text:
        lines += [CONSTANT_TEXT, ""]
    lines += [f"![quality against cost]({folder}/{name}.svg)", ""]
    lines += ["### Against the fixed depths", "", EXPLANATION, "", *verdicts(sweep), ""]
    lines += ["### The most that is saved", "", BAR_EXPLANATION, ""]
    for share in SHARES:
        lines += [f"At least {share:.0%} of full depth's quality:", ""]
        lines += [*bar_table(results, share), ""]
    if catch_up := catch_up_table(results):
        lines += ["### Both catch-up rules", "", *catch_up, ""]
    for family in (FULL, *FAMILIES, PRESETS, BEAMS, ORACLE):
        if points := results.family(family):
            sizes = results.batch_sizes if any(point.times for point in points) else []
            lines += [f"### {family}", "", *cost_table(results, points, sizes), ""]
    return [*lines, "### Every metric", "", *metric_table(_scored(results)), ""]


def _scored(results: SweepResults) -> Sequence[PointResult]:
    return [point for point in results.points if point.family != ORACLE]


def _page_judgments(findings: Findings) -> list[str]:
    judgments = findings.judgments
    assert judgments is not None
    counts = [
        f"{name} {result.num_ratings} ratings of {result.num_captions} captions "
        f"({result.num_left_out} more left out, being a reference of the photo word for word)"
        for name, result in (("experts", judgments.experts), ("crowd", judgments.crowd))
    ]
    return [
        "## Do the metrics rank as people do?",
        "",
        "Kendall's tau between metric and human rating of captions beside photos of Flickr8k, each "
        f"scored against the photo's references: {'; '.join(counts)}. An expert's score of 1 to 4 "
        "counts by itself, of the crowd the share that said yes; tau-c is the usual figure for the "
        "experts, tau-b for the crowd.",
        "",
        *judgment_table(judgments),
        "",
    ]


def title(results: SweepResults) -> str:
    """Task and split."""
    return f"{results.task.capitalize()}, {results.split}"


def conditions_of(results: SweepResults) -> str:
    """What the figures depend on, in a sentence or two."""
    conditions = results.conditions
    commits = ", ".join(dict.fromkeys(point.commit for point in results.points))
    threads = f"{conditions.num_threads} thread{'s' if conditions.num_threads != 1 else ''}"
    packed = "" if conditions.weights == "float32" else f" with {conditions.weights} weights"
    sentence = (
        f"{results.num_examples} examples, {conditions.model} (checkpoint "
        f"{conditions.checkpoint[:12]}), greedy unless beams are named, "
        f"{conditions.dtype}{packed} on {conditions.device}, code {commits}."
    )
    if results.num_timed:
        sentence += (
            f" Times: {results.num_timed} examples, {threads}, {conditions.processor}, "
            f"torch {conditions.torch_version}, interleaved with full depth."
        )
    return sentence
