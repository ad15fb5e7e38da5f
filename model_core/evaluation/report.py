"""Results as tables: a page of every point, and the block of figures in the README.

Nothing is typed by hand: both are made from the JSON files, and a test fails when the README says
something else.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from model_core.errors import InputError
from model_core.evaluation.intervals import CONFIDENCE, MetricEstimate
from model_core.evaluation.plots import METRIC_LABELS, save_figure
from model_core.evaluation.points import FAMILIES, FIXED_DECODER, FULL, ORACLE, PRESETS
from model_core.evaluation.results import PointResult, SweepResults, complete_results
from model_core.policies import ExitSite

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
MISSING = "–"

Results = Mapping[str, SweepResults]


def write_report(folder: Path, readme: Path) -> list[Path]:
    """Figures beside the results, the page above them, the block in the README; what was written.

    Raises:
        InputError: The folder holds no finished results, or the README has no block to fill.
    """
    results = complete_results(folder)
    if not results:
        raise InputError(f"{folder}: holds no finished results; `sweep` writes them")
    written = []
    for name, result in results.items():
        written.append(folder / f"{name}.svg")
        save_figure(result, written[-1])
    page = folder.parent / f"{folder.name}.md"
    page.write_text(results_page(results, folder.name), encoding="utf-8")
    link = Path(os.path.relpath(folder, readme.parent)).as_posix()
    text = fill_block(readme.read_text(encoding="utf-8"), readme_block(results, link))
    readme.write_text(text, encoding="utf-8")
    return [*written, page, readme]


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


def readme_block(results: Results, folder: str) -> str:
    """The chosen rows of every file, with the conditions; ``folder`` is where the figures are."""
    parts = []
    for name, result in results.items():
        parts += [
            f"**{title(result)}.** {conditions_of(result)}",
            "",
            *_table(result, _chosen(result), is_short=True),
            "",
            f"![{title(result)}: quality against cost]({folder}/{name}.svg)",
            "",
        ]
    return "\n".join([*parts, f"Every point, in tables: [{folder}.md]({folder}.md)."])


def _chosen(result: SweepResults) -> list[PointResult]:
    fixed = result.family(FIXED_DECODER)
    oracle = result.find(f"{ORACLE}: {ExitSite.DECODER}")
    return [
        *result.family(FULL),
        *result.family(PRESETS),
        *fixed[(len(fixed) - 1) // 2 : (len(fixed) + 1) // 2],
        *([oracle] if oracle else []),
    ]


def results_page(results: Results, folder: str) -> str:
    """Every point of every file, family by family."""
    lines = [
        "# Results",
        "",
        "Made by `python -m model_core report` from the JSON files beside the figures. Words:",
        "[glossary](glossary.md#sweeps). Brackets hold "
        f"{CONFIDENCE:.0%} intervals over resampled photos; those of differences are paired.",
        "",
    ]
    for name, result in results.items():
        lines += [f"## {title(result)}", "", conditions_of(result), ""]
        lines += [f"![quality against cost]({folder}/{name}.svg)", ""]
        for family in (FULL, *FAMILIES, PRESETS, ORACLE):
            points = result.family(family)
            if points:
                lines += [f"### {family}", "", *_table(result, points, is_short=False), ""]
    return "\n".join(lines)


def title(result: SweepResults) -> str:
    """Task and split."""
    return f"{result.task.capitalize()}, {result.split}"


def conditions_of(result: SweepResults) -> str:
    """What the figures depend on, in a sentence or two."""
    conditions = result.conditions
    commits = ", ".join(dict.fromkeys(point.commit for point in result.points))
    threads = f"{conditions.num_threads} thread{'s' if conditions.num_threads != 1 else ''}"
    packed = "" if conditions.weights == "float32" else f" with {conditions.weights} weights"
    sentence = (
        f"{result.num_examples} examples, {conditions.model} (checkpoint "
        f"{conditions.checkpoint[:12]}), greedy, {conditions.dtype}{packed} on "
        f"{conditions.device}, "
        f"code {commits}."
    )
    if result.num_timed:
        sentence += (
            f" Times: {result.num_timed} examples, {threads}, {conditions.processor}, "
            f"torch {conditions.torch_version}, interleaved with full depth."
        )
    return sentence


def _table(result: SweepResults, points: Sequence[PointResult], *, is_short: bool) -> list[str]:
    metrics = [result.metric] if is_short else list(points[0].metrics)
    sizes = sorted({size for point in result.points for size in point.times})
    shown = sizes[:1] if is_short else sizes
    header = ["setting", *(METRIC_LABELS.get(name, name) for name in metrics)]
    header += ["against full depth", "layers saved", "FLOPs saved"]
    for size in shown:
        header += [f"ms, batch {size}", "time saved", "time saved, stem included"]
    header.append("mean depth image / text / token")
    rows = [
        [
            _setting(point),
            *(_value(point.metrics[name]) for name in metrics),
            _difference(point.metrics[result.metric]),
            _percent(point.saving.layers),
            _percent(point.saving.flops),
            *(cell for size in shown for cell in _times(point, size)),
            " / ".join(f"{depth:.2f}" for depth in _depths(point)),
        ]
        for point in points
    ]
    rule = ["---"] * len(header)
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]


def _setting(point: PointResult) -> str:
    if point.family == PRESETS:
        return f"`{point.name}`"
    if point.family == FULL:
        return "full depth"
    return f"oracle, {point.name}" if point.family == ORACLE else point.name


def _value(metric: MetricEstimate) -> str:
    return f"{metric.value:.3f} [{metric.low:.3f}, {metric.high:.3f}]"


def _difference(metric: MetricEstimate) -> str:
    if metric.difference == metric.difference_low == metric.difference_high == 0:
        return "same"
    return f"{metric.difference:+.3f} [{metric.difference_low:+.3f}, {metric.difference_high:+.3f}]"


def _percent(share: float) -> str:
    return f"{100 * share + 0.0:.1f} %".replace("-0.0 %", "0.0 %")


def _times(point: PointResult, size: int) -> list[str]:
    times = point.times.get(size)
    if times is None:
        return [MISSING] * 3
    return [
        f"{times.ms_without_stem.median:.1f}",
        _percent(times.wall_without_stem),
        _percent(times.wall),
    ]


def _depths(point: PointResult) -> tuple[float, float, float]:
    depth = point.mean_depth
    return depth.image, depth.text, depth.decoder
