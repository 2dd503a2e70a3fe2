"""usersvc as a separate process with TLS, and channels to it for any caller."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import grpc
import structlog

from chassis.config.settings import CertificateFiles
from chassis.rpc.certificates import Certificates
from chassis.rpc.channel import connect
from tests.support.chassis.authorities import DAY, Authority

ROOT = Path(__file__).parents[3]
LOG = structlog.wrap_logger(structlog.ReturnLogger())
UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


@dataclass(frozen=True)
class UsersvcProcess:
    """A running process, and the certificate authority that it trusts."""

    target: str
    authority: Authority
    folder: Path

    def files(self, name: str, authority: Authority | None = None, life: timedelta = DAY):
        """Issue a new certificate to a caller."""
        issuer = authority or self.authority
        folder = self.folder / f"{name}-{issuer.name}-{life.days}"
        return issuer.issue(folder, name, life=life, trusts=self.authority)

    def channel(
        self, name: str, authority: Authority | None = None, life: timedelta = DAY
    ) -> grpc.aio.Channel:
        """A channel as our services create it, with a certificate for `name`."""
        return connect(self.target, {}, Certificates(self.files(name, authority, life), LOG))

    def plain_channel(
        self, name: str, options: list[tuple[str, int]] | None = None
    ) -> grpc.aio.Channel:
        """A channel as another program creates it, with gRPC's default options unless given."""
        credentials = credentials_of(self.files(name))
        return grpc.aio.secure_channel(self.target, credentials, options)


def credentials_of(files: CertificateFiles) -> grpc.ChannelCredentials:
    return Certificates(files, LOG).for_channel()


@contextmanager
def usersvc_process(url: str, folder: Path) -> Iterator[UsersvcProcess]:
    """Run `python -m usersvc serve` with its own certificate."""
    authority = Authority()
    files = authority.issue(folder / "server", "usersvc")
    process = subprocess.Popen(
        (sys.executable, "-m", "usersvc", "serve"),
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": ".:build",
            "USERSVC_DATABASE_URL": url,
            "USERSVC_REGION": "us",
            "USERSVC_LISTEN": "127.0.0.1:0",
            "USERSVC_TLS_CERTIFICATE": str(files.certificate),
            "USERSVC_TLS_KEY": str(files.key),
            "USERSVC_TLS_AUTHORITY": str(files.authority),
        },
        stdout=subprocess.PIPE,
    )
    try:
        line = {"event": ""}
        while line["event"] != "listening":  # before, it may log why there is no database
            line = json.loads(process.stdout.readline())
        port = line["address"].rpartition(":")[2]
        yield UsersvcProcess(f"localhost:{port}", authority, folder)
    finally:
        process.kill()
        process.communicate()
