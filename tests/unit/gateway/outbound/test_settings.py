"""The settings of outgoing traffic."""

from pathlib import Path

import pytest

from chassis.config.settings import Address, SettingsError
from chassis.startup import StartError
from gateway.outbound.settings import MailServer, OutboundSettings
from gateway.outbound.tls import client_context
from gateway.settings import read

REQUIRED = {"GATEWAY_REGION": "us", "GATEWAY_CURSOR_SECRET": bytes(range(32)).hex()}


def outbound(**variables: str) -> OutboundSettings:
    return read(
        {**REQUIRED, **{f"GATEWAY_{name}": value for name, value in variables.items()}}
    ).outbound


def test_without_variables_nothing_but_public_addresses_is_reached():
    assert outbound() == OutboundSettings((), None, None, allow_loopback=False, mail_server=None)


def test_variables_are_read():
    assert outbound(
        OUTBOUND_NAMESERVERS="1.1.1.1:53, [2606:4700::1111]:5353",
        OUTBOUND_PROXY="proxy.internal:3128",
        OUTBOUND_AUTHORITY="/authority.pem",
        OUTBOUND_LOOPBACK="on",
        SMTP_SERVER="mail.example.com:465",
        SMTP_TLS="implicit",
    ) == OutboundSettings(
        (Address("1.1.1.1", 53), Address("2606:4700::1111", 5353)),
        Address("proxy.internal", 3128),
        Path("/authority.pem"),
        allow_loopback=True,
        mail_server=MailServer(Address("mail.example.com", 465), implicit_tls=True),
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OUTBOUND_NAMESERVERS", "dns.example.com:53"),
        ("OUTBOUND_NAMESERVERS", "1.1.1.1"),
        ("OUTBOUND_PROXY", "http://proxy:3128/"),
        ("OUTBOUND_LOOPBACK", "yes"),
        ("SMTP_SERVER", "mail.example.com"),
        ("SMTP_TLS", "none"),
    ],
)
def test_invalid_variable_is_refused_by_its_name(name: str, value: str):
    with pytest.raises(SettingsError, match=f"GATEWAY_{name}"):
        outbound(**{name: value})


def test_loopback_is_refused_if_other_machines_can_reach_the_gateway():
    with pytest.raises(SettingsError, match="GATEWAY_OUTBOUND_LOOPBACK is for development"):
        outbound(
            OUTBOUND_LOOPBACK="on",
            LISTEN="0.0.0.0:8080",
            CURSOR_SECRET=bytes(range(1, 33)).hex(),
        )


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_unusable_authority_ends_the_start(tmp_path: Path, content: bytes | None):
    path = tmp_path / "authority.pem"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(StartError, match="GATEWAY_OUTBOUND_AUTHORITY"):
        client_context(path)
