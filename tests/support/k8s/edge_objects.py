"""The objects of a region's edge, and the addresses of an edge in a test."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chassis.config.settings import CertificateFiles
from tests.support.k8s.manifests import Manifest, of_kind

Config = dict[str, Any]

_BYTES = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


@dataclass(frozen=True)
class EdgeObjects:
    """The edge of one region, as rendered."""

    proxy: Manifest
    gateway: Manifest
    client: Manifest
    routes: tuple[Manifest, ...]
    backend: tuple[Manifest, ...]

    @classmethod
    def of(cls, overlay: str, namespace: str) -> "EdgeObjects":
        """Read the objects of a region from an overlay."""

        def every(kind: str) -> tuple[Manifest, ...]:
            return tuple(of_kind(overlay, kind, namespace))

        (proxy,), (gateway,), (client,) = (
            every("EnvoyProxy"),
            every("Gateway"),
            every("ClientTrafficPolicy"),
        )
        return cls(proxy, gateway, client, every("HTTPRoute"), every("BackendTrafficPolicy"))

    @property
    def host(self) -> str:
        """The host name of the listener and of its certificate."""
        host: str = self.gateway["spec"]["listeners"][0]["hostname"]
        return host

    @property
    def policies(self) -> dict[str, Config]:
        """The BackendTrafficPolicies by route."""
        return {one["spec"]["targetRefs"][0]["name"]: one["spec"] for one in self.backend}


@dataclass(frozen=True)
class EdgeSetup:
    """The addresses and files of the edge in a test."""

    host: str
    port: int
    gateway: tuple[str, int]
    certificate: CertificateFiles
    access_log: Path
    grpc: tuple[str, int] | None = None
    """A gRPC server behind the same listener, only in tests."""


def typed(name: str, kind: str, **fields: object) -> Config:
    """An extension of Envoy with its configuration."""
    return {"name": name, "typed_config": {"@type": kind, **fields}}


def bytes_of(quantity: str) -> int:
    """The bytes of a Kubernetes quantity such as 64Ki."""
    return int(quantity[:-2]) * _BYTES[quantity[-2:]]
