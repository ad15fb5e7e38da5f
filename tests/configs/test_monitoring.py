"""Prometheus, its alerts and Grafana's dashboard: what they refer to exists."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from model_core.config import CONFIG_ROOT

GRAFANA = CONFIG_ROOT / "grafana"
PROMETHEUS = CONFIG_ROOT / "prometheus"


def read_yaml(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return read_yaml(CONFIG_ROOT.parent / "docker-compose.yml")["services"]


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    return json.loads((GRAFANA / "dashboards" / "offramp.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def datasource() -> dict[str, Any]:
    (source,) = read_yaml(GRAFANA / "provisioning/datasources/prometheus.yaml")["datasources"]
    return source


def test_prometheus_asks_the_port_that_replicas_answer_on(services: dict[str, Any]) -> None:
    (job,) = read_yaml(PROMETHEUS / "prometheus.yaml")["scrape_configs"]
    port = services["serve"]["environment"]["OFFRAMP_METRICS_PORT"]
    assert job["static_configs"] == [{"targets": [f"serve:{port}"]}]
    assert services["serve"]["environment"]["OFFRAMP_METRICS_HOST"] == "0.0.0.0"


def test_rule_files_of_prometheus_exist() -> None:
    names = read_yaml(PROMETHEUS / "prometheus.yaml")["rule_files"]
    assert names == ["alerts.yaml"]
    assert (PROMETHEUS / names[0]).is_file()


def test_every_alert_says_when_for_how_long_and_what() -> None:
    (group,) = read_yaml(PROMETHEUS / "alerts.yaml")["groups"]
    for rule in group["rules"]:
        assert set(rule) == {"alert", "expr", "for", "annotations"}
        assert rule["annotations"]["summary"].endswith(".")


def test_grafana_reads_the_prometheus_of_the_compose_file(
    services: dict[str, Any], datasource: dict[str, Any]
) -> None:
    assert datasource["url"] == "http://prometheus:9090"
    assert set(services["prometheus"]["networks"]) & set(services["grafana"]["networks"])


def test_dashboard_reads_that_source_alone(
    dashboard: dict[str, Any], datasource: dict[str, Any]
) -> None:
    parts = [*dashboard["panels"], *dashboard["templating"]["list"]]
    assert {part["datasource"]["uid"] for part in parts} == {datasource["uid"]}


def test_dashboards_are_where_grafana_looks(services: dict[str, Any]) -> None:
    (provider,) = read_yaml(GRAFANA / "provisioning/dashboards/offramp.yaml")["providers"]
    mounts = dict(mount.split(":")[:2] for mount in services["grafana"]["volumes"])
    assert mounts["./configs/grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./configs/grafana/provisioning"] == "/etc/grafana/provisioning"


def test_panels_do_not_overlap_and_say_what_they_show(dashboard: dict[str, Any]) -> None:
    cells = [
        (x, y)
        for panel in dashboard["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert all(panel["description"].endswith(".") for panel in dashboard["panels"])
    assert max(x for x, _ in cells) == 23
