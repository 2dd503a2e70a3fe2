"""Error messages do not quote a secret that was given to the wrong variable."""

import asyncio
import secrets
from pathlib import Path

import pytest
import structlog
from aiohttp import web

import gateway.settings
from chassis.concurrency.supervisor import Supervisor
from chassis.config.settings import Address, CertificateFiles, ServerSettings, SettingsError
from chassis.observability.admin import admin_port
from chassis.observability.metrics import Metrics
from chassis.rpc.certificates import Certificates
from chassis.rpc.channel import connect
from chassis.rpc.server import Server
from chassis.startup import StartError, redact
from deploy.local.setup.key_pair import create_key_pair
from gateway.http.server import Runner

LOG = structlog.wrap_logger(structlog.ReturnLogger())
HIDDEN = "(not shown: it may be a secret)"
KEY = "cak_us_33RtraCoeBvru2lX0687lYmtQrqMxJSb"
RANDOM = "c50c92331569b3aaa1de6de7b20a13ef"  # constant: it is part of the test ids
URL = "postgresql://keys:ab12@db/keys"
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\n-----END PRIVATE KEY-----\n"


def settings_error(name: str, value: str) -> str:
    valid = {"GATEWAY_REGION": "us", "GATEWAY_CURSOR_SECRET": secrets.token_hex(32)}
    with pytest.raises(SettingsError) as caught:
        gateway.settings.read({**valid, f"GATEWAY_{name}": value})
    return str(caught.value)


@pytest.mark.parametrize("secret", [URL, KEY, RANDOM])
@pytest.mark.parametrize("name", ["LISTEN", "TENANT_URLS"])
def test_secret_instead_of_an_address_is_redacted(name: str, secret: str):
    assert settings_error(name, secret).startswith(f"GATEWAY_{name} is {HIDDEN}, not ")


@pytest.mark.parametrize("secret", [URL, KEY, RANDOM, "hunter2pw", "31337"])
@pytest.mark.parametrize("name", ["REGION", "LOG_LEVEL", "PROXIES", "MAX_PAGES"])
def test_short_secret_instead_of_a_word_or_number_is_not_quoted(name: str, secret: str):
    if name != "PROXIES" or not secret.isdecimal():
        assert secret not in settings_error(name, secret)


@pytest.mark.parametrize("secret", [URL, KEY, RANDOM, "postgresql://u:hunter2pw/db"])
def test_secret_instead_of_a_target_is_redacted(secret: str):
    with pytest.raises(StartError) as caught:
        connect(secret, {})
    assert str(caught.value).startswith(f"{HIDDEN} is on another machine")


@pytest.mark.parametrize(
    "value", ["dns:///usersvc:50051", "https://a.test:8443,https://b.test:80/x", "https://[::1]:80"]
)
def test_address_with_a_port_is_quoted(value: str):
    assert redact(value) == repr(value)


@pytest.mark.parametrize("name", ["LISTEN", "ADMIN_LISTEN"])
def test_too_long_host_is_refused_and_redacted(name: str):
    error = settings_error(name, f"{secrets.token_hex(32)}:1")
    assert error == f"GATEWAY_{name} is {HIDDEN}, not host:port"


def test_short_invalid_address_is_quoted():
    assert settings_error("LISTEN", "here") == "GATEWAY_LISTEN is 'here', not host:port"


@pytest.mark.parametrize("content", [PEM, PEM.replace("\n", " "), "MIIE\nvQIB", "MIIE\rvQIB"])
@pytest.mark.parametrize("name", ["SAML_KEY", "SAML_CERTIFICATE", "TLS_KEY", "TLS_CERTIFICATE"])
def test_file_content_instead_of_a_path_is_refused_unquoted(name: str, content: str):
    error = settings_error(name, content)
    assert f"GATEWAY_{name} is the content of a file: give its path" in error
    assert "MII" not in error


@pytest.mark.parametrize("secret", [KEY, RANDOM, PEM])
def test_secret_instead_of_a_file_is_redacted(tmp_path: Path, secret: str):
    (tmp_path / "c").touch()
    with pytest.raises(StartError) as caught:
        Certificates(CertificateFiles(tmp_path / "c", Path(secret), tmp_path / "a"), LOG)
    assert str(caught.value).endswith(f"No such file or directory (key: {HIDDEN})")


@pytest.mark.parametrize("secret", [KEY, RANDOM])
async def test_secret_instead_of_a_listen_host_is_redacted(
    tmp_path: Path, secret: str, capfd: pytest.CaptureFixture[str]
):
    create_key_pair(tmp_path / "key", tmp_path / "crt", "here")
    tls = CertificateFiles(tmp_path / "crt", tmp_path / "key", tmp_path / "crt")
    with pytest.raises(StartError, match="cannot listen on") as gateway_error:
        await Runner(web.Application(), LOG).listen(Address(secret, 1))
    with pytest.raises(StartError, match="cannot listen on") as service_error:
        await Server(ServerSettings(Address(secret, 1), tls), {}, LOG, Supervisor(LOG)).run(
            asyncio.Event()
        )
    with pytest.raises(StartError, match="other machines can reach") as tls_error:
        await Server(ServerSettings(Address(secret, 1)), {}, LOG, Supervisor(LOG)).run(
            asyncio.Event()
        )
    with (
        pytest.raises(StartError, match="cannot listen on") as admin_error,
        admin_port(Address(secret, 1), Metrics(), {}, LOG),
    ):
        pytest.fail("the admin port listens")
    texts = [str(caught.value) for caught in (gateway_error, service_error, tls_error, admin_error)]
    assert all(HIDDEN in text for text in texts)
    assert secret not in "".join((*texts, *capfd.readouterr()))
