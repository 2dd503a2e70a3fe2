"""A process that other machines can reach uses TLS or does not start."""

import asyncio
from pathlib import Path

import pytest
import structlog

from chassis.concurrency.supervisor import Supervisor
from chassis.config.settings import (
    Address,
    CertificateFiles,
    Environment,
    ServerSettings,
    SettingsError,
)
from chassis.rpc.certificates import Certificates
from chassis.rpc.channel import connect, is_loopback_target
from chassis.rpc.server import Server
from chassis.startup import StartError

LOG = structlog.wrap_logger(structlog.ReturnLogger())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "usersvc"])
async def test_server_on_a_public_address_does_not_start_without_tls(host: str):
    server = Server(ServerSettings(Address(host, 0)), {}, LOG, Supervisor(LOG))
    with pytest.raises(
        StartError, match="set TLS_CERTIFICATE, TLS_KEY and TLS_AUTHORITY"
    ) as caught:
        await server.run(asyncio.Event())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "target",
    ["usersvc:50051", "dns:///usersvc:50051", "192.0.2.1:1", "ipv4:127.0.0.1:1,192.0.2.1:1"],
)
def test_channel_to_another_machine_is_refused_without_tls(target: str):
    with pytest.raises(StartError, match="is on another machine"):
        connect(target, {})


@pytest.mark.parametrize(
    "target",
    [
        "127.0.0.1:50051",
        "localhost:50051",
        "dns:///localhost:50051",
        "[::1]:50051",
        "dns:///[::1]:50051",
        "dns://192.0.2.53/127.0.0.1:1",
        "ipv4:127.0.0.1:1,127.0.0.2:1",
        "ipv6:[::1]:1",
        "unix:/run/usersvc",
    ],
)
def test_targets_on_this_machine_are_recognized(target: str):
    assert is_loopback_target(target)


def test_incomplete_tls_settings_are_refused():
    environment = Environment({"X_TLS_KEY": "/k"}, "X_")
    environment.certificate_files()
    with pytest.raises(SettingsError) as caught:
        environment.check()
    assert str(caught.value) == "X_TLS_CERTIFICATE is not set; X_TLS_AUTHORITY is not set"


@pytest.mark.parametrize(
    ("variables", "reflection"),
    [
        ({}, True),
        ({"X_REFLECTION": "off"}, False),
        ({"X_TLS_CERTIFICATE": "c", "X_TLS_KEY": "k", "X_TLS_AUTHORITY": "a"}, False),
    ],
)
def test_reflection_is_off_by_default_with_tls(variables: dict[str, str], reflection: bool):
    tls = CertificateFiles(Path("c"), Path("k"), Path("a")) if len(variables) == 3 else None
    settings = Environment(variables, "X_").server("127.0.0.1:1")
    assert settings == ServerSettings(Address("127.0.0.1", 1), tls, reflection)


@pytest.mark.parametrize("content", [b"", b"no certificate"])
def test_invalid_tls_files_are_reported_in_one_line(tmp_path: Path, content: bytes):
    files = CertificateFiles(tmp_path / "c", tmp_path / "k", tmp_path / "a")
    for file in (files.certificate, files.key, files.authority):
        file.write_bytes(content)
    with pytest.raises(StartError, match="the TLS files cannot be used: ") as caught:
        Certificates(files, LOG)
    assert str(files.certificate) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_tls_file_is_reported_with_its_setting(tmp_path: Path):
    (tmp_path / "c").touch()
    files = CertificateFiles(tmp_path / "c", Path("/nowhere/tls.key"), tmp_path / "a")
    with pytest.raises(StartError) as caught:
        Certificates(files, LOG)
    assert str(caught.value) == (
        "the TLS files cannot be used: No such file or directory (key: '/nowhere/tls.key')"
    )
