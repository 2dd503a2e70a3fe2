"""Development secrets and plain HTTP are accepted only between processes of one machine."""

import secrets

import pytest

import gateway.settings
from chassis.config.database_url import DEVELOPMENT
from chassis.config.settings import Environment, SettingsError

RANDOM = secrets.token_bytes(32)
VERIFIED = "?sslmode=verify-full&sslrootcert=/ca.crt"
GATEWAY = {"GATEWAY_REGION": "us", "GATEWAY_CURSOR_SECRET": RANDOM.hex()}
ON_LOOPBACK, ON_ALL_INTERFACES = {"GATEWAY_LISTEN": "127.0.0.1:1"}, {"GATEWAY_LISTEN": "0.0.0.0:1"}
PLAIN_URLS = {"GATEWAY_TENANT_URLS": "us=http://127.0.0.1:1/scim,eu=https://app.qa.com/scim"}


def database_problem(url: str) -> str:
    environment = Environment({"X_DATABASE_URL": url}, "X_")
    environment.database("DATABASE_URL")
    try:
        environment.check()
    except SettingsError as error:
        return str(error)
    return ""


def gateway_problem(*variables: dict[str, str]) -> str:
    environment = {name: value for part in (GATEWAY, *variables) for name, value in part.items()}
    try:
        gateway.settings.read(environment)
    except SettingsError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://keys:x@127.0.0.1:5432/keys",
        "postgresql://keys:x@localhost/keys",
        "postgresql://keys:x@[::1]:5432/keys",
        "postgres://keys@/keys?host=/run/postgresql",
        f"postgresql://keys:{RANDOM.hex()}@keys-rw:5432/keys{VERIFIED}",
        f"postgresql://keys:{RANDOM.hex()}@one:1,two:2/keys{VERIFIED}",
    ],
)
def test_local_or_verified_database_is_accepted(url: str):
    assert database_problem(url) == ""


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://keys:ab12cd@keys-rw/keys",
        "postgresql://keys:ab12cd@keys-rw/keys?sslmode=require",
        "postgresql://keys:ab12cd@keys-rw/keys?sslmode=verify-ca",
        "postgresql://keys:ab12cd@localhost,keys-rw/keys",
        "postgresql://keys:ab12cd@localhost/keys?host=192.0.2.1",
        "postgresql://keys:ab12cd@keys-rw/keys?host=127.0.0.1",
        "postgresql://keys:ab12cd@/keys?host=localhost,keys-rw",
        "postgresql://keys:ab12cd@/keys",
        "postgresql://keys:ab12cd@[2001:db8::1]:5432/keys",
        "postgresql://keys:ab12cd@127.0.0.1.evil.test/keys",
    ],
)
def test_remote_database_requires_a_verified_certificate(url: str):
    problem = "X_DATABASE_URL names another machine without sslmode=verify-full"
    assert database_problem(url) == problem
    assert "ab12cd" not in problem


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        (f"{DEVELOPMENT}ab12cd", "has a password that was made for development"),
        ("development%2Dab12cd", "has a password that was made for development"),
        ("keys", "has no password, or a well-known one"),
        ("Postgres", "has no password, or a well-known one"),
        ("", "has no password, or a well-known one"),
    ],
)
def test_well_known_password_of_a_remote_database_is_refused(password: str, problem: str):
    url = f"postgresql://keys:{password}@keys-rw/keys{VERIFIED}"
    assert database_problem(url) == f"X_DATABASE_URL {problem}"
    assert database_problem(url.replace("keys-rw", "127.0.0.1")) == ""


def test_url_that_is_not_postgresql_is_refused_unquoted():
    assert database_problem("mysql://keys:ab12cd@db/keys") == (
        "X_DATABASE_URL is not postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
    )


@pytest.mark.parametrize("secret", [bytes(32), b"\x01\x02" * 16, b"0123456789abcde" * 3])
def test_secret_with_few_different_bytes_is_refused(secret: bytes):
    problem = gateway_problem(ON_LOOPBACK, {"GATEWAY_CURSOR_SECRET": secret.hex()})
    different = len(set(secret))
    assert problem == (
        f"GATEWAY_CURSOR_SECRET can be guessed: it has only {different} different bytes"
    )


def test_development_secret_is_accepted_on_loopback_only():
    development_secret = {"GATEWAY_CURSOR_SECRET": DEVELOPMENT.encode().hex() + RANDOM.hex()}
    assert gateway_problem(ON_LOOPBACK, development_secret) == ""
    assert gateway_problem(ON_ALL_INTERFACES, development_secret) == (
        "GATEWAY_CURSOR_SECRET is for development, but other machines can reach this process"
    )


def test_http_tenant_url_is_accepted_on_loopback_only():
    assert gateway_problem(ON_LOOPBACK, PLAIN_URLS) == ""
    assert gateway_problem(ON_ALL_INTERFACES, PLAIN_URLS).endswith(
        ": use https://, as other machines can reach this process"
    )
    assert gateway_problem(ON_ALL_INTERFACES) == ""
