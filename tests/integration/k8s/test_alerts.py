"""Alerts fire on their conditions and stay quiet otherwise, as promtool evaluates them."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.k8s.alerts import (
    DASHBOARD,
    OPERATIONS,
    expressions,
    labels,
    labels_grouped_by,
    metrics,
    rules,
)
from tests.support.k8s.tools import system_tool

MINUTES = 90
BACKUP = "barman_cloud_cloudnative_pg_io_last_available_backup_timestamp"
SERIES = {
    "RequestsFail": {
        'http_server_request_duration_seconds_count{http_response_status_code="200"}': "0+95x90",
        'http_server_request_duration_seconds_count{http_response_status_code="503"}': "0+5x90",
    },
    "RequestsAreSlow": {
        'http_server_request_duration_seconds_bucket{http_route="/Users",le="1"}': "0+90x90",
        'http_server_request_duration_seconds_bucket{http_route="/Users",le="2.5"}': "0+100x90",
        'http_server_request_duration_seconds_bucket{http_route="/Users",le="+Inf"}': "0+100x90",
    },
    "KeysAreRefused": {
        'http_server_request_duration_seconds_count{http_response_status_code="200"}': "0+70x90",
        'http_server_request_duration_seconds_count{http_response_status_code="401"}': "0+30x90",
    },
    "RequestsAreShed": {'http_server_requests_rejected_total{reason="no_slot"}': "0+120x90"},
    "OrganizationIsLimited": {
        'http_server_requests_rejected_total{reason="rate_limit"}': "0+120x90"
    },
    "KeysAreGuessed": {
        'http_server_requests_rejected_total{reason="failed_auth_limit"}': "0+120x90"
    },
    "CallsAreRefused": {
        'rpc_server_call_duration_seconds_count{error_type="CALLER_NOT_ADMITTED"}': "0+1x90",
    },
    "PoolIsExhausted": {
        'db_client_connection_count{pod="one",db_client_connection_state="used"}': "8x90",
        'db_client_connection_max{pod="one"}': "8x90",
    },
    "ClockIsWrong": {'clock_offset_seconds{pod="one",peer="database"}': "-2x90"},
    "GatewaysDiffer": {
        'shared_settings_info{pod="one",cursor_secret="a"}': "1x90",
        'shared_settings_info{pod="two",cursor_secret="b"}': "1x90",
    },
    "OutgoingRequestsFail": {
        'http_client_request_duration_seconds_count{error_type="timeout"}': "0+30x90",
        'http_client_request_duration_seconds_count{error_type="dns_unavailable"}': "0+30x90",
        'http_client_request_duration_seconds_count{error_type=""}': "0+40x90",
    },
    "KeyWatchIsBroken": {'key_watch_connected{pod="one"}': "0x90"},
    "FeedLags": {'change_feed_lag_seconds{pod="one"}': "31x90"},
    "BackgroundTaskFails": {'background_task_failures_total{task="retention"}': "0+1x90"},
    "ProcessesAreGone": {"http_server_active_requests": "0x90"},
    "CertificateEnds": {
        "certmanager_certificate_expiration_timestamp_seconds"
        '{exported_namespace="cloudacademy-us",name="gateway"}': "86400x90",
    },
    "ReplicationLags": {'cnpg_pg_replication_lag{pod="users-2"}': "31x90"},
    "BackupIsOld": {
        f'{BACKUP}{{cluster="users"}}': "0x90",  # a recent backup must not hide an old one
        f'{BACKUP}{{cluster="keys"}}': "-100000x90",
    },
}
"""The series that make each alert fire."""

DNS_FAILS = {
    'dns_lookup_duration_seconds_count{error_type="dns_unavailable"}': "0+95x90",
    'dns_lookup_duration_seconds_count{error_type=""}': "0+5x90",
}
"""The proofs of domains make DNS lookups without HTTPS requests."""

ORDINARY_DAY = {
    'http_server_request_duration_seconds_count{http_response_status_code="200"}': "0+1000x90",
    'http_server_request_duration_seconds_count{http_response_status_code="401"}': "0+50x90",
    'http_server_request_duration_seconds_count{http_response_status_code="503"}': "0+5x90",
    'http_server_request_duration_seconds_bucket{http_route="/Users",le="1"}': "0+100x90",
    'http_server_request_duration_seconds_bucket{http_route="/Users",le="+Inf"}': "0+100x90",
    'http_server_request_duration_seconds_bucket{http_route="/Bulk",le="1"}': "0+0x90",
    'http_server_request_duration_seconds_bucket{http_route="/Bulk",le="+Inf"}': "0+100x90",
    "http_server_active_requests": "1x90",
    'http_server_requests_rejected_total{reason="no_slot"}': "0+6x90",
    'http_server_requests_rejected_total{reason="rate_limit"}': "0+6x90",
    'http_server_requests_rejected_total{reason="failed_auth_limit"}': "0+6x90",
    'rpc_server_active_calls{component="usersvc"}': "0x90",
    'rpc_server_active_calls{component="keysvc"}': "0x90",
    'rpc_server_call_duration_seconds_count{component="usersvc"}': "0+100x90",
    'db_client_connection_count{pod="one",db_client_connection_state="used"}': "7x90",
    'db_client_connection_max{pod="one"}': "8x90",
    'clock_offset_seconds{pod="one",peer="database"}': "0.9x90",
    'clock_offset_seconds{pod="two",peer="keysvc"}': "-0.9x90",
    'shared_settings_info{pod="one",cursor_secret="a"}': "1x90",
    'shared_settings_info{pod="two",cursor_secret="a"}': "1x90",
    # Receivers of a few customers are down, and others respond with errors.
    'http_client_request_duration_seconds_count{error_type="connection_failed"}': "0+40x90",
    'http_client_request_duration_seconds_count{error_type="404"}': "0+40x90",
    'http_client_request_duration_seconds_count{error_type=""}': "0+20x90",
    # Domains whose name servers fail are looked up more often than others.
    'dns_lookup_duration_seconds_count{error_type="name_not_found"}': "0+20x90",
    'dns_lookup_duration_seconds_count{error_type="dns_unavailable"}': "0+70x90",
    'dns_lookup_duration_seconds_count{error_type=""}': "0+10x90",
    'key_watch_connected{pod="one"}': "1x90",
    'change_feed_lag_seconds{pod="one"}': "2x90",
    'change_feed_connected{pod="one"}': "1x90",
    'background_task_failures_total{task="retention"}': "0x40 1x49",
    'background_task_waiting{task="retention"}': "0x90",
    "certmanager_certificate_expiration_timestamp_seconds"
    '{exported_namespace="cloudacademy-us",name="gateway"}': "2592000x90",
    'cnpg_pg_replication_lag{pod="users-2"}': "1x90",
    f'{BACKUP}{{cluster="users"}}': "0x90",
    f'{BACKUP}{{cluster="keys"}}': "0x90",
}
"""An ordinary day: a few clients have a wrong key, and a bulk request takes long."""


def names() -> list[str]:
    return [rule["alert"] for rule in rules()]


@pytest.fixture
def rules_folder(tmp_path: Path) -> Path:
    """A folder with the rules in Prometheus's format."""
    groups = {"groups": [{"name": "provisioning", "rules": rules()}]}
    (tmp_path / "rules.json").write_text(json.dumps(groups))
    return tmp_path


def promtool(rules_folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [system_tool("promtool"), *arguments]
    return subprocess.run(command, cwd=rules_folder, capture_output=True, text=True, check=False)


def promtool_errors(rules_folder: Path, series: dict[str, str], alert: str, *, fires: bool) -> str:
    """The errors of promtool for an alert over given series; empty if there are none."""
    firing = f'alertname="{alert}",alertstate="firing"'
    test = {
        "rule_files": ["rules.json"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": x} for name, x in series.items()],
                "promql_expr_test": [
                    {
                        "expr": f"count(ALERTS{{{firing}}}) > bool 0",
                        "eval_time": f"{MINUTES}m",
                        "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
                    }
                ],
            }
        ],
    }
    (rules_folder / "test.json").write_text(json.dumps(test))
    result = promtool(rules_folder, "test", "rules", "test.json")
    return "" if result.returncode == 0 else result.stdout + result.stderr


def test_alerts_group_only_by_existing_labels():
    """Grouping by a missing label puts all series into one group, and the best hides the worst."""
    for expression in expressions():
        for metric in metrics(expression):
            assert labels_grouped_by(expression) - labels(metric) == set(), (metric, expression)


def test_prometheus_accepts_rules(rules_folder):
    result = promtool(rules_folder, "check", "rules", "rules.json")
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_alert_has_test_series():
    assert sorted(SERIES) == sorted(names())


@pytest.mark.parametrize("alert", sorted(SERIES))
def test_alert_fires_on_its_series(alert, rules_folder):
    assert promtool_errors(rules_folder, SERIES[alert], alert, fires=True) == ""


def test_alert_fires_if_only_dns_lookups_fail(rules_folder):
    assert promtool_errors(rules_folder, DNS_FAILS, "OutgoingRequestsFail", fires=True) == ""


@pytest.mark.parametrize("alert", sorted(SERIES))
def test_no_alert_fires_on_ordinary_day(alert, rules_folder):
    assert promtool_errors(rules_folder, ORDINARY_DAY, alert, fires=False) == ""


def test_every_alert_is_documented():
    text = OPERATIONS.read_text()
    documented = re.findall(r"^\| `([A-Z][a-z]\w+)` \| \S.* \|$", text, re.MULTILINE)
    assert sorted(documented) == sorted(names())


def test_prometheus_accepts_every_query_of_dashboard(rules_folder):
    queries = [
        expression.replace("$namespace", "x").replace("$__rate_interval", "5m")
        for expression in expressions()
    ]
    group = {
        "name": "dashboard",
        "rules": [{"record": f"q:{n}", "expr": query} for n, query in enumerate(queries)],
    }
    (rules_folder / "dashboard.json").write_text(json.dumps({"groups": [group]}))

    result = promtool(rules_folder, "check", "rules", "dashboard.json")

    assert result.returncode == 0, result.stdout + result.stderr


def test_panels_of_dashboard_do_not_overlap():
    positions = [panel["gridPos"] for panel in json.loads(DASHBOARD.read_text())["panels"]]
    cells = [
        (position["x"] + column, position["y"] + row)
        for position in positions
        for column in range(position["w"])
        for row in range(position["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
