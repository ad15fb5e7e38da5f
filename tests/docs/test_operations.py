"""The page of operations names every metric and every alert, and no other."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from serve.cache.result_cache import ResultCache
from serve.engine import Engine, EngineLimits
from serve.service import Service
from serve.settings import ServeSettings
from tests.serve.fakes import FakePredictor, FakeSlots

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS = sorted((ROOT / "configs" / "grafana" / "dashboards").glob("*.json"))
ALERTS = ROOT / "configs" / "prometheus" / "alerts.yaml"
SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
    "info": ("_info",),
}


@pytest.fixture(scope="module")
def kinds() -> Iterator[dict[str, str]]:
    """The kind of each metric that a service has, by its name."""
    settings = ServeSettings(embedded_cache=False)
    engine = Engine(FakeSlots, EngineLimits())
    service = Service(FakePredictor(), engine, ResultCache.from_settings(settings), settings)
    yield {family.name: family.type for family in service.metrics.registry.collect()}
    engine.close(drain_s=0.1)


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def shown_name(name: str, kind: str) -> str:
    return name + {"counter": "_total", "info": "_info"}.get(kind, "")


def test_table_names_every_metric_with_its_kind_and_no_other(
    kinds: dict[str, str], page: str
) -> None:
    rows = dict(re.findall(r"^\| `(offramp_\w+)` \| (\w+) \|", page, flags=re.MULTILINE))
    shown = {shown_name(name, kind): kind.replace("info", "gauge") for name, kind in kinds.items()}
    assert rows == shown


def test_table_names_every_alert_and_no_other(page: str) -> None:
    (group,) = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    rows = re.findall(r"^\| `(Offramp\w+)` \|", page, flags=re.MULTILINE)
    assert rows == [rule["alert"] for rule in group["rules"]]


@pytest.mark.parametrize("path", [*DASHBOARDS, ALERTS], ids=lambda path: path.name)
def test_dashboards_and_alerts_ask_only_for_metrics_that_exist(
    path: Path, kinds: dict[str, str]
) -> None:
    asked = set(re.findall(r"\bofframp_\w+", path.read_text(encoding="utf-8")))
    exist = {name + suffix for name, kind in kinds.items() for suffix in SUFFIXES[kind]}
    assert asked
    assert asked <= exist
