"""A small benchmark with figures that can be checked."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.benchmark.results import Benchmark, read_benchmarks


def point(family: str, name: str, saved: float, quality: float, **more: Any) -> dict[str, Any]:
    rule = {"kind": "fixed_depth", "depth": 2}
    return {
        "family": family,
        "name": name,
        "exits": {"decoder": rule},
        "metrics": {"cider": {"value": quality, "low": quality - 0.02, "high": quality + 0.02}},
        "saving": {"layers": saved, "flops": saved / 2},
        "commit": "0123456789ab",
        "unknown": "passed over",
        **more,
    }


def times(saved: float) -> dict[str, Any]:
    spread = {"median": 10.0, "p10": 9.0, "p90": 12.0}
    one = {"ms": spread, "ms_without_stem": spread, "wall": saved, "wall_without_stem": 2 * saved}
    return {"1": one, "16": one}


SWEEP = {
    "task": "caption",
    "split": "test",
    "metric": "cider",
    "num_examples": 1000,
    "num_timed": 32,
    "conditions": {
        "model": "offramp-s",
        "checkpoint": "54bd11bbbedaaa21",
        "device": "cpu",
        "dtype": "float32",
        "num_threads": 1,
        "processor": "AMD EPYC",
    },
    "points": [
        point("full", "full", 0.0, 0.50, times=times(0.0)),
        point("fixed_decoder", "decoder fixed_depth 4", 0.2, 0.49),
        point("fixed_decoder", "decoder fixed_depth 3", 0.4, 0.40),
        point("fixed_decoder", "decoder fixed_depth 2", 0.6, 0.41),
        point("similarity", "decoder similarity 0.9", 0.4, 0.50, times=times(0.1)),
        point("similarity", "decoder similarity 0.5", 0.7, 0.30),
        point("oracle", "decoder", 0.5, 0.50, exits=None),
    ],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Results of one task beside a study that is no sweep."""
    results = tmp_path / "results"
    results.mkdir()
    (results / "caption.json").write_text(json.dumps(SWEEP))
    (results / "judgments.json").write_text(json.dumps({"experts": {}}))
    (results / "entailment.partial.json").write_text("{}")
    return results


@pytest.fixture
def benchmark_results(folder: Path) -> Benchmark:
    return read_benchmarks(folder)["caption"]
