"""The command: simulate and plan from a file, and what it says when there is none."""

from pathlib import Path

import pytest

from serve.capacity import main
from serve.planning.costs import AdmitCost, Costs, StepCost, TaskCost
from serve.planning.page import CapacityFile, read_capacity


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Costs of 10 ms per step with captions of two tokens."""
    step = StepCost(base_ms=10.0, layer_ms=0.0, row_ms=0.0, row_layer_ms=0.0)
    task = TaskCost(admit=AdmitCost(base_ms=0.0, row_ms=5.0), answers=[[1, 1]])
    path = tmp_path / "capacity.json"
    CapacityFile(costs=Costs(policy="full", step=step, tasks={"caption": task})).write(path)
    return path


def run(command: str, file: Path, *options: str) -> int:
    return main([command, "--costs", str(file), "--mix", "caption=1", *options])


def test_simulation_is_a_row(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("simulate", file, "--rate", "0.1", "--seconds", "1000") == 0
    assert "| 0.1 | 1 | 0.1 | 25 | 25 |" in capsys.readouterr().out


def test_plan_is_printed_and_kept(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plan", file, "--rates", "5,20", "--p95-ms", "200") == 0
    table = read_capacity(file).plan_table
    assert table in capsys.readouterr().out
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == ["5", "20"]


def test_page_is_filled(file: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- begin costs -->\n<!-- end costs -->\n", encoding="utf-8")
    assert run("page", file, "--page", str(page)) == 0
    assert "| decoding step | 10.00 ms |" in page.read_text(encoding="utf-8")


def test_without_costs_the_command_says_how_to_measure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("simulate", tmp_path / "none.json", "--rate", "1") == 2
    assert "python -m serve.capacity measure" in capsys.readouterr().err
