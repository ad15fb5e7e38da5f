"""Points of the benchmark in words."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from app.benchmark.curves import Axes, Cost, fixed_curve, spots_of
from app.benchmark.results import RESULTS, Benchmark, read_benchmarks
from app.benchmark.words import (
    command_of,
    conditions_words,
    family_words,
    plain_words,
    point_html,
    verdict,
)
from model_core.__main__ import build_parser

LAYERS = Axes(Cost.LAYERS, None, "cider")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "A fixed depth"),
        (4, "0.050 above fixed depths that save as much, beyond its own"),
        (5, "Cheaper than any fixed depth"),
        (6, "No setting reaches this"),
    ],
)
def test_verdict_sets_a_point_against_fixed_depths(
    benchmark_results: Benchmark, number: int, words: str
) -> None:
    spots = spots_of(benchmark_results, LAYERS)
    assert verdict(spots[number], fixed_curve(spots)).startswith(words)


def test_verdict_says_when_the_interval_holds_the_curve(benchmark_results: Benchmark) -> None:
    spots = spots_of(benchmark_results, LAYERS)
    spot = replace(spots[4], quality=0.44, low=0.42, high=0.46)
    assert verdict(spot, fixed_curve(spots)) == (
        "0.010 below fixed depths that save as much, which is inside its own 95 % interval."
    )


def test_point_shows_its_figures_command_and_policy(benchmark_results: Benchmark) -> None:
    spots = spots_of(benchmark_results, LAYERS)
    html = point_html("caption", benchmark_results, spots[4], fixed_curve(spots))
    assert "similarity (CALM&#x27;s saturation): decoder similarity 0.9" in html
    assert "0.500 [0.480, 0.520]" in html
    assert "10.0 [9.0, 12.0], 20.0 % saved" in html
    assert "--policies similarity --batch-sizes 1,16" in html
    assert "commit 0123456789ab" in html
    assert 'download="offramp-policy.yaml"' in html


def test_oracle_has_no_policy_to_take_home(benchmark_results: Benchmark) -> None:
    spots = spots_of(benchmark_results, LAYERS)
    assert "download=" not in point_html("caption", benchmark_results, spots[6], [])


def test_command_of_every_point_of_the_project_can_be_parsed() -> None:
    parser = build_parser()
    for name, benchmark in read_benchmarks(RESULTS).items():
        commands = {command_of(name, benchmark, point) for point in benchmark.points}
        for command in commands:
            options = parser.parse_args(shlex.split(command)[3:])
            assert options.split == "test"


def test_premise_is_part_of_its_command(benchmark_results: Benchmark) -> None:
    point = benchmark_results.points[0]
    command = command_of("entailment-with-premise", benchmark_results, point)
    assert "--split test --with-premise --policies full" in command


def test_conditions_name_examples_model_and_machine(benchmark_results: Benchmark) -> None:
    words = conditions_words(benchmark_results)
    assert words.startswith("1000 examples of test; times on 32 of them")
    assert "offramp-s (54bd11bb), float32 on cpu, 1 thread, AMD EPYC" in words


def test_words_of_the_document_lose_their_links(tmp_path: Path) -> None:
    text = "# Title\n\n## In plain words\n\n- Look at [results](results.md).\n\n## Tables\n\nmore\n"
    (tmp_path / "methods.md").write_text(text)
    assert plain_words(tmp_path / "results") == "- Look at results."
    assert plain_words(tmp_path / "elsewhere" / "results") == ""


def test_document_of_the_project_says_when_a_dynamic_method_loses() -> None:
    assert "Start with a fixed depth" in plain_words(RESULTS)


def test_family_without_a_name_keeps_its_own() -> None:
    assert family_words("new_kind") == "new kind"
