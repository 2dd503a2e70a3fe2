"""A server with a certificate of an authority for tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chassis.config.settings import Address, CertificateFiles, ServerSettings
from tests.support.chassis.authorities import Authority
from tests.support.chassis.echoes import EchoServer, echo_server


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def server_files(authority: Authority, tmp_path: Path) -> CertificateFiles:
    return authority.issue(tmp_path / "server", "usersvc")


@pytest.fixture
async def server(server_files: CertificateFiles) -> AsyncIterator[EchoServer]:
    async with echo_server(ServerSettings(Address("127.0.0.1", 0), server_files)) as running:
        yield running
