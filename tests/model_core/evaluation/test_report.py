"""Pages and figures from invented results."""

from pathlib import Path

import numpy as np
import pytest

from model_core.config import CatchUp, ExitConfig
from model_core.errors import InputError
from model_core.evaluation.findings import Findings, read_findings
from model_core.evaluation.fixed_curve import MeasuredSweep
from model_core.evaluation.judgments import Agreement, JudgmentResult, Judgments
from model_core.evaluation.overview import OVERVIEWS, overview_figure
from model_core.evaluation.plots import ROWS, figure, panels
from model_core.evaluation.points import FAMILIES
from model_core.evaluation.report import (
    BEGIN,
    CONSTANT_TEXT,
    END,
    block_of,
    fill_block,
    readme_block,
    results_page,
    write_report,
)
from model_core.evaluation.results import SweepResults, write_results
from model_core.evaluation.retrieval import Recall, RetrievalPoint, RetrievalResults
from model_core.evaluation.score_file import ExampleScores, scores_path, write_scores
from model_core.evaluation.tables import catch_up_table, metric_table
from model_core.evaluation.verdicts import EXPLANATION
from model_core.policies import ConfidencePolicy
from tests.model_core.evaluation.invented import CONDITIONS, make_point, make_results


def findings_of(results: SweepResults) -> Findings:
    return Findings({"caption": MeasuredSweep(results, None)})


def make_retrieval() -> RetrievalResults:
    return RetrievalResults(
        split="test",
        num_photos=1000,
        num_captions=5000,
        conditions=CONDITIONS,
        points=[
            RetrievalPoint(
                name="full",
                exits=ExitConfig(),
                text_to_image=Recall(at={1: 0.1, 5: 0.3, 10: 0.5}, median_rank=10),
                image_to_text=Recall(at={1: 0.2, 5: 0.4, 10: 0.625}, median_rank=7.5),
                image_depth=6,
                text_depth=5.5,
                layers_saved=0.25 / 6,
            )
        ],
    )


def make_judgments() -> Judgments:
    result = JudgmentResult(
        num_captions=100,
        num_ratings=300,
        num_left_out=2,
        num_without_references=0,
        metrics={"cider": Agreement(tau_c=0.4, tau_b=0.35)},
    )
    return Judgments(experts=result, crowd=result)


def test_readme_block_by_hand() -> None:
    block = readme_block(findings_of(make_results()), "docs/results")
    assert block.splitlines()[:18] == [
        "![Quality against layers saved](docs/results/quality-by-layers.svg)",
        "",
        "![Quality against time without the stem, batch 1]"
        "(docs/results/quality-by-milliseconds.svg)",
        "",
        EXPLANATION,
        "",
        "**Caption, test.** 1000 examples, tiny (checkpoint 0123456789ab), greedy unless beams are "
        "named, float32 on cpu, code abc. Times: 64 examples, 1 thread, a CPU, torch 2, "
        "interleaved with full depth.",
        "",
        "| setting | CIDEr | against full depth | layers saved | without text | FLOPs saved | "
        "ms, batch 1 | time saved | stem included | ms, batch 16 | time saved | stem included | "
        "mean depth image / text / token |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        "| full depth | 0.500 [0.480, 0.520] | same | 0.0 % | 0.0 % | 0.0 % | 100.0 | 0.0 % | "
        "0.0 % | 50.0 | 0.0 % | 0.0 % | 6.00 / 6.00 / 6.00 |",
        "| `balanced` | 0.510 [0.490, 0.530] | +0.010 [+0.000, +0.020] | 25.0 % | 30.0 % | 12.5 % "
        "| 50.0 | 50.0 % | 41.7 % | 35.0 | 30.0 % | 25.0 % | 6.00 / 6.00 / 4.50 |",
        "| decoder fixed_depth 2 | 0.450 [0.430, 0.470] | -0.050 [-0.060, -0.040] | 20.0 % | "
        "25.0 % | 10.0 % | 60.0 | 40.0 % | 33.3 % | 38.0 | 24.0 % | 20.0 % | 6.00 / 6.00 / 4.80 |",
        "| oracle, decoder | 0.500 [0.480, 0.520] | same | 35.0 % | 40.0 % | 17.5 % | – | – | – | "
        "– | – | – | 6.00 / 6.00 / 3.90 |",
        "| full depth, 5 beams | 0.550 [0.530, 0.570] | +0.050 [+0.040, +0.060] | 0.0 % | 0.0 % | "
        "0.0 % | – | – | – | – | – | – | 6.00 / 6.00 / 6.00 |",
        "",
        CONSTANT_TEXT,
        "",
    ]
    start = "Against the fixed depths: `presets` against every fixed setting: in layers above"
    assert block.splitlines()[18].startswith(start)
    assert block.splitlines()[-1].endswith("[docs/results.md](docs/results.md).")
    assert "**Retrieval**" not in block


def test_retrieval_and_judgments_have_their_tables() -> None:
    findings = Findings(findings_of(make_results()).sweeps, make_retrieval(), make_judgments())
    row = "| full | 0.100 | 0.300 | 0.500 | 10 | 0.200 | 0.400 | 0.625 | 7.5 | 6.00 / 5.50 |"
    assert row in readme_block(findings, "results").splitlines()
    page = results_page(findings, "results")
    assert row in page.splitlines()
    assert "| CIDEr | 0.400 | 0.350 | 0.400 | 0.350 |" in page.splitlines()
    assert "experts 300 ratings of 100 captions (2 more left out" in page


def test_page_has_every_point_and_every_family_once() -> None:
    results = make_results()
    page = results_page(findings_of(results), "results")
    for point in results.points:
        if point.family not in ("full", "presets", "oracle", "beams"):
            assert page.count(f"| {point.name} |") == 2  # what it costs, and every metric
    assert page.count("### confidence\n") == 1
    assert "### fixed_text" not in page
    assert "(results/caption.svg)" in page
    assert page.count("of full depth's quality:") == 3


def test_every_metric_by_hand() -> None:
    (point,) = make_results().family("presets")
    assert metric_table([point]) == [
        "| setting | CIDEr | BLEU-4 | distinct1 |",
        "| --- | --- | --- | --- |",
        "| `balanced` | 0.510 [0.490, 0.530] | 0.255 [0.235, 0.275] | 0.100 |",
    ]


def test_catch_up_rules_stand_side_by_side_under_one_policy() -> None:
    results = make_results()
    exits = [ExitConfig(decoder=ConfidencePolicy(threshold=number / 10)) for number in (3, 4)]
    for family, rule, quality in (
        ("confidence", CatchUp.DEFERRED, 0.45),
        ("confidence_copy_hidden", CatchUp.COPY_HIDDEN, 0.4),
    ):
        for setting, name in zip(exits, ("third", "fourth"), strict=True):
            if (family, name) != ("confidence_copy_hidden", "third"):
                point = make_point(family, name, quality, 0.2)
                exit_rule = setting.model_copy(update={"catch_up": rule})
                results.points.append(point.model_copy(update={"exits": exit_rule}))
    assert catch_up_table(results)[2:] == [
        "| fourth | 0.450 [0.430, 0.470] | 0.400 [0.380, 0.420] | 10.0 % | 10.0 % |"
    ]
    assert "### Both catch-up rules" in results_page(findings_of(results), "results")
    assert catch_up_table(make_results()) == []


def test_without_times_there_are_no_columns_for_them() -> None:
    block = readme_block(findings_of(make_results(has_times=False)), "results")
    assert "ms, batch" not in block
    assert "Times:" not in block
    assert "quality-by-milliseconds" not in block
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
    write_results(make_retrieval(), folder / "retrieval.json")
    readme.write_text(f"# Title\n{BEGIN}\n{END}\n")
    written = write_report(folder, readme)
    assert [path.relative_to(tmp_path).as_posix() for path in written] == [
        *("docs/results/caption.svg", "docs/results/quality-by-layers.svg"),
        *("docs/results/quality-by-milliseconds.svg", "docs/results.md", "README.md"),
    ]
    first = [path.read_bytes() for path in written]
    write_report(folder, readme)
    assert [path.read_bytes() for path in written] == first
    assert "(docs/results/quality-by-layers.svg)" in readme.read_text()


def test_findings_are_read_back(tmp_path: Path) -> None:
    scores = ExampleScores(np.arange(2), {"full: full": np.array([0.5, 0.25])})
    write_results(make_results(), tmp_path / "caption.json")
    write_scores(scores, scores_path(tmp_path / "caption.json"))
    write_results(make_judgments(), tmp_path / "judgments.json")
    found = read_findings(tmp_path)
    assert list(found.sweeps) == ["caption"]
    assert found.sweeps["caption"].results == make_results()
    assert found.sweeps["caption"].scores is not None
    assert (found.retrieval, found.judgments) == (None, make_judgments())


def test_damaged_findings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "judgments.json").write_text('{"experts": 1}')
    with pytest.raises(InputError, match=r"judgments\.json: experts"):
        read_findings(tmp_path)


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
    assert line.get_xdata().tolist() == pytest.approx([0.6, 0.8])
    assert line.get_ydata().tolist() == [0.3, 0.45]
    assert {"full depth", "confidence", "presets", "oracle, decoder"} <= set(curves)
    assert "similarity_image" not in curves
    encoder = {container.get_label() for container in axes[3].containers}
    assert {"full depth", "similarity_image", "oracle, image"} == encoder
    timed = {container.get_label(): container for container in axes[2].containers}
    line = timed["fixed_decoder"].lines[0]  # type: ignore[attr-defined]
    assert line.get_xdata().tolist() == pytest.approx([30, 60])
    milliseconds = {container.get_label() for container in axes[2].containers}
    assert "oracle, decoder" not in milliseconds
    legend = axes[2].get_legend()
    assert legend is not None
    assert "oracle, decoder" in [text.get_text() for text in legend.get_texts()]


def test_every_family_is_in_one_row() -> None:
    assert sorted(name for row in ROWS for name in row.families) == sorted(FAMILIES)


def test_overview_shows_the_fixed_depth_curve_and_what_has_to_beat_it() -> None:
    sweeps = findings_of(make_results()).sweeps
    (axis,) = overview_figure(sweeps, OVERVIEWS["quality-by-layers"]).axes
    curves = {container.get_label(): container for container in axis.containers}
    assert {
        *("fixed depths, best of all sites", "fixed depths of the decoder", "confidence"),
        *("presets", "oracle of the decoder", "full depth"),
    } == set(curves)
    line = curves["fixed depths, best of all sites"].lines[0]  # type: ignore[attr-defined]
    assert line.get_xdata().tolist() == pytest.approx([0, 20, 60])
    assert line.get_ydata().tolist() == [0.5, 0.45, 0.2]
    assert [text.get_text() for text in axis.texts] == ["balanced"]
    assert axis.get_ylabel() == "CIDEr"


def test_overview_of_times_has_full_depth_s_milliseconds() -> None:
    sweeps = findings_of(make_results()).sweeps
    (axis,) = overview_figure(sweeps, OVERVIEWS["quality-by-milliseconds"]).axes
    curves = {container.get_label(): container for container in axis.containers}
    assert "oracle of the decoder" not in curves
    line = curves["confidence"].lines[0]  # type: ignore[attr-defined]
    assert line.get_xdata().tolist() == pytest.approx([70, 105])


def test_panel_per_sweep() -> None:
    other = make_results().model_copy(update={"split": "test with premise"})
    sweeps = findings_of(make_results()).sweeps | {"other": MeasuredSweep(other, None)}  # type: ignore[operator]
    axes = overview_figure(sweeps, OVERVIEWS["quality-by-layers"]).axes
    assert [axis.get_title() for axis in axes] == ["caption, test", "caption, test with premise"]
