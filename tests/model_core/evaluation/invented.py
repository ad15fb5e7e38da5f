"""Invented results, for tables, figures and comparisons that can be checked by hand."""

import json
from pathlib import Path

from model_core.config import ExitConfig
from model_core.evaluation.benchmark import Conditions, Spread
from model_core.evaluation.evaluate import MeanDepth, Saving
from model_core.evaluation.intervals import MetricEstimate
from model_core.evaluation.results import PointResult, PointTimes, SweepResults
from tests.dataset import SENTENCES

CONDITIONS = Conditions(
    "caption", 1000, "tiny", "0123456789abcdef", "cpu", "float32", 1, "a CPU", "2"
)


def make_estimate(value: float, full: float = 0.5) -> MetricEstimate:
    change = value - full
    return MetricEstimate(
        value=value,
        low=value - 0.02,
        high=value + 0.02,
        difference=change,
        difference_low=change - 0.01 if change else 0,
        difference_high=change + 0.01 if change else 0,
    )


def make_point(
    family: str, name: str, quality: float, saved: float, ms: float | None = None
) -> PointResult:
    """Full depth scores 0.5 and takes 100 ms (120 with the stem) alone, 50 in a batch of 16."""
    times = {
        1: (120.0, 100.0, ms or 0.0),
        16: (60.0, 50.0, 20 + 0.3 * (ms or 0.0)),
    }
    return PointResult(
        family=family,
        name=name,
        exits=None if family == "oracle" else ExitConfig(),
        num_beams=5 if family == "beams" else 1,
        metrics={"cider": make_estimate(quality), "bleu4": make_estimate(quality / 2, 0.25)},
        variety={"distinct1": 0.1},
        saving=Saving(layers=saved, flops=saved / 2),
        layers_without_text=saved + 0.05 if saved else 0.0,
        mean_depth=MeanDepth(6, 6, 6 - 6 * saved),
        times={}
        if ms is None
        else {
            size: PointTimes(
                Spread(taken + whole - core, 1, 2),
                Spread(taken, 1, 2),
                1 - (taken + whole - core) / whole,
                1 - taken / core,
            )
            for size, (whole, core, taken) in times.items()
        },
        commit="abc",
    )


def make_results(has_times: bool = True) -> SweepResults:
    points = [
        make_point("full", "full", 0.5, 0.0, 100),
        make_point("fixed_decoder", "decoder fixed_depth 1", 0.3, 0.4, 30),
        make_point("fixed_decoder", "decoder fixed_depth 2", 0.45, 0.2, 60),
        make_point("fixed_joint", "all fixed_depth 1", 0.2, 0.6, 20),
        make_point("confidence", "decoder confidence 0.4", 0.49, 0.3, 70),
        make_point("confidence", "decoder confidence 0.8", 0.5, 0.1, 105),
        make_point("similarity_image", "image similarity 0.98", 0.48, 0.1),
        make_point("presets", "balanced", 0.51, 0.25, 50),
        make_point("beams", "full", 0.55, 0.0),
        make_point("oracle", "decoder", 0.5, 0.35),
        make_point("oracle", "image", 0.5, 0.1),
    ]
    if not has_times:
        points = [point.model_copy(update={"times": {}}) for point in points]
    return SweepResults(
        task="caption",
        split="test",
        metric="cider",
        has_constant_text=True,
        num_examples=1000,
        num_timed=64 if has_times else 0,
        conditions=CONDITIONS,
        points=points,
    )


def write_ratings(folder: Path) -> None:
    """Ratings of three captions by experts and of two by the crowd, beside one photo."""
    image = "test0.png"
    experts = [
        {"image": image, "caption": SENTENCES[0] + " today", "scores": [3, 4, 4]},
        {"image": image, "caption": "nothing of this", "scores": [1, 1, 2]},
        {"image": image, "caption": SENTENCES[1], "scores": [4, 4, 4]},
    ]
    crowd = [
        {"image": image, "caption": "A dog on the grass", "yes": 3, "no": 1},
        {"image": image, "caption": "nothing of this", "yes": 0, "no": 3},
    ]
    for name, rows in (("expert", experts), ("crowdflower", crowd)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"judgments_{name}.jsonl").write_text(lines)
