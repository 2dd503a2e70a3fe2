"""A service refuses a pooler that loses its prepared statements or its notifications."""

from pathlib import Path

import pytest

from tests.support.service_processes import running, service_settings
from tools.chaos.pgbouncer import is_installed, running_pgbouncer

pytestmark = pytest.mark.skipif(not is_installed(), reason="pgbouncer is not installed")

TRANSACTION_MODE = {"pool_mode": "transaction", "max_prepared_statements": "0"}
SESSION_MODE = {"pool_mode": "session"}


@pytest.fixture(params=["usersvc", "keysvc"])
def service(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(request: pytest.FixtureRequest, service: str) -> str:
    return str(request.getfixturevalue({"usersvc": "users_url", "keysvc": "keys_url"}[service]))


def refusal(service: str, settings: dict[str, str]) -> str:
    with running(service, settings, "serve") as process:
        assert process.exit_code() == 1, process.output
    assert not [entry for entry in process.logged("health") if entry["ready"]]
    return process.output.splitlines()[-1]


def test_pooler_that_loses_prepared_statements_is_refused(service: str, url: str, tmp_path: Path):
    prefix = service.upper()
    with running_pgbouncer(tmp_path / "pooler", [url], TRANSACTION_MODE) as (pooled,):
        settings = service_settings(service, pooled) | {f"{prefix}_DATABASE_LISTEN_URL": url}
        text = refusal(service, settings)
    assert text.startswith(f"{prefix}_DATABASE_URL leads through a pooler that loses prepared")


def test_pooler_of_transactions_for_listen_is_refused(service: str, url: str, tmp_path: Path):
    with running_pgbouncer(tmp_path / "pooler", [url], TRANSACTION_MODE) as (pooled,):
        text = refusal(service, service_settings(service, pooled))
    assert f"set {service.upper()}_DATABASE_LISTEN_URL" in text


def test_pooler_in_session_mode_is_accepted(service: str, url: str, tmp_path: Path):
    with (
        running_pgbouncer(tmp_path / "pooler", [url], SESSION_MODE) as (pooled,),
        running(service, service_settings(service, pooled), "serve") as process,
    ):
        process.wait_for("health", ready=True)
