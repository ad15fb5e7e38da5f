"""The tags of several models as a table: full depth, fixed depths, and the settings chosen."""

from model_core.evaluation.bars import LARGE_BATCH, MISSING, SMALL_BATCH, percent
from model_core.evaluation.grids import describe_policy
from model_core.evaluation.tables import difference_cell, estimate_cell, table
from model_core.evaluation.tag_study import TagPoint, TagResults
from model_core.policies import FixedDepthPolicy, NeverPolicy

HEADINGS = (
    *("heads", "setting", "mAP", "against full depth", "against the first heads"),
    *("micro-F1", "mean depth"),
    *("layers saved", "FLOPs saved", f"ms, batch {SMALL_BATCH}", "time saved"),
    *(f"ms, batch {LARGE_BATCH}", "time saved"),
)
CHOSEN = "chosen"


def tags_section(results: TagResults) -> list[str]:
    """The table with what it is about."""
    return [
        "### Tags: exits of the image encoder (LGViT, arXiv 2308.00255)",
        "",
        f"{results.num_photos} photos of {results.split}, {len(results.words)} words, "
        f"{results.words_per_photo:.2f} a photo. *{CHOSEN.capitalize()}*: the cheapest setting of "
        f"its kind that keeps {results.kept_share:.0%} of full depth's mean average precision on "
        f"{results.num_choice_photos} photos of {results.choice_split}. Time is without the stem, "
        f"of {results.num_timed} photos, interleaved.",
        "",
        *tags_table(results),
        "",
    ]


def tags_table(results: TagResults) -> list[str]:
    """A row for full depth, each fixed depth and each chosen setting of every model."""
    rows = []
    for name, model in results.models.items():
        chosen = set(model.chosen.values())
        for place, point in enumerate(model.points):
            if place in chosen or isinstance(point.policy, NeverPolicy | FixedDepthPolicy):
                rows.append([name, *_cells(point, is_chosen=place in chosen)])
    return table(HEADINGS, rows)


def _cells(point: TagPoint, *, is_chosen: bool) -> list[str]:
    is_full = isinstance(point.policy, NeverPolicy)
    name = "full depth" if is_full else describe_policy(point.policy)
    precision = point.metrics["map"]
    return [
        f"{name} ({CHOSEN})" if is_chosen and not is_full else name,
        estimate_cell(precision),
        difference_cell(precision),
        MISSING if point.against_first is None else difference_cell(point.against_first),
        f"{point.metrics['micro_f1'].value:.3f}",
        f"{point.mean_depth:.2f}",
        percent(point.saving.layers),
        percent(point.saving.flops),
        *(cell for size in (SMALL_BATCH, LARGE_BATCH) for cell in _times(point, size)),
    ]


def _times(point: TagPoint, size: int) -> tuple[str, str]:
    if size not in point.times:
        return MISSING, MISSING
    times = point.times[size]
    return f"{times.ms_without_stem.median:.2f}", percent(times.wall_without_stem)
