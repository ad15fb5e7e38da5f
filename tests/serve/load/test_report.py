"""Reports add up: percentiles, shares, seconds, and the words around them."""

from pathlib import Path

import pytest

from serve.load.latencies import Latencies, percentile
from serve.load.outcome import Outcome
from serve.load.plot import load_figure, save_figure
from serve.load.report import make_report
from serve.load.table import load_table


def make_outcome(due_s: float, status: int = 200, task: str = "caption", **more: object) -> Outcome:
    facts = {"lag_s": 0.0, "latency_s": 0.1, **more}
    return Outcome(task, due_s, status=status, **facts)  # type: ignore[arg-type]


OUTCOMES = [
    make_outcome(0.5, cache="miss", preset="fast", layers_run=3.0, layers_full=12.0),
    make_outcome(1.0, latency_s=0.5, cache="miss", preset="full", layers_run=9.0, layers_full=12.0),
    make_outcome(1.9, latency_s=0.1, task="tags", cache="hit", preset="fast"),
    make_outcome(2.0, 429, retry_after_s=1.0),
    make_outcome(2.1, 429),
    make_outcome(4.0, 0, task="tags"),
]


def test_percentile_is_a_value_that_occurred() -> None:
    values = [float(value) for value in range(20, 0, -1)]
    assert [percentile(values, share) for share in (0.05, 0.5, 0.95, 0.951, 1.0)] == [
        *(1.0, 10.0, 19.0, 20.0, 20.0)
    ]


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 0.0), ([1.0], 1.1)])
def test_percentile_that_does_not_exist_is_refused(values: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        percentile(values, share)


def test_latencies_are_in_milliseconds() -> None:
    latencies = Latencies.of([0.004, 0.001, 0.003, 0.002])
    assert latencies is not None
    assert (latencies.p50_ms, latencies.p95_ms, latencies.mean_ms) == (2.0, 4.0, 2.5)
    assert Latencies.of([]) is None


def test_counts_rates_and_shares_add_up() -> None:
    report = make_report(OUTCOMES, {})
    assert report.statuses == {0: 1, 200: 3, 429: 2}
    assert report.caches == {"hit": 1, "miss": 2}
    assert report.presets == {"fast": 2, "full": 1}
    assert report.layers_saved == 0.5  # 12 of 24 layers ran
    assert report.retry_after_fraction == 0.5
    assert report.offered_per_s == 1.5  # six calls until 4.0
    assert report.answered_per_s == 1.5  # three answers, the last one at 2.0
    total = report.total
    assert (total.num, total.num_ok, total.num_refused, total.num_failed) == (6, 3, 2, 1)
    assert (report.tasks["tags"].num_ok, report.tasks["tags"].num_failed) == (1, 1)


def test_seconds_are_those_in_which_calls_were_due() -> None:
    seconds = make_report(OUTCOMES, {}).seconds
    assert [(one.second, one.num_due, one.num_ok, one.p95_ms) for one in seconds] == [
        (0, 1, 1, 100.0),
        (1, 2, 2, 500.0),
        (2, 2, 0, None),
        (4, 1, 0, None),
    ]


def test_report_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="had no call"):
        make_report([], {})


def test_table_has_a_row_per_task_and_one_of_all() -> None:
    rows = [line for line in load_table(make_report(OUTCOMES, {})).splitlines() if "|" in line]
    assert rows[2:] == [
        "| caption | 4 | 2 | 2 | 0 | 100.0 | 500.0 | 500.0 | 500.0 |",
        "| tags | 2 | 1 | 0 | 1 | 100.0 | 100.0 | 100.0 | 100.0 |",
        "| all | 6 | 3 | 2 | 1 | 100.0 | 500.0 | 500.0 | 500.0 |",
    ]


def test_same_report_gives_the_same_figure(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        save_figure(load_figure([("run", make_report(OUTCOMES, {}))]), tmp_path / name)
    text = (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert text == (tmp_path / "two.svg").read_text(encoding="utf-8")
