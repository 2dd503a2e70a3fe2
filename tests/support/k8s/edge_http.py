"""The HTTP filters and routes of the edge, as Envoy Gateway generates them."""

from collections.abc import Sequence
from pathlib import Path

from tests.support.k8s.edge_objects import Config, EdgeObjects, EdgeSetup, bytes_of, typed_extension
from tests.support.k8s.manifests import Manifest

_SECONDS = {"Second": "1s", "Minute": "60s", "Hour": "3600s"}
_EXTENSIONS = "type.googleapis.com/envoy.extensions"
_HTTP = f"{_EXTENSIONS}.filters.http"
_RATE = "envoy.filters.http.local_ratelimit"
_BUFFER = "envoy.filters.http.buffer"
_OVERRIDE = "envoy.filters.http.custom_response"
_ROUTER = "envoy.filters.http.router"
_ORDER = (_OVERRIDE, _BUFFER, _RATE, _ROUTER)
"""Envoy Gateway's default order of the HTTP filters."""


def connection_manager(objects: EdgeObjects, setup: EdgeSetup) -> Config:
    """The HTTP connection manager."""
    policy = objects.client["spec"]
    timeouts, http2 = policy["timeout"]["http"], policy["http2"]
    escaped = {"KeepUnchanged": "KEEP_UNCHANGED"}[policy["path"]["escapedSlashesAction"]]
    return typed_extension(
        "envoy.filters.network.http_connection_manager",
        f"{_EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="https",
        codec_type="AUTO",
        use_remote_address=True,
        normalize_path=True,
        merge_slashes=not policy["path"]["disableMergeSlashes"],
        path_with_escaped_slashes_action=escaped,
        strip_any_host_port=True,
        request_timeout=timeouts["requestReceivedTimeout"],
        common_http_protocol_options={"idle_timeout": timeouts["idleTimeout"]},
        http2_protocol_options={
            "max_concurrent_streams": http2["maxConcurrentStreams"],
            "initial_stream_window_size": bytes_of(http2["initialStreamWindowSize"]),
            "initial_connection_window_size": bytes_of(http2["initialConnectionWindowSize"]),
        },
        access_log=[_access_log(objects.proxy, setup.access_log)],
        http_filters=_filters(objects),
        route_config={
            "virtual_hosts": [
                {
                    "name": objects.host,
                    "domains": [objects.host],
                    "routes": [*_grpc_routes(setup), *_routes(objects)],
                }
            ]
        },
    )


def _filters(objects: EdgeObjects) -> list[Config]:
    """The filters; each is inactive until a route configures it."""
    overrides = [
        {**_override(name, policy), "disabled": True} for name, policy in objects.policies.items()
    ]
    buffer = typed_extension(_BUFFER, f"{_HTTP}.buffer.v3.Buffer", max_request_bytes=1)
    filters = {
        _OVERRIDE: overrides,
        _BUFFER: [{**buffer, "disabled": True}],
        _RATE: [
            typed_extension(_RATE, f"{_HTTP}.local_ratelimit.v3.LocalRateLimit", stat_prefix="rate")
        ],
        _ROUTER: [typed_extension(_ROUTER, f"{_HTTP}.router.v3.Router")],
    }
    return [each for name in _order(objects) for each in filters[name]]


def _order(objects: EdgeObjects) -> list[str]:
    order = list(_ORDER)
    for position in objects.proxy["spec"]["filterOrder"]:
        assert position.keys() == {"name", "before"}
        order.remove(position["name"])
        order.insert(order.index(position["before"]), position["name"])
    return order


def _override(route: str, policy: Config) -> Config:
    """The filter that replaces responses which Envoy itself creates."""
    matchers = [
        {
            "predicate": {"and_matcher": {"predicate": _predicates(rule)}},
            "on_match": {"action": _local_response(f"{route}/{number}", rule["response"])},
        }
        for number, rule in enumerate(policy["responseOverride"])
    ]
    return typed_extension(
        f"{_OVERRIDE}/{route}",
        f"{_HTTP}.custom_response.v3.CustomResponse",
        custom_response_matcher={"matcher_list": {"matchers": matchers}},
    )


def _predicates(rule: Config) -> list[Config]:
    assert rule["source"] == "Local"
    codes = rule["match"]["statusCodes"]
    assert all(code["type"] == "Value" for code in codes)
    statuses = [_equals("HttpResponseStatusCodeMatchInput", str(code["value"])) for code in codes]
    status = statuses[0] if len(statuses) == 1 else {"or_matcher": {"predicate": statuses}}
    return [status, _equals("HttpResponseLocalReplyMatchInput", "true")]


def _equals(name: str, value: str) -> Config:
    return {
        "single_predicate": {
            "input": typed_extension(name, f"type.googleapis.com/envoy.type.matcher.v3.{name}"),
            "value_match": {"exact": value},
        }
    }


def _local_response(name: str, response: Config) -> Config:
    assert response["body"]["type"] == "Inline"
    headers = [
        {"name": "Content-Type", "value": response["contentType"]},
        *response.get("header", {}).get("set", ()),
    ]
    return typed_extension(
        name,
        f"{_EXTENSIONS}.http.custom_response.local_response_policy.v3.LocalResponsePolicy",
        body_format={"text_format": response["body"]["inline"]},
        response_headers_to_add=[_header(header) for header in headers],
    )


def _access_log(proxy: Manifest, file: Path) -> Config:
    (setting,) = proxy["spec"]["telemetry"]["accessLog"]["settings"]
    return typed_extension(
        "envoy.access_loggers.file",
        f"{_EXTENSIONS}.access_loggers.file.v3.FileAccessLog",
        path=str(file),
        log_format={"json_format": setting["format"]["json"]},
    )


def _routes(objects: EdgeObjects) -> list[Config]:
    return [
        {
            "name": f"{name}/{number}",
            "match": {"path_separated_prefix": match["path"]["value"]},
            "route": {
                "cluster": name,
                "timeout": rule["timeouts"]["request"],
                "rate_limits": [{"actions": [{"remote_address": {}}]}],
            },
            "typed_per_filter_config": {
                **_limits(objects.policies[name], objects.client["spec"]["headers"]),
                f"{_OVERRIDE}/{name}": {
                    "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
                    "config": {},
                },
            },
            "response_headers_to_add": _headers(rule.get("filters", ())),
        }
        for name, route in ((each["metadata"]["name"], each) for each in objects.routes)
        for rule in route["spec"]["rules"]
        for number, match in enumerate(rule["matches"])
    ]


def _headers(filters: Sequence[Config]) -> list[Config]:
    """Response headers added by a rule."""
    assert all(each["type"] == "ResponseHeaderModifier" for each in filters)
    return [_header(header) for each in filters for header in each["responseHeaderModifier"]["set"]]


def _header(header: Config) -> Config:
    return {
        "header": {"key": header["name"], "value": header["value"]},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }


def _limits(policy: Config, headers: Config) -> Config:
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
        _RATE: {
            "@type": f"{_HTTP}.local_ratelimit.v3.LocalRateLimit",
            "stat_prefix": "rate",
            "token_bucket": {**bucket, "max_tokens": 2**31, "tokens_per_fill": 2**31},
            "filter_enabled": always,
            "filter_enforced": always,
            "enable_x_ratelimit_headers": (
                "OFF" if headers["disableRateLimitHeaders"] else "DRAFT_VERSION_03"
            ),
            "max_dynamic_descriptors": 10_000,
            "descriptors": [{"entries": [{"key": "remote_address"}], "token_bucket": bucket}],
        },
        _BUFFER: {
            "@type": f"{_HTTP}.buffer.v3.BufferPerRoute",
            "buffer": {"max_request_bytes": bytes_of(policy["requestBuffer"]["limit"])},
        },
    }


def _grpc_routes(setup: EdgeSetup) -> list[Config]:
    if setup.grpc is None:
        return []
    return [{"match": {"prefix": "/grpc.health.v1.Health/"}, "route": {"cluster": "grpc"}}]
