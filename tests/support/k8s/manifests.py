"""The manifests as they are applied to a cluster: rendered by kubectl, then parsed."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import sha256
from typing import Any

from tests.support.k8s.tools import ROOT, deploy_tool, system_tool

OVERLAYS = ("us", "eu", "kind")
NAMESPACES = {
    "us": ("cloudacademy-us",),
    "eu": ("cloudacademy-eu",),
    "kind": ("cloudacademy-us", "cloudacademy-eu"),
}
"""The regions of each overlay: parameters of tests, for which nothing should be rendered."""
REGIONS = {"us": "cloudacademy-us", "eu": "cloudacademy-eu"}
SERVICES = ("gateway", "usersvc", "keysvc")

Manifest = dict[str, Any]

_TO_JSON = "import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)"


@cache
def text(overlay: str) -> str:
    """The output of `kubectl kustomize` for an overlay."""
    return _output(system_tool("kubectl"), "kustomize", str(ROOT / "deploy/k8s/overlays" / overlay))


@cache
def rendered(overlay: str) -> tuple[Manifest, ...]:
    """The objects of an overlay."""
    return tuple(_documents(text(overlay)))


def parsed(yaml: str) -> Manifest:
    """Parse a YAML string inside an object."""
    (document,) = _documents(yaml)
    return document


def _documents(yaml: str) -> list[Manifest]:
    documents: list[Manifest] = json.loads(
        _output(deploy_tool("python"), "-c", _TO_JSON, given=yaml)
    )
    return documents


def namespaces(overlay: str) -> list[str]:
    """The namespaces of an overlay's regions."""
    return [each["metadata"]["name"] for each in rendered(overlay) if each["kind"] == "Namespace"]


def of_kind(overlay: str, kind: str, namespace: str | None = None) -> list[Manifest]:
    """The objects of a kind, of one region or of all."""
    return [
        each
        for each in rendered(overlay)
        if each["kind"] == kind and namespace in (None, each["metadata"].get("namespace"))
    ]


def find(overlay: str, kind: str, name: str, namespace: str | None = None) -> Manifest:
    """The object of a kind and name."""
    found = [each for each in of_kind(overlay, kind, namespace) if each["metadata"]["name"] == name]
    assert len(found) == 1, f"{kind}/{name}: {len(found)}"
    return found[0]


def workloads(overlay: str, namespace: str | None = None) -> Iterator[Manifest]:
    """All workloads that run our image."""
    for kind in ("Deployment", "Job"):
        yield from of_kind(overlay, kind, namespace)


def pod(workload: Manifest) -> Manifest:
    """The pod template of a workload."""
    return workload["spec"]["template"]


def container(workload: Manifest) -> Manifest:
    """The only container of a workload's pod."""
    (only,) = pod(workload)["spec"]["containers"]
    return only


def environment(
    workload: Manifest,
    overlay: str,
    namespace: str,
    secrets: Mapping[tuple[str, str], str] | None = None,
) -> dict[str, str]:
    """The environment variables of a container; without `secrets`, their values are generated."""
    configuration = {
        each["metadata"]["name"]: each["data"] for each in of_kind(overlay, "ConfigMap", namespace)
    }
    values: dict[str, str] = {}
    for variable in container(workload)["env"]:
        source = variable.get("valueFrom", {})
        if reference := source.get("configMapKeyRef"):
            value = configuration[reference["name"]][reference["key"]]
        elif reference := source.get("secretKeyRef"):
            key = (reference["name"], reference["key"])
            value = secrets[key] if secrets is not None else _generate_secret(key)
        else:
            value = re.sub(r"\$\((\w+)\)", lambda found: values[found[1]], variable["value"])
        values[variable["name"]] = value
    return values


def _generate_secret(reference: tuple[str, str]) -> str:
    """A secret of the form that the services accept."""
    return sha256("/".join(reference).encode()).hexdigest()


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a label selector matches labels, as in Kubernetes."""
    expected = selector.get("matchLabels", {}).items()
    return all(labels.get(name) == value for name, value in expected) and all(
        _expression_holds(expression, labels) for expression in selector.get("matchExpressions", ())
    )


def _expression_holds(expression: Manifest, labels: dict[str, str]) -> bool:
    value = labels.get(expression["key"])
    match expression["operator"]:
        case "In":
            return value in expression["values"]
        case "NotIn":
            return value not in expression["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    raise AssertionError(expression)


def _output(*command: str, given: str | None = None) -> str:
    result = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


CUSTOM_RESOURCE_GROUPS = {
    "barmancloud.cnpg.io",
    "cert-manager.io",
    "external-secrets.io",
    "gateway.envoyproxy.io",
    "gateway.networking.k8s.io",
    "monitoring.coreos.com",
    "postgresql.cnpg.io",
}
"""The API groups of custom resources; test_custom_resources.py validates these."""
