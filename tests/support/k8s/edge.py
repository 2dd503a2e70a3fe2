"""Translates our edge objects into an Envoy configuration, as Envoy Gateway does.

Envoy Gateway itself runs only in a cluster. This module reads the same objects, so the tests check
the deployed limits. edge_http has the HTTP filters and routes.
"""

from collections.abc import Sequence
from typing import Any

from chassis.config.settings import CertificateFiles
from tests.support.k8s.edge_http import connection_manager
from tests.support.k8s.edge_objects import Config, EdgeObjects, EdgeSetup, bytes_of, typed_extension
from tests.support.k8s.manifests import parsed

__all__ = ["EdgeObjects", "EdgeSetup", "bootstrap"]

MAX_CONNECTIONS = 50_000
"""Envoy Gateway's fixed limit of connections to a proxy."""
HEAP_SHARE = 0.8
"""Envoy's heap limit as a fraction of the container's memory limit."""
_FILTERS = "type.googleapis.com/envoy.extensions.filters"
_MONITORS = "type.googleapis.com/envoy.extensions.resource_monitors"
_HEAP = "envoy.resource_monitors.fixed_heap"


def bootstrap(objects: EdgeObjects, setup: EdgeSetup) -> Config:
    """The configuration file of Envoy."""
    bootstrap_patch = parsed(objects.proxy["spec"]["bootstrap"]["value"])
    assert objects.proxy["spec"]["bootstrap"]["type"] == "Merge"
    return merged(
        {
            "static_resources": {
                "listeners": [_listener(objects, setup)],
                "clusters": _clusters(objects, setup),
            },
            "layered_runtime": {"layers": [{"name": "static", "static_layer": {}}]},
            "overload_manager": _overload_manager(objects),
        },
        bootstrap_patch,
    )


def merged(first: Any, second: Any) -> Any:
    """Merge two messages as protobuf does: maps by key, lists concatenated."""
    if isinstance(first, dict) and isinstance(second, dict):
        union = {**first, **second}
        return union | {
            key: merged(first[key], second[key]) for key in first.keys() & second.keys()
        }
    return first + second if isinstance(first, list) else second


def max_heap_bytes(objects: EdgeObjects) -> int:
    """The limit of Envoy's heap, in bytes."""
    container = objects.proxy["spec"]["provider"]["kubernetes"]["envoyDeployment"]["container"]
    return int(bytes_of(container["resources"]["limits"]["memory"]) * HEAP_SHARE)


def _overload_manager(objects: EdgeObjects) -> Config:
    """Envoy Gateway's overload manager; the container's memory limit makes it monitor the heap."""
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            typed_extension(
                "envoy.resource_monitors.global_downstream_max_connections",
                f"{_MONITORS}.downstream_connections.v3.DownstreamConnectionsConfig",
                max_active_downstream_connections=MAX_CONNECTIONS,
            ),
            typed_extension(
                _HEAP,
                f"{_MONITORS}.fixed_heap.v3.FixedHeapConfig",
                max_heap_size_bytes=max_heap_bytes(objects),
            ),
        ],
        "actions": [
            {"name": f"envoy.overload_actions.{name}", "triggers": [_heap_trigger(share)]}
            for name, share in (("shrink_heap", 0.95), ("stop_accepting_requests", 0.98))
        ],
    }


def _heap_trigger(share: float) -> Config:
    """The trigger of an action that begins when this share of the heap limit is used."""
    return {"name": _HEAP, "threshold": {"value": share}}


def _listener(objects: EdgeObjects, setup: EdgeSetup) -> Config:
    policy = objects.client["spec"]
    return {
        "name": "https",
        "address": _address((setup.host, setup.port)),
        "per_connection_buffer_limit_bytes": bytes_of(policy["connection"]["bufferLimit"]),
        "listener_filters": [
            typed_extension(
                "envoy.filters.listener.tls_inspector",
                f"{_FILTERS}.listener.tls_inspector.v3.TlsInspector",
            )
        ],
        "filter_chains": [
            {
                "filter_chain_match": {"server_names": [objects.host]},
                "transport_socket": _tls(policy["tls"], setup.certificate),
                "filters": [
                    _connection_limit(policy["connection"]["connectionLimit"]),
                    connection_manager(objects, setup),
                ],
            }
        ],
    }


def _connection_limit(limit: Config) -> Config:
    assert limit.keys() == {"value"}
    return typed_extension(
        "envoy.filters.network.connection_limit",
        f"{_FILTERS}.network.connection_limit.v3.ConnectionLimit",
        stat_prefix="https",
        max_connections=limit["value"],
    )


def _tls(tls: Config, files: CertificateFiles) -> Config:
    return typed_extension(
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


def _clusters(objects: EdgeObjects, setup: EdgeSetup) -> list[Config]:
    """A cluster for each route, with its own limits, as Envoy Gateway makes them."""
    clusters = []
    for name, policy in objects.policies.items():
        idle = {"idle_timeout": policy["timeout"]["http"]["connectionIdleTimeout"]}
        cluster = _cluster(name, setup.gateway, policy["circuitBreaker"])
        clusters.append({**cluster, **_upstream("http_protocol_options", idle)})
    if setup.grpc:
        breaker = objects.policies["scim"]["circuitBreaker"]
        clusters.append(
            {**_cluster("grpc", setup.grpc, breaker), **_upstream("http2_protocol_options", {})}
        )
    return clusters


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
