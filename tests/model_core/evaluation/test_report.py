"""Tables and figures from invented results."""

from pathlib import Path

import pytest

from model_core.config import ExitConfig
from model_core.errors import InputError
from model_core.evaluation.benchmark import Conditions, Spread
from model_core.evaluation.evaluate import MeanDepth, Saving
from model_core.evaluation.intervals import MetricEstimate
from model_core.evaluation.plots import ROWS, figure, panels
from model_core.evaluation.points import FAMILIES
from model_core.evaluation.report import (
    BEGIN,
    END,
    block_of,
    fill_block,
    readme_block,
    results_page,
    write_report,
)
from model_core.evaluation.results import PointResult, PointTimes, SweepResults, write_results

CONDITIONS = Conditions(
    "caption", 1000, "tiny", "0123456789abcdef", "cpu", "float32", 1, "a CPU", "2"
)


def make_point(family: str, name: str, quality: float, saved: float, ms: float) -> PointResult:
    change = quality - 0.5
    return PointResult(
        family=family,
        name=name,
        exits=None if family == "oracle" else ExitConfig(),
        metrics={
            "cider": MetricEstimate(
                value=quality,
                low=quality - 0.02,
                high=quality + 0.02,
                difference=change,
                difference_low=change - 0.01 if change else 0,
                difference_high=change + 0.01 if change else 0,
            )
        },
        saving=Saving(layers=saved, flops=saved / 2),
        mean_depth=MeanDepth(6, 6, 6 - 6 * saved),
        times={}
        if family == "oracle"
        else {
            1: PointTimes(
                Spread(ms + 20, 1, 2), Spread(ms, 1, 2), 1 - (ms + 20) / 120, 1 - ms / 100
            )
        },
        commit="abc",
    )


def make_results(has_times: bool = True) -> SweepResults:
    points = [
        make_point("full", "full", 0.5, 0.0, 100),
        make_point("fixed_decoder", "decoder fixed_depth 1", 0.3, 0.4, 30),
        make_point("fixed_decoder", "decoder fixed_depth 2", 0.45, 0.2, 60),
        make_point("fixed_decoder", "decoder fixed_depth 3", 0.5, 0.0, 100),
        make_point("confidence", "decoder confidence 0.4", 0.49, 0.3, 45),
        make_point("similarity_image", "image similarity 0.98", 0.48, 0.1, 90),
        make_point("presets", "balanced", 0.51, 0.25, 50),
        make_point("oracle", "decoder", 0.5, 0.35, 0),
        make_point("oracle", "image", 0.5, 0.1, 0),
    ]
    if not has_times:
        points = [point.model_copy(update={"times": {}}) for point in points]
    return SweepResults(
        task="caption",
        split="test",
        metric="cider",
        num_examples=1000,
        num_timed=64 if has_times else 0,
        conditions=CONDITIONS,
        points=points,
    )


def test_readme_block_by_hand() -> None:
    block = readme_block({"caption": make_results()}, "docs/results")
    assert block.splitlines() == [
        "**Caption, test.** 1000 examples, tiny (checkpoint 0123456789ab), greedy, float32 on cpu, "
        "code abc. Times: 64 examples, 1 thread, a CPU, torch 2, interleaved with full depth.",
        "",
        "| setting | CIDEr | against full depth | layers saved | FLOPs saved | ms, batch 1 | "
        "time saved | time saved, stem included | mean depth image / text / token |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        "| full depth | 0.500 [0.480, 0.520] | same | 0.0 % | 0.0 % | 100.0 | 0.0 % | 0.0 % | "
        "6.00 / 6.00 / 6.00 |",
        "| `balanced` | 0.510 [0.490, 0.530] | +0.010 [+0.000, +0.020] | 25.0 % | 12.5 % | 50.0 | "
        "50.0 % | 41.7 % | 6.00 / 6.00 / 4.50 |",
        "| decoder fixed_depth 2 | 0.450 [0.430, 0.470] | -0.050 [-0.060, -0.040] | 20.0 % | "
        "10.0 % | 60.0 | 40.0 % | 33.3 % | 6.00 / 6.00 / 4.80 |",
        "| oracle, decoder | 0.500 [0.480, 0.520] | same | 35.0 % | 17.5 % | – | – | – | "
        "6.00 / 6.00 / 3.90 |",
        "",
        "![Caption, test: quality against cost](docs/results/caption.svg)",
        "",
        "Every point, in tables: [docs/results.md](docs/results.md).",
    ]


def test_page_has_every_point_and_every_family_once() -> None:
    results = make_results()
    page = results_page({"caption": results}, "results")
    for point in results.points:
        if point.family not in ("full", "presets", "oracle"):
            assert page.count(f"| {point.name} |") == 1
    assert page.count("### confidence\n") == 1
    assert "### fixed_text" not in page
    assert "(results/caption.svg)" in page


def test_without_times_there_are_no_columns_for_them() -> None:
    block = readme_block({"caption": make_results(has_times=False)}, "results")
    assert "ms, batch" not in block
    assert "Times:" not in block
    assert len(panels(make_results(has_times=False))) == 2


def test_block_is_replaced_and_the_rest_stays() -> None:
    text = f"# Title\n{BEGIN}\nold\n{END}\nend\n"
    filled = fill_block(text, "new\nlines")
    assert filled == f"# Title\n{BEGIN}\nnew\nlines\n{END}\nend\n"
    assert block_of(filled) == "new\nlines"
    assert fill_block(filled, "new\nlines") == filled


@pytest.mark.parametrize("text", ["", f"{BEGIN} only", f"{END} {BEGIN}"])
def test_text_without_a_block_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no block between"):
        fill_block(text, "new")


def test_report_writes_the_same_files_again(tmp_path: Path) -> None:
    folder, readme = tmp_path / "docs" / "results", tmp_path / "README.md"
    write_results(make_results(), folder / "caption.json")
    readme.write_text(f"# Title\n{BEGIN}\n{END}\n")
    written = write_report(folder, readme)
    assert [path.relative_to(tmp_path).as_posix() for path in written] == [
        *("docs/results/caption.svg", "docs/results.md", "README.md")
    ]
    first = [path.read_bytes() for path in written]
    write_report(folder, readme)
    assert [path.read_bytes() for path in written] == first
    assert "(docs/results/caption.svg)" in readme.read_text()


def test_report_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no finished results"):
        write_report(tmp_path, tmp_path / "README.md")


def test_figure_shows_each_family_at_its_cost_and_quality() -> None:
    drawn = figure(make_results())
    axes = drawn.axes
    assert [axis.get_xlabel() for axis in axes[:3]] == [
        panel.label for panel in panels(make_results())
    ]
    assert axes[0].get_ylabel() == "CIDEr"
    curves = {container.get_label(): container for container in axes[0].containers}
    line = curves["fixed_decoder"].lines[0]  # type: ignore[attr-defined]
    assert line.get_xdata().tolist() == pytest.approx([0.6, 0.8, 1.0])
    assert line.get_ydata().tolist() == [0.3, 0.45, 0.5]
    assert {"full depth", "confidence", "presets", "oracle, decoder"} <= set(curves)
    assert "similarity_image" not in curves
    encoder = {container.get_label() for container in axes[3].containers}
    assert {"full depth", "similarity_image", "oracle, image"} == encoder
    timed = {container.get_label(): container for container in axes[2].containers}
    line = timed["fixed_decoder"].lines[0]  # type: ignore[attr-defined]
    assert line.get_xdata().tolist() == pytest.approx([30, 60, 100])
    milliseconds = {container.get_label() for container in axes[2].containers}
    assert "oracle, decoder" not in milliseconds
    legend = axes[2].get_legend()
    assert legend is not None
    assert "oracle, decoder" in [text.get_text() for text in legend.get_texts()]


def test_every_family_is_in_one_row() -> None:
    assert sorted(name for row in ROWS for name in row.families) == sorted(FAMILIES)
