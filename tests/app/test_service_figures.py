"""Figures of a Prometheus text small enough to check by hand."""

from types import SimpleNamespace

import pytest

from app.client import Client
from app.errors import ServiceError
from app.service_figures import read_figures
from app.tabs.service import TAB_LABEL, show_figures, wake
from tests.app.conftest import METRICS


def test_counters_become_figures() -> None:
    figures = read_figures(METRICS)
    assert figures.replicas == ("r1",)
    assert figures.mean_depths == {"image": 2.5, "decoder": 3.25}
    assert figures.layers_saved["decoder"] == pytest.approx(55 / 120)
    assert figures.flops_saved == pytest.approx(0.25)
    assert figures.requests == {"200": 8.0, "429": 2.0}
    assert figures.cache == {"hit": 3.0, "miss": 5.0}
    assert figures.presets == {"balanced": 6.0, "explicit": 2.0}
    assert figures.gauges == {"queue_length": 2.0}


def test_metric_without_a_place_is_shown_as_it_is() -> None:
    figures = read_figures(METRICS)
    assert figures.audit == {"audit_checked_total (verdict same)": 9.0}
    assert figures.others == {"brand_new": 7.0}


def test_service_that_counts_nothing_yet_gives_no_figures() -> None:
    figures = read_figures("")
    assert figures.mean_depths == {}
    assert figures.flops_saved is None


def test_text_that_is_no_metrics_is_refused() -> None:
    with pytest.raises(ServiceError, match="in a form this page cannot read"):
        read_figures("<html>\n}{ offramp")


def test_tab_shows_what_the_service_says(client: Client) -> None:
    html = show_figures(client)
    assert "3.25 of 6 layers" in html
    assert "46 % saved" in html
    assert "0 of 16" in html
    assert "balanced (default)" in html
    assert "audit_checked_total" in html


def test_service_that_is_down_is_a_sentence(down_client: Client) -> None:
    assert "does not answer" in show_figures(down_client)


@pytest.mark.parametrize(("tab", "is_awake"), [(TAB_LABEL, True), ("Caption", False)])
def test_timer_runs_while_its_tab_is_open(tab: str, is_awake: bool) -> None:
    assert wake(SimpleNamespace(value=tab)).active is is_awake  # type: ignore[arg-type]
