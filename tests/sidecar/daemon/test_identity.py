"""Who the telemetry is about, by who knows best."""

from __future__ import annotations

import pytest

from sidecar.daemon.identity import named_by, resource_of
from sidecar.model.process import ProcessSample
from tests.sidecar.daemon.running import settings

NOT_FOUND = ProcessSample(found=False, why="none")
NGINX = ProcessSample(found=True, why="found", name="nginx", pid=1)


@pytest.mark.parametrize(
    ("environ", "process", "name"),
    [
        ({"OTEL_SERVICE_NAME": "api"}, NGINX, "api"),
        ({"OUTRIDER_TARGET_URL": "http://127.0.0.1:80"}, NGINX, "nginx"),
        ({"OUTRIDER_TARGET_URL": "http://shop:80"}, NOT_FOUND, "shop"),
        ({"OUTRIDER_TARGET_URL": "http://127.0.0.1:80"}, NOT_FOUND, "unknown_service"),
        ({}, NOT_FOUND, "unknown_service"),
    ],
)
def test_the_service_is_named_by_who_knows_best(environ: dict[str, str], process: ProcessSample, name: str) -> None:
    assert resource_of(settings(environ).config, process).service == name


@pytest.mark.parametrize(
    ("url", "instance"),
    [
        ("http://127.0.0.1:8080/x", "pod-1:8080"),
        ("tcp://[::1]:6379", "pod-1:6379"),
        ("http://localhost", "pod-1"),
        ("http://shop:8080", "pod-1"),
    ],
)
def test_services_on_one_host_are_instances_of_their_own(url: str, instance: str) -> None:
    config = settings({"OUTRIDER_TARGET_URL": url}).config
    assert resource_of(config, NOT_FOUND).instance == instance
    told = {"OUTRIDER_TARGET_URL": url, "OUTRIDER_SERVICE_INSTANCE": "mine"}
    assert resource_of(settings(told).config, NOT_FOUND).instance == "mine"


def test_every_attribute_of_the_environment_is_in_the_resource_and_none_is_empty() -> None:
    environ = {"OTEL_RESOURCE_ATTRIBUTES": "service.version=1,deployment.environment.name=dev,k8s.pod.name=a"}
    assert resource_of(settings(environ).config, NGINX).attributes == {
        "k8s.pod.name": "a",
        "service.name": "nginx",
        "service.version": "1",
        "service.instance.id": "pod-1",
        "deployment.environment.name": "dev",
    }


def test_a_command_that_is_not_started_yet_gives_its_name() -> None:
    process = named_by(["/usr/bin/python3", "-m", "shop", "--password=secret"])
    assert resource_of(settings().config, process).service == "shop"
    assert "secret" not in str(process)
