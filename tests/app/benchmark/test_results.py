"""The benchmark's files."""

from pathlib import Path

import pytest

from app.benchmark.results import RESULTS, describe_policy, read_benchmarks
from app.benchmark.words import FAMILY_WORDS
from app.errors import InputError
from model_core.evaluation.results import read_results


def test_sweeps_of_a_folder_are_read_and_other_studies_left(folder: Path) -> None:
    (caption,) = read_benchmarks(folder).values()
    assert (caption.task, caption.batch_sizes, caption.metrics) == ("caption", [1, 16], ["cider"])
    assert [point.is_fixed for point in caption.points] == [True] * 4 + [False] * 3


def test_folder_that_is_not_there_gives_nothing(tmp_path: Path) -> None:
    assert read_benchmarks(tmp_path / "missing") == {}


@pytest.mark.parametrize("text", ["not JSON", '{"metric": "cider"}'])
def test_damaged_file_is_refused_by_name(folder: Path, text: str) -> None:
    (folder / "caption.json").write_text(text)
    with pytest.raises(InputError, match=r"caption\.json cannot be shown"):
        read_benchmarks(folder)


def test_results_of_the_project_are_read_as_they_were_written() -> None:
    found = read_benchmarks(RESULTS)
    assert {"caption", "entailment", "tags"} <= set(found)
    written = read_results(RESULTS / "caption.json")
    read = found["caption"]
    assert [point.name for point in read.points] == [point.name for point in written.points]
    assert read.points[1].times[16].wall == written.points[1].times[16].wall
    assert read.points[1].metrics["cider"].low == written.points[1].metrics["cider"].low


def test_every_family_of_the_project_has_a_name() -> None:
    found = read_benchmarks(RESULTS).values()
    families = {point.family for benchmark in found for point in benchmark.points}
    assert families <= set(FAMILY_WORDS)


def test_policy_of_tags_is_named() -> None:
    assert describe_policy({"kind": "never"}) == "full"
    assert describe_policy({"kind": "fixed_depth", "depth": 2}) == "image fixed_depth 2"
    assert describe_policy({"kind": "confidence", "threshold": 0.4}) == "image confidence 0.4"
