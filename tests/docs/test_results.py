"""The figures in the README and on the results page are those of the shipped JSON files."""

from pathlib import Path

import pytest

from model_core.checkpoint import default_checkpoint
from model_core.evaluation.findings import Findings, read_findings
from model_core.evaluation.model_card import card_block
from model_core.evaluation.points import BEAMS, FAMILIES, FULL, ORACLE, PRESETS
from model_core.evaluation.report import (
    BEGIN,
    END,
    block_of,
    methods_block,
    overviews,
    readme_block,
    results_page,
)

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "results"


@pytest.fixture
def findings() -> Findings:
    found = read_findings(FOLDER)
    if not found.sweeps:
        pytest.skip("docs/results holds no finished sweep")
    return found


def test_readme_has_one_block_to_fill() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert (text.count(BEGIN), text.count(END)) == (1, 1)
    assert text.index(BEGIN) < text.index(END)


def test_readme_says_what_the_results_say(findings: Findings) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert block_of(text) == readme_block(findings, "docs/results"), (
        "run: python -m model_core report"
    )


def test_page_says_what_the_results_say(findings: Findings) -> None:
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert text == results_page(findings, "results"), "run: python -m model_core report"


def test_methods_say_what_the_results_say(findings: Findings) -> None:
    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    assert block_of(text) == methods_block(findings), "run: python -m model_core report"


def test_model_card_says_what_the_results_say(findings: Findings) -> None:
    text = (default_checkpoint() / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert block_of(text) == card_block(findings), "run: python -m model_core report"


def test_every_result_has_its_figure(findings: Findings) -> None:
    names = [*findings.sweeps, *overviews(findings)]
    assert [name for name in names if not (FOLDER / f"{name}.svg").is_file()] == []


@pytest.mark.parametrize("family", [FULL, *FAMILIES, PRESETS, BEAMS, ORACLE])
def test_family_is_in_the_glossary(family: str) -> None:
    assert f"`{family}`" in (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
