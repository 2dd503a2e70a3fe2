"""The Kubernetes objects of a region's edge, and the settings of an edge in a test."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chassis.config.settings import CertificateFiles
from tests.support.k8s.manifests import Manifest, of_kind

Config = dict[str, Any]

_BYTES = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


@dataclass(frozen=True)
class EdgeObjects:
    """The rendered objects of one region's edge."""

    proxy: Manifest
    gateway: Manifest
    client: Manifest
    routes: tuple[Manifest, ...]
    backend: tuple[Manifest, ...]

    @classmethod
    def of(cls, overlay: str, namespace: str) -> "EdgeObjects":
        """Read the objects of a region from an overlay."""

        def all_of(kind: str) -> tuple[Manifest, ...]:
            return tuple(of_kind(overlay, kind, namespace))

        (proxy,), (gateway,), (client,) = (
            all_of("EnvoyProxy"),
            all_of("Gateway"),
            all_of("ClientTrafficPolicy"),
        )
        return cls(proxy, gateway, client, all_of("HTTPRoute"), all_of("BackendTrafficPolicy"))

    @property
    def host(self) -> str:
        """The host name of the listener and of its certificate."""
        host: str = self.gateway["spec"]["listeners"][0]["hostname"]
        return host

    @property
    def policies(self) -> dict[str, Config]:
        """The BackendTrafficPolicies by route."""
        return {each["spec"]["targetRefs"][0]["name"]: each["spec"] for each in self.backend}


@dataclass(frozen=True)
class EdgeSetup:
    """The addresses and files of the edge in a test."""

    host: str
    port: int
    gateway: tuple[str, int]
    certificate: CertificateFiles
    access_log: Path
    grpc: tuple[str, int] | None = None
    """A gRPC server behind the same listener; exists only in tests."""


def typed_extension(name: str, kind: str, **fields: object) -> Config:
    """An extension of Envoy with its `typed_config`; `kind` is the URL of its type."""
    return {"name": name, "typed_config": {"@type": kind, **fields}}


def bytes_of(quantity: str) -> int:
    """The bytes of a Kubernetes quantity such as 64Ki."""
    return int(quantity[:-2]) * _BYTES[quantity[-2:]]
