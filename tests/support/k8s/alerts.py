"""The PromQL expressions of the alert rules and the dashboard, and their metrics."""

import json
import re
from functools import cache

from tests.support.k8s.manifests import Manifest, find
from tests.support.k8s.tools import ROOT

DASHBOARD = ROOT / "deploy/k8s/components/production/dashboard.json"
OPERATIONS = ROOT / "docs/operations.md"
OPERATOR_METRICS = ("cnpg_", "certmanager_", "barman_cloud_")
"""Prefixes of the metrics that Kubernetes operators export."""

_METRIC = re.compile(r"\b([a-z]+(?:_[a-z0-9]+)+)\b(?=\s*(?:\{|\[|\)|==|>|<|$|or\b|-))")


@cache
def rules() -> tuple[Manifest, ...]:
    """Production's alert rules."""
    (group,) = find("us", "PrometheusRule", "provisioning")["spec"]["groups"]
    return tuple(group["rules"])


@cache
def expressions() -> tuple[str, ...]:
    """All PromQL expressions of the alert rules and the dashboard."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return (
        *(rule["expr"] for rule in rules()),
        *(target["expr"] for panel in panels for target in panel["targets"]),
    )


def metrics_in_use() -> set[str]:
    """The queried metrics that our own processes export."""
    names = set().union(*(metrics(expression) for expression in expressions()))
    return {name for name in names if not name.startswith(OPERATOR_METRICS)}


def metrics(expression: str) -> set[str]:
    """The metrics that an expression queries."""
    # Without labels and `by` clauses.
    bare = re.sub(r"\{[^}]*\}|\b(?:by|without|ignoring)\s*\([^)]*\)", "{", expression)
    return set(_METRIC.findall(bare + " ")) - _FUNCTIONS


def labels_grouped_by(expression: str) -> set[str]:
    """The labels in the `by` clauses of an expression."""
    grouped = re.findall(r"\bby\s*\(([^)]*)\)", expression)
    return {label.strip() for clause in grouped for label in clause.split(",")}


def labels(metric: str) -> set[str]:
    """The labels of a metric: its own, those of the pod, and those that relabeling adds."""
    own = {"le"} if metric.endswith("_bucket") else set()
    is_of_database = metric.startswith(("cnpg_", "barman_cloud_"))
    monitors = ("users", "keys") if is_of_database else ("processes",)
    return own | _documented_labels(family(metric)) | _POD_LABELS | _added_by_all(monitors)


def family(series: str) -> str:
    """The metric of a series, without histogram suffixes."""
    return re.sub(r"(?<=_seconds)_(?:bucket|count|sum)$", "", series)


def _documented_labels(metric: str) -> set[str]:
    """The labels that docs/operations.md lists for a metric."""
    line = rf"^\|[^|]*`{metric}`[^|]*\|[^|]*\|([^|]*)\|"
    row = re.search(line, OPERATIONS.read_text(), re.MULTILINE)
    return set(re.findall(r"`(\w+)`", row[1])) if row else set()


def _added_by_all(monitors: tuple[str, ...]) -> set[str]:
    """The labels that all these PodMonitors add by relabeling."""
    return set.intersection(
        *(
            {
                relabeling["targetLabel"]
                for endpoint in find("us", "PodMonitor", name)["spec"]["podMetricsEndpoints"]
                for relabeling in endpoint.get("relabelings", ())
            }
            for name in monitors
        )
    )


_POD_LABELS = {"container", "endpoint", "instance", "job", "namespace", "pod"}
_FUNCTIONS = {"histogram_quantile", "min_over_time", "rate_interval"}
