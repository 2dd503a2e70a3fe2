"""The Prometheus queries of alerts and the dashboard."""

import json
import re
from functools import cache

from tests.support.k8s.manifests import Manifest, find
from tests.support.k8s.tools import ROOT

DASHBOARD = ROOT / "deploy/k8s/components/production/dashboard.json"
OPERATIONS = ROOT / "docs/operations.md"
OF_OTHERS = ("cnpg_", "certmanager_", "barman_cloud_")
"""Prefixes of the operators' metrics."""

_METRIC = re.compile(r"\b([a-z]+(?:_[a-z0-9]+)+)\b(?=\s*(?:\{|\[|\)|==|>|<|$|or\b|-))")


@cache
def rules() -> tuple[Manifest, ...]:
    """Production's alert rules."""
    (group,) = find("us", "PrometheusRule", "provisioning")["spec"]["groups"]
    return tuple(group["rules"])


@cache
def expressions() -> tuple[str, ...]:
    """All PromQL expressions."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return (
        *(rule["expr"] for rule in rules()),
        *(target["expr"] for panel in panels for target in panel["targets"]),
    )


def metrics_in_use() -> set[str]:
    """The queried metrics of our own processes."""
    names = set().union(*(metrics(expression) for expression in expressions()))
    return {name for name in names if not name.startswith(OF_OTHERS)}


def metrics(expression: str) -> set[str]:
    """All queried metrics."""
    # Without labels and `by` clauses.
    bare = re.sub(r"\{[^}]*\}|\b(?:by|without|ignoring)\s*\([^)]*\)", "{", expression)
    return set(_METRIC.findall(bare + " ")) - _FUNCTIONS


def labels_grouped_by(expression: str) -> set[str]:
    """The labels in `by` clauses."""
    grouped = re.findall(r"\bby\s*\(([^)]*)\)", expression)
    return {label.strip() for one in grouped for label in one.split(",")}


def labels(metric: str) -> set[str]:
    """The labels of a metric: its own, those of the pod, and those of relabeling."""
    own = {"le"} if metric.endswith("_bucket") else set()
    of_databases = metric.startswith(("cnpg_", "barman_cloud_"))
    monitors = ("users", "keys") if of_databases else ("processes",)
    return own | _told(family(metric)) | _OF_PODS | _put_on_by_all(monitors)


def family(series: str) -> str:
    """The metric of a series, without histogram suffixes."""
    return re.sub(r"(?<=_seconds)_(?:bucket|count|sum)$", "", series)


def _told(metric: str) -> set[str]:
    """The labels in alert annotations."""
    line = rf"^\|[^|]*`{metric}`[^|]*\|[^|]*\|([^|]*)\|"
    row = re.search(line, OPERATIONS.read_text(), re.MULTILINE)
    return set(re.findall(r"`(\w+)`", row[1])) if row else set()


def _put_on_by_all(monitors: tuple[str, ...]) -> set[str]:
    return set.intersection(
        *(
            {
                one["targetLabel"]
                for endpoint in find("us", "PodMonitor", name)["spec"]["podMetricsEndpoints"]
                for one in endpoint.get("relabelings", ())
            }
            for name in monitors
        )
    )


_OF_PODS = {"container", "endpoint", "instance", "job", "namespace", "pod"}
_FUNCTIONS = {"histogram_quantile", "min_over_time", "rate_interval"}
