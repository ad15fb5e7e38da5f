"""Every file in configs/serve is what Ray Serve and our settings take, the GPU one too."""

from pathlib import Path

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from model_core.config import CONFIG_ROOT
from model_core.errors import ConfigError
from serve.__main__ import main, read_serve_file
from serve.deployment import DEPLOYMENT_NAME, build_app
from serve.settings import ServeSettings

FILES = sorted((CONFIG_ROOT / "serve").glob("*.yaml"))


def test_there_is_a_file_for_cpu_and_for_gpu() -> None:
    assert [path.stem for path in FILES] == ["cpu", "gpu"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file_is_a_serve_config_of_our_deployment(path: Path) -> None:
    schema = ServeDeploySchema.model_validate(yaml.safe_load(path.read_text()))
    application = schema.applications[0]
    assert application.import_path == f"{build_app.__module__}:{build_app.__name__}"
    assert application.deployment_names == [DEPLOYMENT_NAME]
    assert ServeSettings.resolve(application.args).model_fields_set == set(application.args)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file_builds_an_application(path: Path) -> None:
    file = read_serve_file(path)
    assert file.values["api_host"] == "127.0.0.1"
    assert build_app(file.values) is not None


def test_device_and_gpus_agree() -> None:
    for path in FILES:
        file = read_serve_file(path)
        num_gpus = file.options["ray_actor_options"]["num_gpus"]
        assert num_gpus == (1 if file.values["device"] == "cuda" else 0)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_header_names_the_command(path: Path) -> None:
    assert f"# Used by: python -m serve --config configs/serve/{path.name}" in path.read_text()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("applications: [", "is not valid YAML"),
        ("applications: []", "must name one application"),
        ("http_options: {port: many}", "http_options.port"),
    ],
)
def test_wrong_file_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "serve.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_serve_file(path)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config", "nowhere.yaml"],
        ["--set", "num_slots=none"],
        ["--set", "api_keys_file=/nowhere"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("serve: ")
