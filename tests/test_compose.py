"""The compose file and the Dockerfile: valid, closed to the outside, and true to the settings."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from app.benchmark.results import RESULTS
from app.settings import AppSettings
from serve.settings import ServeSettings

ROOT = Path(__file__).resolve().parent.parent
EVERY_SERVICE = ("redis", "serve", "app", "prometheus", "grafana")
SETTINGS = {"serve": ServeSettings, "app": AppSettings}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Any]:
    return compose["services"]


def environment_of(service: dict[str, Any]) -> dict[str, str]:
    """Fixed values: those taken from outside are left out."""
    values = service["environment"].items()
    return {name: value for name, value in values if value is not None and ":+" not in value}


def test_compose_file_matches_the_compose_schema() -> None:
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "check_jsonschema",
            "--builtin-schema",
            "vendor.compose-spec",
            str(ROOT / "docker-compose.yml"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_services_are_redis_serve_and_app_and_who_watches_when_asked(
    services: dict[str, Any],
) -> None:
    profiles = {name: service.get("profiles") for name, service in services.items()}
    always = dict.fromkeys(("redis", "serve", "app"))
    assert profiles == always | {name: ["monitoring"] for name in ("prometheus", "grafana")}


def test_only_the_page_the_api_and_grafana_are_published(services: dict[str, Any]) -> None:
    published = {
        (name, port["target"])
        for name, service in services.items()
        for port in service.get("ports", ())
    }
    assert published == {("serve", 8000), ("app", 7860), ("grafana", 3000)}


def test_grafana_is_published_on_this_machine_alone(services: dict[str, Any]) -> None:
    assert [port["host_ip"] for port in services["grafana"]["ports"]] == ["127.0.0.1"]


@pytest.mark.parametrize(("password", "status"), [("", 1), ("a long one", 0)])
def test_grafana_starts_only_with_a_password(
    services: dict[str, Any], password: str, status: int
) -> None:
    shell, flag, script = services["grafana"]["entrypoint"]
    script = script.replace("$$", "$").replace("/run.sh", "true")
    environment = {"GF_SECURITY_ADMIN_PASSWORD": password, "PATH": os.environ["PATH"]}
    result = subprocess.run(
        [shell, flag, script], env=environment, capture_output=True, text=True, check=False
    )
    assert (result.returncode != 0) == bool(status)
    assert ("set GRAFANA_ADMIN_PASSWORD" in result.stderr) == bool(status)


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_images_that_watch_are_of_one_version(services: dict[str, Any], name: str) -> None:
    assert re.fullmatch(rf"\w+/{name}:v?\d+\.\d+\.\d+", services[name]["image"])


def test_prometheus_is_reached_by_grafana_alone(
    compose: dict[str, Any], services: dict[str, Any]
) -> None:
    assert services["prometheus"]["networks"] == ["monitoring"]
    assert compose["networks"]["monitoring"] == {"internal": True}
    members = {name for name, service in services.items() if "monitoring" in service["networks"]}
    assert members == {"serve", "prometheus", "grafana"}


def test_configuration_cannot_be_written_by_those_who_read_it(services: dict[str, Any]) -> None:
    mounts = [m for name in ("prometheus", "grafana") for m in services[name]["volumes"]]
    assert all(mount.endswith(":ro") for mount in mounts if mount.startswith("./configs/"))


def test_published_ports_stay_on_this_machine_by_default(services: dict[str, Any]) -> None:
    addresses = [port["host_ip"] for name in ("serve", "app") for port in services[name]["ports"]]
    assert addresses == ["${OFFRAMP_BIND:-127.0.0.1}"] * 2


def test_published_ports_are_chosen_by_the_same_names_as_in_the_demo(
    services: dict[str, Any],
) -> None:
    assert services["app"]["ports"][0]["published"] == "${OFFRAMP_PORT:-7860}"
    assert services["serve"]["ports"][0]["published"] == "${OFFRAMP_API_PORT:-8000}"


def test_published_defaults_are_the_defaults_of_the_settings() -> None:
    fields = (AppSettings.model_fields["port"], ServeSettings.model_fields["api_port"])
    assert [field.default for field in fields] == [7860, 8000]


@pytest.mark.parametrize("name", EVERY_SERVICE)
def test_every_service_has_a_health_check(services: dict[str, Any], name: str) -> None:
    assert services[name]["healthcheck"]["test"][0] == "CMD"


def test_service_is_healthy_when_it_is_ready(services: dict[str, Any]) -> None:
    assert "http://127.0.0.1:8000/readyz" in services["serve"]["healthcheck"]["test"][-1]


def test_page_waits_for_the_service_and_the_service_for_redis(services: dict[str, Any]) -> None:
    assert services["app"]["depends_on"] == {"serve": {"condition": "service_healthy"}}
    assert services["serve"]["depends_on"] == {"redis": {"condition": "service_healthy"}}


def test_ray_token_is_required_and_stands_in_no_file(services: dict[str, Any]) -> None:
    environment = services["serve"]["environment"]
    assert environment["RAY_AUTH_MODE"] == "token"
    assert environment["RAY_AUTH_TOKEN"].startswith("${RAY_AUTH_TOKEN:?")


def test_every_container_with_ray_shares_the_token(services: dict[str, Any]) -> None:
    with_ray = {
        name
        for name, service in services.items()
        if "serve" in service.get("command", ()) or "ray" in service.get("command", ())
    }
    with_token = {
        name
        for name, service in services.items()
        if "RAY_AUTH_TOKEN" in service.get("environment", {})
    }
    assert with_token == with_ray == {"serve"}


def test_file_of_keys_is_a_secret_that_the_service_alone_reads(
    compose: dict[str, Any], services: dict[str, Any]
) -> None:
    with_secret = {
        name: service["secrets"] for name, service in services.items() if "secrets" in service
    }
    assert with_secret == {"serve": ["api_keys"]}
    given = services["serve"]["environment"]["OFFRAMP_API_KEYS_FILE"]
    assert given == "${OFFRAMP_API_KEYS_FILE:+/run/secrets/api_keys}"  # empty without a file
    assert compose["secrets"] == {"api_keys": {"file": "${OFFRAMP_API_KEYS_FILE:-/dev/null}"}}


def test_no_secret_stands_in_the_file(services: dict[str, Any]) -> None:
    for service in services.values():
        for name, value in service.get("environment", {}).items():
            if re.search("TOKEN|KEY|PASSWORD|SECRET", name):
                assert value is None or value.startswith("${"), name


@pytest.mark.parametrize("name", ["serve", "app"])
def test_every_offramp_variable_is_a_field_of_the_settings(
    services: dict[str, Any], name: str
) -> None:
    fields = {f"OFFRAMP_{field.upper()}" for field in SETTINGS[name].model_fields}
    given = {key for key in services[name]["environment"] if key.startswith("OFFRAMP_")}
    assert given <= fields


@pytest.mark.parametrize("name", ["serve", "app"])
def test_settings_accept_the_environment_of_the_container(
    services: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in environment_of(services[name]).items():
        monkeypatch.setenv(key, value)
    settings = SETTINGS[name]()
    port = settings.api_port if isinstance(settings, ServeSettings) else settings.port
    host = settings.api_host if isinstance(settings, ServeSettings) else settings.host
    assert (host, port) == ("0.0.0.0", services[name]["ports"][0]["target"])


@pytest.mark.parametrize("path", ["docker-compose.yml", "configs/prometheus/prometheus.yaml"])
def test_every_variable_that_a_comment_names_is_read(services: dict[str, Any], path: str) -> None:
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    comments = "".join(line for line in lines if line.lstrip().startswith("#"))
    named = set(re.findall(r"(?:OFFRAMP|GRAFANA)_[A-Z_]+[A-Z]", comments))
    assert named
    taken = re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    passed = [
        name
        for service in services.values()
        for name, value in service.get("environment", {}).items()
        if value is None
    ]
    assert named <= {*taken, *passed}


def test_object_store_fits_into_shared_memory(services: dict[str, Any]) -> None:
    serve = services["serve"]
    assert serve["shm_size"] == "1gb"
    assert int(serve["environment"]["RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES"]) < 2**30


def test_page_asks_the_service_where_it_listens(services: dict[str, Any]) -> None:
    url = urlsplit(services["app"]["environment"]["OFFRAMP_API_URL"])
    listens_on = services["serve"]["environment"]["OFFRAMP_API_PORT"]
    assert (url.hostname, url.port) == ("serve", int(listens_on))


def test_service_asks_redis_over_a_network_they_share(services: dict[str, Any]) -> None:
    url = urlsplit(services["serve"]["environment"]["REDIS_URL"])
    assert (url.scheme, url.hostname, url.port) == ("redis", "redis", 6379)
    assert set(services["redis"]["networks"]) <= set(services["serve"]["networks"])


def test_redis_cannot_be_reached_from_the_page_or_from_outside(
    compose: dict[str, Any], services: dict[str, Any]
) -> None:
    assert services["redis"]["networks"] == ["cache"]
    assert compose["networks"]["cache"] == {"internal": True}
    assert "cache" not in services["app"]["networks"]


@pytest.mark.parametrize("name", EVERY_SERVICE)
def test_every_container_runs_without_privileges(services: dict[str, Any], name: str) -> None:
    service = services[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", ["serve", "app"])
def test_commands_name_modules_that_can_be_run(services: dict[str, Any], name: str) -> None:
    python, flag, module = services[name]["command"]
    assert (python, flag) == ("python", "-m")
    assert importlib.util.find_spec(f"{module}.__main__") is not None


def test_image_runs_as_a_user_of_its_own_from_pinned_packages() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == ["offramp"]
    assert sum("pip install --constraint constraints.txt" in line for line in lines) == 2


def test_image_holds_every_file_that_the_build_names() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = re.findall(r"^COPY (.+) \./?$", text, flags=re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    assert "pyproject.toml" in names
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_keys_are_for_the_user_of_the_image() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    (user,) = re.findall(r"useradd .*--uid (\d+)", dockerfile)
    assert f"chown {user} FILE" in (ROOT / "docker-compose.yml").read_text(encoding="utf-8")


def test_image_holds_the_results_that_the_page_shows() -> None:
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert RESULTS.relative_to(ROOT).as_posix() == "docs/results"
    assert rules.index("!docs/results") > rules.index("docs/*")
    assert "docs" not in rules  # a folder left out as a whole lets nothing of it back in


@pytest.mark.parametrize("name", [".git", ".venv", ".env", "tests", "runs"])
def test_image_leaves_out_what_it_does_not_run(name: str) -> None:
    assert name in (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
