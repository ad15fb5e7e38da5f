"""Every file in configs/serve is what Ray Serve and our settings take, the GPU one too."""

from pathlib import Path

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from model_core.config import CONFIG_ROOT, Depths
from model_core.errors import ConfigError
from model_core.policies import POLICIES
from model_core.policy_heads import usable_kinds
from serve.__main__ import main, read_serve_file
from serve.deployment import DEPLOYMENT_NAME, bind_app, build_app
from serve.policies.live_config import LiveConfig
from serve.settings import ServeSettings

# Of Kubernetes, and checked in test_kuberay.py.
RAY_SERVICE = CONFIG_ROOT / "serve" / "kuberay.yaml"
FILES = sorted(set((CONFIG_ROOT / "serve").glob("*.yaml")) - {RAY_SERVICE})


def test_there_is_a_file_for_cpu_and_for_gpu() -> None:
    assert {"cpu", "gpu"} <= {path.stem for path in FILES}


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


def test_autoscaling_asks_for_replicas_before_the_slots_are_full() -> None:
    file = read_serve_file(CONFIG_ROOT / "serve" / "autoscaling.yaml")
    autoscaling = file.options["autoscaling_config"]
    num_slots = ServeSettings.resolve(file.values).num_slots
    assert autoscaling["target_ongoing_requests"] == 0.75 * num_slots
    assert 1 <= autoscaling["min_replicas"] < autoscaling["max_replicas"]
    deployment = bind_app(ServeSettings.resolve(file.values), file.options)._bound_deployment
    assert deployment._deployment_config.autoscaling_config.max_replicas == 4
    assert deployment.user_config == file.options["user_config"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_live_config_of_the_file_is_one_that_the_shipped_model_takes(path: Path) -> None:
    config = LiveConfig.parse(read_serve_file(path).options.get("user_config") or {})
    config.check_model(Depths(6, 6), usable_kinds(POLICIES, ()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_replica_reserves_a_core_per_torch_thread(path: Path) -> None:
    file = read_serve_file(path)
    assert file.options["ray_actor_options"]["num_cpus"] >= file.values["num_threads"]


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
