"""The objects that make a region's edge, and the place of one in a test."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chassis.config.settings import CertificateFiles
from tests.support.k8s.manifests import Manifest, of_kind

Config = dict[str, Any]

_BYTES = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


@dataclass(frozen=True)
class Objects:
    """The edge of one region, as rendered."""

    proxy: Manifest
    gateway: Manifest
    client: Manifest
    routes: tuple[Manifest, ...]
    backend: tuple[Manifest, ...]

    @classmethod
    def of(cls, overlay: str, namespace: str) -> "Objects":
        """Those of a region of an overlay."""

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
        """What the certificate is for and what is asked for."""
        host: str = self.gateway["spec"]["listeners"][0]["hostname"]
        return host

    @property
    def policies(self) -> dict[str, Config]:
        """What is said of the way to the gateway, by the route that it is said of."""
        return {one["spec"]["targetRefs"][0]["name"]: one["spec"] for one in self.backend}


@dataclass(frozen=True)
class Place:
    """Where the edge stands in a test."""

    host: str
    port: int
    gateway: tuple[str, int]
    certificate: CertificateFiles
    access_log: Path
    grpc: tuple[str, int] | None = None
    """A gRPC server behind the same listener, which only a test has."""


def typed(name: str, kind: str, **fields: object) -> Config:
    """An extension of Envoy with its configuration."""
    return {"name": name, "typed_config": {"@type": kind, **fields}}


def bytes_of(quantity: str) -> int:
    """What Kubernetes means by 64Ki."""
    return int(quantity[:-2]) * _BYTES[quantity[-2:]]
