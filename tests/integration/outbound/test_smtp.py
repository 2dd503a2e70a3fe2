"""Connections to real mail servers (aiosmtpd) on loopback."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from chassis.config.settings import Address
from gateway.outbound.clients import OutboundClients
from gateway.outbound.errors import OutboundReason
from gateway.outbound.settings import MailServer
from gateway.outbound.smtp import MailConnector
from tests.support.chassis.authorities import Authority
from tests.support.outbound.outside import Outside, refusal
from tests.support.outbound.servers import Server, running, server_context

MAIL_HOST = "mail.test"


class Mailbox:
    """Stores what a mail server accepts."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.client_names: list[str | None] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.envelopes.append(envelope)
        self.client_names.append(session.host_name)
        assert session.ssl is not None or isinstance(
            server.transport.get_extra_info("ssl_object"), ssl.SSLObject
        )
        return "250 OK"


@asynccontextmanager
async def mail_server(
    mailbox: Mailbox, context: ssl.SSLContext | None, *, implicit_tls: bool
) -> AsyncIterator[Address]:
    """Run a mail server."""
    offered = None if implicit_tls else context
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(mailbox, tls_context=offered, require_starttls=offered is not None),
        "127.0.0.1",
        0,
        ssl=context if implicit_tls else None,
    )
    async with server:
        yield Address(MAIL_HOST, server.sockets[0].getsockname()[1])


@pytest.fixture
def names(outside: Outside) -> None:
    """The address of the mail server."""
    outside.names.records[MAIL_HOST, "A"] = ["127.0.0.1"]


def connector(clients: OutboundClients) -> MailConnector:
    assert clients.mail is not None
    return clients.mail


async def connect(clients: OutboundClients) -> None:
    async with connector(clients).connection():
        pass


@pytest.mark.parametrize("implicit_tls", [True, False])
@pytest.mark.usefixtures("names")
async def test_message_is_delivered_over_tls(outside: Outside, implicit_tls: bool):
    mailbox = Mailbox()
    context = server_context(outside.certificate(MAIL_HOST))
    async with (
        mail_server(mailbox, context, implicit_tls=implicit_tls) as address,
        outside.clients(mail_server=MailServer(address, implicit_tls)) as clients,
        connector(clients).connection() as connection,
    ):
        await connection.sendmail("us@cloudacademy.test", ["ann@acme.test"], "Subject: a\r\n\r\nb")

    assert [each.rcpt_tos for each in mailbox.envelopes] == [["ann@acme.test"]]
    assert mailbox.client_names == ["cloudacademy.test"]


@pytest.mark.parametrize("implicit_tls", [True, False])
@pytest.mark.usefixtures("names")
async def test_mail_server_with_an_invalid_certificate_is_refused(
    outside: Outside, implicit_tls: bool, tmp_path
):
    context = server_context(Authority("another").issue(tmp_path / "another", MAIL_HOST))
    async with (
        mail_server(Mailbox(), context, implicit_tls=implicit_tls) as address,
        outside.clients(mail_server=MailServer(address, implicit_tls)) as clients,
    ):
        assert await refusal(connect(clients)) is OutboundReason.TLS_FAILED


@pytest.mark.usefixtures("names")
async def test_mail_server_without_starttls_is_refused(outside: Outside):
    async with (
        mail_server(Mailbox(), None, implicit_tls=False) as address,
        outside.clients(mail_server=MailServer(address, False)) as clients,
    ):
        assert await refusal(connect(clients)) is OutboundReason.TLS_FAILED


async def test_mail_server_with_a_private_address_is_refused(outside: Outside):
    outside.names.records[MAIL_HOST, "A"] = ["10.0.0.25"]
    async with outside.clients(mail_server=MailServer(Address(MAIL_HOST, 587), False)) as clients:
        assert await refusal(connect(clients)) is OutboundReason.ADDRESS_REFUSED


@pytest.mark.usefixtures("names")
async def test_silent_mail_server_is_given_up_at_the_limit(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gateway.outbound.smtp.CONNECT_SECONDS", 0.5)
    end = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await end.wait()

    async with running(Server(), wait) as server:
        address = Address(MAIL_HOST, server.port)
        async with outside.clients(mail_server=MailServer(address, False)) as clients:
            assert await refusal(connect(clients)) is OutboundReason.TIMEOUT


@pytest.mark.usefixtures("names")
async def test_mail_server_that_refuses_service_is_reported_with_its_code(outside: Outside):
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"554 no service\r\n")
        await writer.drain()
        await reader.read()

    async with running(Server(), refuse) as server:
        address = Address(MAIL_HOST, server.port)
        async with outside.clients(mail_server=MailServer(address, False)) as clients:
            assert await refusal(connect(clients)) is OutboundReason.INVALID_RESPONSE


@pytest.mark.usefixtures("names")
async def test_absent_mail_server_is_a_failed_connection(outside: Outside):
    async with running(Server(), connect) as server:
        address = Address(MAIL_HOST, server.port)
    async with outside.clients(mail_server=MailServer(address, False)) as clients:
        assert await refusal(connect(clients)) is OutboundReason.CONNECTION_FAILED
