"""The Methods tab's callbacks."""

from pathlib import Path

import gradio as gr
import pytest

from app.benchmark.results import RESULTS, read_benchmarks
from app.tabs.methods import Benchmarks, build_tab, choose_task, pressed_number, show


@pytest.fixture(scope="module")
def benchmarks() -> Benchmarks:
    return read_benchmarks(RESULTS)


def test_points_are_drawn_and_listed(benchmarks: Benchmarks) -> None:
    values = show(benchmarks, "caption", "layers", 1, "cider", True)
    assert values.points.count("data-number=") == len(benchmarks["caption"].points)
    assert values.point == ""
    assert values.plot.layout.yaxis.title.text == "cider"


def test_only_timed_points_stand_on_an_axis_of_time(benchmarks: Benchmarks) -> None:
    values = show(benchmarks, "caption", "time without the stem", 16, "cider", False)
    timed = [point for point in benchmarks["caption"].points if 16 in point.times]
    assert values.points.count("data-number=") == len(timed) > 0


def test_pressed_point_shows_its_command(benchmarks: Benchmarks) -> None:
    number = pressed_number(gr.EventData(None, {"number": 1}))
    values = show(benchmarks, "caption", "FLOPs", 1, "cider", True, number)
    assert "--policies fixed_decoder" in values.point
    assert 'aria-current="true"' in values.points


@pytest.mark.parametrize(
    ("task", "sizes", "metric"),
    [
        ("entailment", [1, 4, 16, 32], "accuracy"),
        ("entailment-with-premise", [1, 4, 16, 32], "accuracy"),
        ("tags", [1, 16], "map"),
    ],
)
def test_another_task_brings_its_own_choices(
    benchmarks: Benchmarks, task: str, sizes: list[int], metric: str
) -> None:
    cost, size, metrics, _, points, point = choose_task(benchmarks, task, True)
    assert (size["choices"], size["visible"]) == ([(str(n), n) for n in sizes], bool(sizes)) or (
        size["choices"] == sizes
    )
    assert metrics["value"] == metric
    assert ("time without the stem" in str(cost["choices"])) is bool(sizes)
    assert points.count("data-number=") == len(benchmarks[task].points)
    assert point == ""


async def test_installed_package_without_results_says_so(tmp_path: Path) -> None:
    with gr.Blocks(analytics_enabled=False) as page:
        build_tab(tmp_path)
    assert "results are not here" in str(page.get_config_file())


async def test_damaged_results_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "caption.json").write_text("{")
    with gr.Blocks(analytics_enabled=False) as page:
        build_tab(tmp_path)
    assert "caption.json cannot be shown" in str(page.get_config_file())
