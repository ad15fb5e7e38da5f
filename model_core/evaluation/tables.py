"""Results as Markdown tables."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from model_core.config import CatchUp
from model_core.evaluation.bars import MEASURES, MISSING, REMAINING, bar_rows, percent
from model_core.evaluation.conformal import ConformalReport
from model_core.evaluation.intervals import MetricEstimate
from model_core.evaluation.judgments import Judgments
from model_core.evaluation.points import BEAMS, COPY_SUFFIX, FULL, ORACLE, PRESETS
from model_core.evaluation.results import PointResult, SweepResults
from model_core.evaluation.retrieval import CUTS, RetrievalResults

METRIC_LABELS = {"cider": "CIDEr", "rouge_l": "ROUGE-L", "mean_length": "words"} | {
    f"bleu{order}": f"BLEU-{order}" for order in range(1, 5)
}


class Column(NamedTuple):
    """A heading, and a point's cell under it."""

    heading: str
    cell: Callable[[PointResult], str]


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    rule = ["---"] * len(headings)
    return [f"| {' | '.join(cells)} |" for cells in (headings, rule, *rows)]


def cost_table(
    results: SweepResults, points: Sequence[PointResult], sizes: Sequence[int]
) -> list[str]:
    """The headline metric and every saving, with times at these batch sizes."""
    name = results.metric
    columns = [
        Column("setting", setting_name),
        Column(metric_label(name), lambda point: estimate_cell(point.metrics[name])),
        Column("against full depth", lambda point: difference_cell(point.metrics[name])),
        Column("layers saved", lambda point: percent(point.saving.layers)),
    ]
    if results.has_constant_text:
        columns.append(Column("without text", lambda point: percent(point.layers_without_text)))
    columns.append(Column("FLOPs saved", lambda point: percent(point.saving.flops)))
    for size in sizes:
        columns += _time_columns(size)
    columns.append(Column("mean depth image / text / token", _depths_cell))
    return _of_columns(columns, points)


def metric_table(points: Sequence[PointResult]) -> list[str]:
    """Every metric, the headline metric first."""
    first = points[0]
    columns = [Column("setting", setting_name)]
    columns += [
        Column(metric_label(name), lambda point, name=name: estimate_cell(point.metrics[name]))  # type: ignore[misc]
        for name in first.metrics
    ]
    columns += [
        Column(metric_label(name), lambda point, name=name: f"{point.variety[name]:.3f}")  # type: ignore[misc]
        for name in first.variety
    ]
    return _of_columns(columns, points)


def bar_table(results: SweepResults, share: float) -> list[str]:
    """The most that families and presets save at a share of full depth's quality."""
    headings = ["", *(measure.name for measure in MEASURES), REMAINING]
    return table(headings, [[name, *cells] for name, cells in bar_rows(results, share)])


def catch_up_table(results: SweepResults) -> list[str]:
    """Both catch-up rules under the same policy; empty where there is no such pair."""
    name = results.metric
    rows = []
    for copied in (point for point in results.points if point.family.endswith(COPY_SUFFIX)):
        exact = _same_policy(results.family(copied.family.removesuffix(COPY_SUFFIX)), copied)
        rows.append(
            [
                exact.name,
                *(estimate_cell(point.metrics[name]) for point in (exact, copied)),
                *(percent(point.saving.flops) for point in (exact, copied)),
            ]
        )
    label = metric_label(name)
    headings = ["policy", f"{label}, deferred", f"{label}, copy_hidden"]
    return table([*headings, "FLOPs saved, deferred", "copy_hidden"], rows) if rows else []


def _same_policy(points: Sequence[PointResult], copied: PointResult) -> PointResult:
    assert copied.exits is not None
    wanted = copied.exits.model_copy(update={"catch_up": CatchUp.DEFERRED})
    return next(point for point in points if point.exits == wanted)


def retrieval_table(results: RetrievalResults) -> list[str]:
    """Recall both ways at every setting."""
    cuts = [f"R@{cut}" for cut in CUTS]
    headings = ["setting", *(f"{cut}, text to photo" for cut in cuts), "median rank"]
    headings += [*(f"{cut}, photo to text" for cut in cuts), "median rank", "depth photo / text"]
    rows = []
    for point in results.points:
        cells = [point.name]
        for found in (point.text_to_image, point.image_to_text):
            cells += [*(f"{found.at[cut]:.3f}" for cut in CUTS), f"{found.median_rank:g}"]
        rows.append([*cells, f"{point.image_depth:.2f} / {point.text_depth:.2f}"])
    return table(headings, rows)


def conformal_table(report: ConformalReport) -> list[str]:
    """Calibration error of every exit before and after its temperature, and its sets."""
    headings = ["decoder depth", "accuracy", "calibration error", "temperature", "error then"]
    for one in report.exits[0].sets:
        headings += [f"{one.asked:.0%} asked, held", "labels in a set"]
    rows = []
    for found in report.exits:
        cells = [str(found.depth), f"{found.accuracy:.3f}", f"{found.ece:.3f}"]
        cells += [f"{found.temperature:.2f}", f"{found.ece_scaled:.3f}"]
        for one in found.sets:
            cells += [percent(one.coverage), f"{one.mean_size:.2f}"]
        rows.append(cells)
    return table(headings, rows)


def judgment_table(judgments: Judgments) -> list[str]:
    """Kendall's tau of every metric with both sets of ratings."""
    experts, crowd = judgments.experts.metrics, judgments.crowd.metrics
    rows = [
        [metric_label(name)]
        + [
            f"{tau:.3f}"
            for found in (experts[name], crowd[name])
            for tau in (found.tau_c, found.tau_b)
        ]
        for name in experts
    ]
    return table(["metric", "experts, tau-c", "tau-b", "crowd, tau-c", "tau-b"], rows)


def metric_label(name: str) -> str:
    """A metric as people write it."""
    return METRIC_LABELS.get(name, name.replace("_", " "))


def setting_name(point: PointResult) -> str:
    """A point in a table."""
    if point.family == BEAMS:
        name = "full depth" if point.name == FULL else f"`{point.name}`"
        return f"{name}, {point.num_beams} beams"
    if point.family == PRESETS:
        return f"`{point.name}`"
    if point.family == FULL:
        return "full depth"
    return f"oracle, {point.name}" if point.family == ORACLE else point.name


def estimate_cell(metric: MetricEstimate) -> str:
    """Value and interval."""
    return f"{metric.value:.3f} [{metric.low:.3f}, {metric.high:.3f}]"


def difference_cell(metric: MetricEstimate) -> str:
    """Difference to full depth and its paired interval."""
    if metric.difference == metric.difference_low == metric.difference_high == 0:
        return "same"
    return f"{metric.difference:+.3f} [{metric.difference_low:+.3f}, {metric.difference_high:+.3f}]"


def _of_columns(columns: Sequence[Column], points: Sequence[PointResult]) -> list[str]:
    rows = [[column.cell(point) for column in columns] for point in points]
    return table([column.heading for column in columns], rows)


def _time_columns(size: int) -> list[Column]:
    def cell(choose: Callable[[PointResult], str]) -> Callable[[PointResult], str]:
        return lambda point: choose(point) if size in point.times else MISSING

    return [
        Column(
            f"ms, batch {size}",
            cell(lambda point: f"{point.times[size].ms_without_stem.median:.1f}"),
        ),
        Column("time saved", cell(lambda point: percent(point.times[size].wall_without_stem))),
        Column("stem included", cell(lambda point: percent(point.times[size].wall))),
    ]


def _depths_cell(point: PointResult) -> str:
    depth = point.mean_depth
    return " / ".join(f"{value:.2f}" for value in (depth.image, depth.text, depth.decoder))
