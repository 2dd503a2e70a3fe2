"""The three processes of a region: their commands and settings."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chassis.config.database_url import DEVELOPMENT
from deploy.local.client_settings import read_client_settings
from deploy.local.files import read_or_create_secret
from deploy.local.processes.child import Program
from deploy.local.region import HOST, REGIONS, RegionPaths, client_settings_file, tenant_url
from deploy.local.setup.key_pair import create_key_pair


@dataclass(frozen=True, slots=True)
class Programs:
    """Builds the programs of one region from the checkout at `root`."""

    root: Path
    paths: RegionPaths

    def usersvc(self, database_url: str) -> Program:
        return self._program(
            "usersvc",
            {"USERSVC_DATABASE_URL": database_url, "USERSVC_REGION": self.paths.region.name},
        )

    def keysvc(self, database_url: str) -> Program:
        return self._program(
            "keysvc",
            {"KEYSVC_DATABASE_URL": database_url, "KEYSVC_REGION": self.paths.region.name},
        )

    def gateway(self, usersvc: str, keysvc: str, port: int) -> Program:
        name = f"{DEVELOPMENT}Cloud Academy SAML"
        create_key_pair(self.paths.saml_key, self.paths.saml_certificate, name)
        return self._program(
            "gateway",
            {
                "GATEWAY_USERSVC": usersvc,
                "GATEWAY_KEYSVC": keysvc,
                "GATEWAY_REGION": self.paths.region.name,
                "GATEWAY_TENANT_URLS": self._tenant_urls(port),
                # Only one organization uses this machine, and only its owner can try keys.
                "GATEWAY_ORGANIZATION_RATE": "100000",
                "GATEWAY_ORGANIZATION_BURST": "100000",
                "GATEWAY_UNKNOWN_KEYS": "10000",
                "GATEWAY_ADDRESS_CONNECTIONS": "2000",
                "GATEWAY_PAGE_RATE": "100000",
                "GATEWAY_PAGE_BURST": "100000",
                "GATEWAY_SIGN_IN_RATE": "100000",
                "GATEWAY_SIGN_IN_BURST": "100000",
                # Receivers and issuers that a developer runs on this machine.
                "GATEWAY_OUTBOUND_LOOPBACK": "on",
                "GATEWAY_SAML_KEY": str(self.paths.saml_key),
                "GATEWAY_SAML_CERTIFICATE": str(self.paths.saml_certificate),
                # Stored, so that cursors survive a restart.
                "GATEWAY_CURSOR_SECRET": read_or_create_secret(self.paths.cursor_secret)
                .encode()
                .hex(),
            },
        )

    def _program(self, name: str, settings: Mapping[str, str]) -> Program:
        return Program(
            name=name,
            command=(sys.executable, "-m", name),
            environment={**self._environment(), **settings},
            folder=self.root,
            log=self.paths.log(name),
            listen_variable=f"{name.upper()}_LISTEN",
        )

    def _environment(self) -> dict[str, str]:
        inherited = os.environ.get("PYTHONPATH")
        paths = [str(self.root), str(self.root / "build"), *([inherited] if inherited else [])]
        return {
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONUNBUFFERED": "1",
            "GRPC_VERBOSITY": "ERROR",  # its log lines are not JSON
            # gRPC would use an HTTP proxy even for this machine.
            "no_grpc_proxy": f"{HOST},localhost",
        }

    def _tenant_urls(self, port: int) -> str:
        """The Tenant URLs of all regions: the gateway shows that of the region of a wrong key."""
        own = self.paths.region
        urls = {
            name: tenant_url(region.default_port)
            if (known := read_client_settings(client_settings_file(self.paths.directory, region)))
            is None
            else known.tenant_url
            for name, region in REGIONS.items()
        } | {own.name: tenant_url(port)}
        return ",".join(f"{name}={url}" for name, url in urls.items())
