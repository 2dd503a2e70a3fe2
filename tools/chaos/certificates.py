"""The certificates of a region's processes."""

from dataclasses import replace
from pathlib import Path

import grpc

from chassis.config.settings import CertificateFiles
from deploy.local.processes.child import Program
from tests.support.chassis.authorities import Authority
from tests.support.service_processes import tls_settings

SERVICES = ("usersvc", "keysvc")


class RegionCertificates:
    """The authority of a region, and the certificates that it has issued."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authority = Authority()
        folder.mkdir()
        self.renew()

    def renew(self) -> None:
        """Issue the certificates of all processes, or replace them."""
        for service in SERVICES:
            self._issue(service, f"{service}.test")
        self._issue("gateway", "gateway")
        self._operator = self._issue("operator", "operator")

    def program(self, program: Program) -> Program:
        """A program that uses its certificate."""
        files = self._files(program.name)
        return replace(
            program, environment={**program.environment, **tls_settings(program.name, files)}
        )

    def channel(self, address: str, service: str) -> grpc.aio.Channel:
        """An operator's channel to one replica of a service."""
        authority, key, certificate = (
            path.read_bytes()
            for path in (self._operator.authority, self._operator.key, self._operator.certificate)
        )
        options = [
            ("grpc.enable_http_proxy", 0),
            ("grpc.ssl_target_name_override", f"{service}.test"),
        ]
        credentials = grpc.ssl_channel_credentials(authority, key, certificate)
        return grpc.aio.secure_channel(address, credentials, options)

    def _issue(self, name: str, dns_name: str) -> CertificateFiles:
        return self.authority.issue(self._folder / name, dns_name)

    def _files(self, name: str) -> CertificateFiles:
        folder = self._folder / name
        return CertificateFiles(folder / "tls.crt", folder / "tls.key", folder / "ca.crt")
