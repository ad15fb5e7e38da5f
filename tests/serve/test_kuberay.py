"""The RayService for Kubernetes: what the operator takes, and what Ray and our settings take.

The operator's own schema is thousands of lines of generated YAML. The one here is reduced to the
documented fields of ``ray.io/v1`` (KubeRay 1.6) that the file may use, so a misspelt or misplaced
field is found; it says nothing of fields that are not in it.
"""

import copy
from typing import Any

import jsonschema
import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from model_core.config import CONFIG_ROOT
from serve.deployment import DEPLOYMENT_NAME, build_app
from serve.policies.live_config import LiveConfig
from serve.settings import ServeSettings

PATH = CONFIG_ROOT / "serve" / "kuberay.yaml"
RAY_PORTS = {6379, 8265, 10001}


def closed(properties: dict[str, Any], required: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


TEXT, COUNT, FLAG = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
OBJECT = {"type": "object"}
PROBE = closed(
    {
        "httpGet": closed({"path": TEXT, "port": COUNT}, ("path", "port")),
        "tcpSocket": closed({"port": COUNT}, ("port",)),
        **dict.fromkeys(
            ("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "failureThreshold"), COUNT
        ),
    }
)
FROM_SECRET = closed(
    {"secretKeyRef": closed({"name": TEXT, "key": TEXT}, ("name", "key"))}, ("secretKeyRef",)
)
VARIABLE = {
    **closed({"name": TEXT, "value": TEXT, "valueFrom": FROM_SECRET}, ("name",)),
    "oneOf": [{"required": ["value"]}, {"required": ["valueFrom"]}],
}
CONTAINER = closed(
    {
        "name": TEXT,
        "image": TEXT,
        "env": {"type": "array", "items": VARIABLE},
        "ports": {
            "type": "array",
            "items": closed({"name": TEXT, "containerPort": COUNT}, ("containerPort",)),
        },
        "resources": closed({"requests": TEXTS, "limits": TEXTS}, ("requests", "limits")),
        "securityContext": OBJECT,
        "readinessProbe": PROBE,
        "livenessProbe": PROBE,
    },
    ("name", "image", "resources"),
)
POD = closed(
    {
        "spec": closed(
            {
                "automountServiceAccountToken": FLAG,
                "terminationGracePeriodSeconds": COUNT,
                "securityContext": OBJECT,
                "containers": {"type": "array", "items": CONTAINER, "minItems": 1},
            },
            ("containers",),
        )
    },
    ("spec",),
)
HEAD = closed(
    {
        "serviceType": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
        "rayStartParams": TEXTS,
        "template": POD,
    },
    ("template",),
)
WORKERS = closed(
    {
        "groupName": TEXT,
        **dict.fromkeys(("replicas", "minReplicas", "maxReplicas"), COUNT),
        "rayStartParams": TEXTS,
        "template": POD,
    },
    ("groupName", "template"),
)
CLUSTER = closed(
    {
        "rayVersion": TEXT,
        "enableInTreeAutoscaling": FLAG,
        "authOptions": closed({"mode": {"enum": ["disabled", "token"]}, "secretName": TEXT}),
        "headGroupSpec": HEAD,
        "workerGroupSpecs": {"type": "array", "items": WORKERS},
    },
    ("headGroupSpec",),
)
RAY_SERVICE = closed(
    {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayService"},
        "metadata": closed({"name": TEXT}, ("name",)),
        "spec": closed(
            {
                "serviceUnhealthySecondThreshold": COUNT,
                "deploymentUnhealthySecondThreshold": COUNT,
                "excludeHeadPodFromServeSvc": FLAG,
                "upgradeStrategy": closed(
                    {"type": {"enum": ["NewCluster", "NewClusterWithIncrementalUpgrade", "None"]}}
                ),
                "serveConfigV2": TEXT,
                "rayClusterConfig": CLUSTER,
            },
            ("serveConfigV2", "rayClusterConfig"),
        ),
    },
    ("apiVersion", "kind", "metadata", "spec"),
)


@pytest.fixture(scope="module")
def service() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(PATH.read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def serve_config(service: dict[str, Any]) -> ServeDeploySchema:
    return ServeDeploySchema.model_validate(yaml.safe_load(service["spec"]["serveConfigV2"]))


def pods(service: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = service["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def test_file_fits_the_schema(service: dict[str, Any]) -> None:
    jsonschema.validate(service, RAY_SERVICE)


def test_misplaced_field_would_be_found(service: dict[str, Any]) -> None:
    wrong = copy.deepcopy(service)
    wrong["spec"]["headGroupSpec"] = wrong["spec"]["rayClusterConfig"].pop("headGroupSpec")
    with pytest.raises(jsonschema.ValidationError, match="headGroupSpec"):
        jsonschema.validate(wrong, RAY_SERVICE)


def test_serve_config_is_one_of_our_deployment(serve_config: ServeDeploySchema) -> None:
    (application,) = serve_config.applications
    assert application.import_path == f"{build_app.__module__}:{build_app.__name__}"
    assert application.deployment_names == [DEPLOYMENT_NAME]
    settings = ServeSettings.resolve(application.args)
    assert settings.model_fields_set == set(application.args)
    options = application.deployments[0].model_dump(exclude_unset=True)
    assert options["autoscaling_config"]["target_ongoing_requests"] == 0.75 * settings.num_slots
    LiveConfig.parse(options["user_config"])


def test_secrets_come_from_the_secret(service: dict[str, Any]) -> None:
    cluster = service["spec"]["rayClusterConfig"]
    assert cluster["authOptions"] == {"mode": "token", "secretName": "offramp"}
    for pod in pods(service):
        found = {
            variable["name"]: variable["valueFrom"]["secretKeyRef"]["key"]
            for variable in pod["containers"][0]["env"]
            if "valueFrom" in variable
        }
        assert found == {"OFFRAMP_API_KEYS": "api_keys", "REDIS_URL": "redis_url"}


def test_no_port_of_ray_is_published(service: dict[str, Any]) -> None:
    assert service["spec"]["rayClusterConfig"]["headGroupSpec"]["serviceType"] == "ClusterIP"
    ports = {
        port["containerPort"]
        for pod in pods(service)
        for port in pod["containers"][0].get("ports", [])
    }
    assert ports == {8000}
    assert not ports & RAY_PORTS


def test_worker_is_ready_when_its_service_is_and_outlives_the_drain(
    service: dict[str, Any], serve_config: ServeDeploySchema
) -> None:
    _, worker = pods(service)
    assert serve_config.http_options.port == 8000
    probe = worker["containers"][0]["readinessProbe"]
    assert probe["httpGet"] == {"path": "/readyz", "port": 8000}
    settings = ServeSettings.resolve(serve_config.applications[0].args)
    assert worker["terminationGracePeriodSeconds"] > settings.drain_timeout_s + 10


def test_ray_is_the_version_that_is_installed(service: dict[str, Any]) -> None:
    import ray

    assert service["spec"]["rayClusterConfig"]["rayVersion"] == ray.__version__
