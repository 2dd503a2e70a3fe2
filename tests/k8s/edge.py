"""What Envoy Gateway makes of our objects, as far as we use it: a configuration for Envoy.

Envoy Gateway itself runs in a cluster only. This reads the same objects, so that the limits that
are tested are the limits that are deployed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chassis.certificates import CertificateFiles
from tests.k8s.manifests import Manifest, of_kind

Config = dict[str, Any]

_SECONDS = {"Second": "1s", "Minute": "60s", "Hour": "3600s"}
_BYTES = {"Ki": 2**10, "Mi": 2**20}
_HTTP = "type.googleapis.com/envoy.extensions.filters"


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


def bootstrap(objects: Objects, place: Place) -> Config:
    """A configuration that Envoy takes as a file."""
    backend = objects.backend[0]["spec"]
    breaker, timeouts = backend["circuitBreaker"], backend["timeout"]["http"]
    idle = {"idle_timeout": timeouts["connectionIdleTimeout"]}
    clusters = [
        {**_cluster("gateway", place.gateway, breaker), **_upstream("http_protocol_options", idle)}
    ]
    if place.grpc:
        clusters.append(
            {**_cluster("grpc", place.grpc, breaker), **_upstream("http2_protocol_options", {})}
        )
    return {
        "static_resources": {"listeners": [_listener(objects, place)], "clusters": clusters},
        "layered_runtime": {"layers": [{"name": "static", "static_layer": {}}]},
    }


def _listener(objects: Objects, place: Place) -> Config:
    policy = objects.client["spec"]
    return {
        "name": "https",
        "address": _address((place.host, place.port)),
        "per_connection_buffer_limit_bytes": _bytes(policy["connection"]["bufferLimit"]),
        "listener_filters": [
            _typed(
                "envoy.filters.listener.tls_inspector",
                f"{_HTTP}.listener.tls_inspector.v3.TlsInspector",
            )
        ],
        "filter_chains": [
            {
                "filter_chain_match": {"server_names": [objects.host]},
                "transport_socket": _tls(policy["tls"], place.certificate),
                "filters": [_connection_manager(objects, place)],
            }
        ],
    }


def _tls(tls: Config, files: CertificateFiles) -> Config:
    return _typed(
        "envoy.transport_sockets.tls",
        "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context={
            "alpn_protocols": tls["alpnProtocols"],
            "tls_params": {
                "tls_minimum_protocol_version": "TLSv" + tls["minVersion"].replace(".", "_"),
                "tls_maximum_protocol_version": "TLSv1_3",
            },
            "tls_certificates": [
                {
                    "certificate_chain": {"filename": str(files.certificate)},
                    "private_key": {"filename": str(files.key)},
                }
            ],
        },
    )


def _connection_manager(objects: Objects, place: Place) -> Config:
    policy = objects.client["spec"]
    timeouts = policy["timeout"]["http"]
    escaped = {"KeepUnchanged": "KEEP_UNCHANGED"}[policy["path"]["escapedSlashesAction"]]
    return _typed(
        "envoy.filters.network.http_connection_manager",
        f"{_HTTP}.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="https",
        codec_type="AUTO",
        use_remote_address=True,
        normalize_path=True,
        merge_slashes=not policy["path"]["disableMergeSlashes"],
        path_with_escaped_slashes_action=escaped,
        strip_any_host_port=True,
        request_timeout=timeouts["requestReceivedTimeout"],
        common_http_protocol_options={"idle_timeout": timeouts["idleTimeout"]},
        http2_protocol_options={"max_concurrent_streams": policy["http2"]["maxConcurrentStreams"]},
        access_log=[_access_log(objects.proxy, place.access_log)],
        http_filters=[
            _typed(
                "envoy.filters.http.local_ratelimit",
                f"{_HTTP}.http.local_ratelimit.v3.LocalRateLimit",
                stat_prefix="rate",
            ),
            {
                **_typed(
                    "envoy.filters.http.buffer",
                    f"{_HTTP}.http.buffer.v3.Buffer",
                    max_request_bytes=1,
                ),
                "disabled": True,
            },
            _typed("envoy.filters.http.router", f"{_HTTP}.http.router.v3.Router"),
        ],
        route_config={
            "virtual_hosts": [
                {
                    "name": objects.host,
                    "domains": [objects.host],
                    "routes": [*_grpc_routes(place), *_routes(objects)],
                }
            ]
        },
    )


def _access_log(proxy: Manifest, file: Path) -> Config:
    (setting,) = proxy["spec"]["telemetry"]["accessLog"]["settings"]
    return _typed(
        "envoy.access_loggers.file",
        "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
        path=str(file),
        log_format={"json_format": setting["format"]["json"]},
    )


def _routes(objects: Objects) -> list[Config]:
    policies = {one["spec"]["targetRefs"][0]["name"]: one["spec"] for one in objects.backend}
    return [
        {
            "name": f"{route['metadata']['name']}/{number}",
            "match": {"path_separated_prefix": match["path"]["value"]},
            "route": {
                "cluster": "gateway",
                "timeout": rule["timeouts"]["request"],
                "rate_limits": [{"actions": [{"remote_address": {}}]}],
            },
            "typed_per_filter_config": _limits(policies[route["metadata"]["name"]]),
            "response_headers_to_add": _headers(rule.get("filters", ())),
        }
        for route in objects.routes
        for rule in route["spec"]["rules"]
        for number, match in enumerate(rule["matches"])
    ]


def _headers(filters: Sequence[Config]) -> list[Config]:
    """What a rule adds to answers."""
    assert all(one["type"] == "ResponseHeaderModifier" for one in filters)
    return [
        {
            "header": {"key": header["name"], "value": header["value"]},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }
        for one in filters
        for header in one["responseHeaderModifier"]["set"]
    ]


def _limits(policy: Config) -> Config:
    rules = policy["rateLimit"]["local"]["rules"]
    assert all(
        selector["sourceCIDR"]["type"] == "Distinct"
        for rule in rules
        for selector in rule["clientSelectors"]
    )
    (limit,) = {(rule["limit"]["requests"], rule["limit"]["unit"]) for rule in rules}
    requests, unit = limit
    bucket = {"max_tokens": requests, "tokens_per_fill": requests, "fill_interval": _SECONDS[unit]}
    always = {"default_value": {"numerator": 100}}
    return {
        "envoy.filters.http.local_ratelimit": {
            "@type": f"{_HTTP}.http.local_ratelimit.v3.LocalRateLimit",
            "stat_prefix": "rate",
            "token_bucket": {**bucket, "max_tokens": 2**31, "tokens_per_fill": 2**31},
            "filter_enabled": always,
            "filter_enforced": always,
            "max_dynamic_descriptors": 10_000,
            "descriptors": [{"entries": [{"key": "remote_address"}], "token_bucket": bucket}],
        },
        "envoy.filters.http.buffer": {
            "@type": f"{_HTTP}.http.buffer.v3.BufferPerRoute",
            "buffer": {"max_request_bytes": _bytes(policy["requestBuffer"]["limit"])},
        },
    }


def _grpc_routes(place: Place) -> list[Config]:
    if place.grpc is None:
        return []
    return [{"match": {"prefix": "/grpc.health.v1.Health/"}, "route": {"cluster": "grpc"}}]


def _cluster(name: str, address: tuple[str, int], breaker: Config) -> Config:
    return {
        "name": name,
        "connect_timeout": "5s",
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": breaker["maxConnections"],
                    "max_pending_requests": breaker["maxPendingRequests"],
                    "max_requests": breaker["maxParallelRequests"],
                }
            ]
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(address)}}]}],
        },
    }


def _upstream(protocol: str, common: Config) -> Config:
    name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    options = {
        "@type": f"type.googleapis.com/{name}",
        "common_http_protocol_options": common,
        "explicit_http_config": {protocol: {}},
    }
    return {"typed_extension_protocol_options": {name: options}}


def _address(address: Sequence[str | int]) -> Config:
    return {"socket_address": {"address": address[0], "port_value": address[1]}}


def _typed(name: str, kind: str, **fields: object) -> Config:
    return {"name": name, "typed_config": {"@type": kind, **fields}}


def _bytes(quantity: str) -> int:
    return int(quantity[:-2]) * _BYTES[quantity[-2:]]
