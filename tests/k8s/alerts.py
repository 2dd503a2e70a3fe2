"""What alerts and the dashboard ask Prometheus for."""

import json
import re
from functools import cache

from tests.k8s.manifests import Manifest, the
from tests.k8s.tools import ROOT

DASHBOARD = ROOT / "deploy/k8s/components/production/dashboard.json"
OF_OTHERS = ("cnpg_", "certmanager_", "barman_cloud_")
"""Metrics of operators start with these."""

_METRIC = re.compile(r"\b([a-z]+(?:_[a-z0-9]+)+)\b(?=\s*(?:\{|\[|\)|==|>|<|$|or\b|-))")


@cache
def rules() -> tuple[Manifest, ...]:
    """The alerts of production."""
    (group,) = the("us", "PrometheusRule", "provisioning")["spec"]["groups"]
    return tuple(group["rules"])


@cache
def expressions() -> tuple[str, ...]:
    """All that is asked."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return (
        *(rule["expr"] for rule in rules()),
        *(target["expr"] for panel in panels for target in panel["targets"]),
    )


def metrics_in_use() -> set[str]:
    """The metrics of our own processes that are asked for."""
    names: set[str] = set()
    for expression in expressions():
        # Neither labels, nor what to sum by.
        bare = re.sub(r"\{[^}]*\}|\b(?:by|without)\s*\([^)]*\)", "{", expression)
        names |= {name for name in _METRIC.findall(bare + " ") if not name.startswith(OF_OTHERS)}
    return names - _FUNCTIONS


_FUNCTIONS = {"histogram_quantile", "min_over_time", "rate_interval"}
