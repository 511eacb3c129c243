"""The files under deploy/ hold what their comments promise, as far as that can be told without running them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_validate.utils import ValidationError, validate

from sidecar.config import load
from sidecar.version import VERSION

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("localhost/outrider", "localhost/outrider-demo")


def manifests() -> Iterator[dict[str, Any]]:
    for file in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        if file.name != "kustomization.yaml":
            yield from yaml.safe_load_all(file.read_text())


def pod_specs() -> dict[str, dict[str, Any]]:
    return {m["metadata"]["name"]: m["spec"]["template"]["spec"] for m in manifests() if m["kind"] == "Deployment"}


def containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [*spec.get("initContainers", []), *spec["containers"]]


@pytest.mark.parametrize("manifest", list(manifests()), ids=lambda m: f"{m['kind']}-{m['metadata']['name']}")
@pytest.mark.parametrize("kubernetes", ["1.33", "1.37"])
def test_a_manifest_fits_the_schema_with_no_unknown_field(manifest: dict[str, Any], kubernetes: str) -> None:
    validate(manifest, kubernetes, strict=True)


def test_the_validation_itself_can_fail() -> None:
    spoiled = next(manifests()) | {"specs": {}}
    with pytest.raises(ValidationError):
        validate(spoiled, "1.33", strict=True)


def test_the_kustomization_lists_every_manifest_and_names_this_version() -> None:
    kustomization = yaml.safe_load((DEPLOY / "kubernetes/kustomization.yaml").read_text())
    listed = {*kustomization["resources"], "kustomization.yaml"}
    assert listed == {file.name for file in (DEPLOY / "kubernetes").iterdir()}
    assert [(image["name"], image["newTag"]) for image in kustomization["images"]] == [
        ("outrider", VERSION),
        ("outrider-demo", VERSION),
    ]
    used = {c["image"] for spec in pod_specs().values() for c in containers(spec)}
    assert used == {image["name"] for image in kustomization["images"]}


def test_kustomize_renders_what_the_schema_takes() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run(["kubectl", "kustomize", str(DEPLOY / "kubernetes")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rendered = list(yaml.safe_load_all(done.stdout))
    assert sorted(m["kind"] for m in rendered) == ["Deployment", "Deployment", "Service", "Service"]
    for manifest in rendered:
        validate(manifest, "1.37", strict=True)
        assert manifest["metadata"]["labels"]["app.kubernetes.io/part-of"] == "outrider-demo"


@pytest.mark.parametrize("name", pod_specs())
def test_a_pod_meets_the_restricted_standard(name: str) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, and a read-only root."""
    spec = pod_specs()[name]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostPID", "hostNetwork", "hostIPC"} & spec.keys()
    assert all("emptyDir" in volume for volume in spec.get("volumes", []))
    for container in containers(spec):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]


def test_the_sidecar_is_native_and_waits_for_nobody() -> None:
    spec = pod_specs()["fastjson-api"]
    sidecar = spec["initContainers"][0]
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["startupProbe"]["httpGet"] == {"path": "/livez", "port": "outrider"}
    assert "readinessProbe" not in sidecar, "it would make the Pod unready when only its observer is"
    assert sidecar["args"] == ["run", "--on-bad-config=idle"]
    assert spec["shareProcessNamespace"] is True


def test_variables_are_defined_before_they_are_used() -> None:
    """Kubernetes leaves `$(NAME)` as it stands when NAME comes later in the list."""
    for spec in pod_specs().values():
        for container in containers(spec):
            known: set[str] = set()
            for variable in container.get("env", []):
                assert set(re.findall(r"\$\((\w+)\)", variable.get("value", ""))) <= known
                known.add(variable["name"])


def test_every_service_of_the_demo_has_a_sidecar_that_sees_its_process() -> None:
    sidecars = {name: one for name, one in SERVICES.items() if name.endswith("-sidecar")}
    assert set(sidecars) == {"cache-server-sidecar", "fastjson-api-1-sidecar", "fastjson-api-2-sidecar"}
    for name, sidecar in sidecars.items():
        service = name.removesuffix("-sidecar")
        assert sidecar["pid"] == f"service:{service}"
        assert sidecar["user"] == SERVICES[service]["user"]
        assert sidecar["environment"]["OUTRIDER_TARGET_URL"].startswith(f"http://{service}:")
        assert "network_mode" not in sidecar
        told = SERVICES[service]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"]
        over_grpc = SERVICES[service]["environment"].get("OTEL_EXPORTER_OTLP_PROTOCOL") == "grpc"
        assert over_grpc is (service == "cache-server")
        assert told == f"http://{name}:{4317 if over_grpc else 4318}"
        assert name not in SERVICES[service].get("depends_on", []), "a service never waits for its observer"


@pytest.mark.parametrize("name", SERVICES)
def test_a_compose_service_is_hardened_and_published_on_loopback_only(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges"]
    assert int(service["user"].split(":")[0]) > 0
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    if service["image"] in OURS:
        context = DEPLOY / "compose" / service["build"]["context"]
        assert context.resolve() == ROOT
        assert (context / service["build"]["dockerfile"]).is_file()
    else:
        assert re.fullmatch(r"docker\.io/\S+:v?\d+\.\d+\.\d+", service["image"])


def test_what_compose_mounts_exists() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source, _, mode = volume.split(":")[0], volume.split(":")[1], volume.split(":")[2:]
            if source.startswith("."):
                assert (DEPLOY / "compose" / source).exists(), source
                assert mode == ["ro"]
            else:
                assert source in COMPOSE["volumes"]


def test_prometheus_scrapes_every_service_and_sidecar() -> None:
    config = yaml.safe_load((DEPLOY / "compose/prometheus.yaml").read_text())
    scraped = {
        (job["job_name"], group["labels"]["instance"], group["labels"]["source"]): group["targets"][0]
        for job in config["scrape_configs"]
        for group in job["static_configs"]
    }
    assert scraped == {
        ("fastjson-api", "fastjson-api-1", "service"): "fastjson-api-1:8080",
        ("fastjson-api", "fastjson-api-1", "sidecar"): "fastjson-api-1-sidecar:4319",
        ("fastjson-api", "fastjson-api-2", "service"): "fastjson-api-2:8080",
        ("fastjson-api", "fastjson-api-2", "sidecar"): "fastjson-api-2-sidecar:4319",
        ("cache-server", "cache-server-1", "service"): "cache-server:6400",
        ("cache-server", "cache-server-1", "sidecar"): "cache-server-sidecar:4319",
    }
    assert {address.split(":")[0] for address in scraped.values()} <= SERVICES.keys()


def test_grafana_finds_its_datasource_and_the_dashboards() -> None:
    folder = DEPLOY / "compose/grafana"
    [datasource] = yaml.safe_load((folder / "datasources/outrider.yaml").read_text())["datasources"]
    [provider] = yaml.safe_load((folder / "dashboards/outrider.yaml").read_text())["providers"]
    assert (datasource["uid"], datasource["type"], datasource["isDefault"]) == ("prometheus", "prometheus", True)
    assert (provider["type"], provider["folder"]) == ("file", "Outrider")
    mounts = [volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"]]
    assert ["../../dashboards/generated", provider["options"]["path"]] in mounts
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / "dashboards/generated" / Path(home).name).is_file()


@pytest.mark.parametrize("file", ["fastjson-api.yaml", "cache-server.yaml"])
def test_the_sidecars_configuration_is_valid_with_its_environment(file: str) -> None:
    for name, service in SERVICES.items():
        if any(volume.startswith(f"./{file}:") for volume in service.get("volumes", [])):
            loaded = load({}, service["environment"], str(DEPLOY / "compose" / file))
            assert loaded.warnings == [], name


def test_the_native_sidecar_is_configured_by_its_environment_alone() -> None:
    """Also with the variables that Kubernetes adds for the Service `outrider-collector`, which look like ours."""
    links = {
        "OUTRIDER_COLLECTOR_SERVICE_HOST": "10.0.0.7",
        "OUTRIDER_COLLECTOR_SERVICE_PORT": "4320",
        "OUTRIDER_COLLECTOR_SERVICE_PORT_HTTP": "4320",
        "OUTRIDER_COLLECTOR_PORT": "tcp://10.0.0.7:4320",
        "OUTRIDER_COLLECTOR_PORT_4320_TCP": "tcp://10.0.0.7:4320",
        "OUTRIDER_COLLECTOR_PORT_4320_TCP_PROTO": "tcp",
        "OUTRIDER_COLLECTOR_PORT_4320_TCP_PORT": "4320",
        "OUTRIDER_COLLECTOR_PORT_4320_TCP_ADDR": "10.0.0.7",
    }
    sidecar = pod_specs()["fastjson-api"]["initContainers"][0]
    given = {variable["name"]: variable.get("value", "from the Pod") for variable in sidecar["env"]}
    loaded = load({}, links | given, None)
    assert loaded.warnings == []
    assert loaded.config.target.url == "http://127.0.0.1:8080"
    assert loaded.config.target.process is not None
    assert loaded.config.target.process.port == 8080
    assert loaded.config.collector is not None
    assert loaded.config.collector.url == "http://outrider-collector:4320"
