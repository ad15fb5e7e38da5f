"""The page holds what the file holds."""

from pathlib import Path

import pytest

from serve.planning.costs import Costs
from serve.planning.page import NOT_YET, CapacityFile, fill_page, filled, read_capacity
from serve.planning.validate import Comparison

ROOT = Path(__file__).resolve().parents[3]
PAGE = "# Scaling\n<!-- begin {0} -->\nold\n<!-- end {0} -->\nafter\n"
COMPARISON = Comparison(num_replicas=2, rate=8.0, what="p50 ms", measured=100.0, simulated=110.0)


def test_blocks_are_made_anew_and_the_rest_is_left(costs: Costs) -> None:
    text = filled(PAGE.format("costs"), CapacityFile(costs=costs))
    assert "| decoding step | 100.00 ms |" in text
    assert "old" not in text and text.startswith("# Scaling\n") and text.endswith("after\n")
    assert filled(text, CapacityFile(costs=costs)) == text


def test_what_is_not_there_is_said(costs: Costs) -> None:
    assert NOT_YET in filled(PAGE.format("plan"), CapacityFile(costs=costs))
    assert NOT_YET in filled(PAGE.format("comparisons"), CapacityFile(costs=costs))


def test_plan_and_comparisons_are_kept_and_shown(costs: Costs, tmp_path: Path) -> None:
    file = (
        CapacityFile(costs=costs)
        .with_plan("captions", "| a |")
        .with_comparisons(costs, [COMPARISON])
    )
    file.write(tmp_path / "capacity.json")
    found = read_capacity(tmp_path / "capacity.json")
    assert found == file
    assert "captions:\n\n| a |" in filled(PAGE.format("plan"), found)
    assert "| 2 | 8.0 | p50 ms | 100.0 | 110.0 | +10% |" in filled(
        PAGE.format("comparisons"), found
    )


def test_block_that_nobody_fills_is_refused(costs: Costs) -> None:
    with pytest.raises(ValueError, match="block 'prices' must be one of"):
        filled(PAGE.format("prices"), CapacityFile(costs=costs))


def test_file_that_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="capacity measure"):
        read_capacity(tmp_path / "none.json")


def test_page_of_the_project_holds_what_its_file_holds() -> None:
    path = ROOT / "docs" / "results" / "service" / "capacity.json"
    if not path.exists():
        pytest.skip("docs/results holds no capacity study")
    page = ROOT / "docs" / "scaling.md"
    text = page.read_text(encoding="utf-8")
    assert filled(text, read_capacity(path)) == text


def test_filled_page_is_written(costs: Costs, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(PAGE.format("costs"), encoding="utf-8")
    fill_page(tmp_path / "page.md", CapacityFile(costs=costs))
    assert "| decoding step |" in (tmp_path / "page.md").read_text(encoding="utf-8")
