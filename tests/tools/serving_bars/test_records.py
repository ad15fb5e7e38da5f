"""Records replace those of their name, and the page says which bars hold."""

from pathlib import Path

import pytest

from serve.load.report import Machine
from tools.serving_bars.__main__ import main
from tools.serving_bars.page import bars_page, service_page, write_service_page
from tools.serving_bars.records import Check, Record, keep_records, read_records

ROOT = Path(__file__).resolve().parents[3]
MACHINE = Machine(processor="p", num_cores=2, python="3.11")


def make_record(name: str, value: float | None) -> Record:
    check = Check(what="ratio", value=value, limit=1.5, is_at_most=False)
    rows: list[dict[str, float | int | str | None]] = [{"": "one", "p50 ms": 123.4, "x": None}]
    return Record(
        name=name, checks=[check], rows=rows, conditions={}, machine=MACHINE, commit="abc"
    )


@pytest.mark.parametrize(
    ("value", "is_at_most", "is_met"),
    [(2.0, True, True), (2.1, True, False), (2.0, False, True), (1.9, False, False)],
)
def test_bar_holds_on_its_side_of_the_limit(value: float, is_at_most: bool, is_met: bool) -> None:
    assert Check(what="", value=value, limit=2.0, is_at_most=is_at_most).is_met is is_met


def test_bar_without_a_value_does_not_hold() -> None:
    assert not Check(what="", value=None, limit=2.0, is_at_most=True).is_met


def test_new_record_replaces_the_old_one_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / "serving.json"
    keep_records(path, [make_record("b", 1.0), make_record("a", 1.0)], ["a", "b"])
    keep_records(path, [make_record("b", 2.0)], ["a", "b"])
    found = [(one.name, one.checks[0].value) for one in read_records(path)]
    assert found == [("a", 1.0), ("b", 2.0)]


def test_page_says_which_bars_hold() -> None:
    records = [make_record("good", 1.6), make_record("bad", 1.4), make_record("gone", None)]
    titles = {name: f"About {name}." for name in ("good", "bad", "gone")}
    page = bars_page(records, titles, ["burst.svg"])
    assert "| good | ratio | 1.6 | at least 1.5 | yes |" in page
    assert "| bad | ratio | 1.4 | at least 1.5 | **no** |" in page
    assert "| gone | ratio | - | at least 1.5 | **no** |" in page
    assert "| one | 123 | - |" in page
    assert "![burst.svg](results/service/burst.svg)" in page


def test_page_of_the_project_says_what_its_file_says() -> None:
    folder = ROOT / "docs" / "results" / "service"
    if not (folder / "serving.json").exists():
        pytest.skip("docs/results holds no measurement of the service")
    assert (ROOT / "docs" / "serving.md").read_text(encoding="utf-8") == service_page(folder)


def test_page_shows_the_bars_and_then_the_soak(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "service"
    keep_records(folder / "soak.json", [make_record("soak", 1.6)], ["soak"])
    keep_records(folder / "serving.json", [make_record("burst", 1.4)], ["burst"])
    write_service_page(folder)
    page = (tmp_path / "serving.md").read_text(encoding="utf-8")
    assert [line for line in page.splitlines() if line.startswith("## ")] == ["## burst", "## soak"]
    assert "| soak | ratio | 1.6 | at least 1.5 | yes |" in page


def test_unknown_measurement_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "speed"]) == 2
    assert "one of cached, hop" in capsys.readouterr().err
