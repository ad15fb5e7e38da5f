"""The measured part of a model card: full depth, every exit depth, and what the presets keep."""

from collections.abc import Mapping, Sequence

from model_core.evaluation.bars import MISSING, kept_share
from model_core.evaluation.findings import Findings
from model_core.evaluation.fixed_curve import MeasuredSweep
from model_core.evaluation.points import (
    BEAMS,
    FIXED_DECODER,
    FIXED_IMAGE,
    FIXED_TEXT,
    FULL,
    NUM_BEAMS,
    PRESETS,
)
from model_core.evaluation.results import PointResult, SweepResults
from model_core.evaluation.tables import metric_label, retrieval_table, table

SITES = {FIXED_DECODER: "decoder", FIXED_IMAGE: "image", FIXED_TEXT: "text"}
CAPTION_METRICS = ("cider", "bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "mean_length")


def card_block(findings: Findings) -> str:
    """Tables of the test split, made from a folder of results."""
    lines = ["Full depth (`make bench`):", ""]
    lines += [*table(["", "metrics"], _full_depth_rows(findings.sweeps)), ""]
    lines += ["Every exit depth of one site, the others at full depth:", ""]
    lines += [*_depth_table(findings.sweeps), ""]
    lines += ["Share of full depth's quality that the presets keep:", ""]
    lines += [*_preset_table(findings.sweeps), ""]
    if findings.retrieval:
        lines += ["Retrieval by the encoder alone:", "", *retrieval_table(findings.retrieval), ""]
    return "\n".join(lines).strip("\n")


def _full_depth_rows(sweeps: Mapping[str, MeasuredSweep]) -> list[list[str]]:
    rows = []
    for sweep in sweeps.values():
        results = sweep.results
        title = f"{results.task}, {results.split}"
        rows.append([f"{title}, greedy", _metrics(results.full)])
        rows += [
            [f"{title}, {NUM_BEAMS} beams", _metrics(point)]
            for point in results.family(BEAMS)
            if point.name == FULL
        ]
    return rows


def _metrics(point: PointResult) -> str:
    names = [name for name in CAPTION_METRICS if name in point.metrics] or list(point.metrics)
    values = [f"{metric_label(name)} {point.metrics[name].value:.3f}" for name in names]
    values += [f"{metric_label(name)} {value:.3f}" for name, value in point.variety.items()]
    return ", ".join(values)


def _depth_table(sweeps: Mapping[str, MeasuredSweep]) -> list[str]:
    rows: list[list[str]] = []
    for sweep in sweeps.values():
        results = sweep.results
        for family, site in SITES.items():
            points = results.family(family)
            if points:
                label = f"{metric_label(results.metric)}, {results.split}, {site}"
                rows.append([label, *_values(results, [*points, results.full])])
    width = max((len(row) for row in rows), default=1)
    headings = ["depth", *(str(depth) for depth in range(1, width))]
    return table(headings, [row + [MISSING] * (width - len(row)) for row in rows])


def _values(results: SweepResults, points: Sequence[PointResult]) -> list[str]:
    return [f"{point.metrics[results.metric].value:.3f}" for point in points]


def _preset_table(sweeps: Mapping[str, MeasuredSweep]) -> list[str]:
    names = {
        point.name: None for sweep in sweeps.values() for point in sweep.results.family(PRESETS)
    }
    rows = []
    for sweep in sweeps.values():
        results = sweep.results
        kept = {point.name: kept_share(results, point) for point in results.family(PRESETS)}
        cells = [f"{kept[name]:.3f}" if name in kept else MISSING for name in names]
        rows.append([f"{results.task}, {results.split}", *cells])
    return table(["", *(f"`{name}`" for name in names)], rows)
