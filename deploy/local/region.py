"""The regions of the embedded run, and where each keeps its things below the run directory."""

from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
# Customers' Entra tenants are set to this path (docs/entra.md), so it is part of the contract.
TENANT_PATH = "/webhooks/ad/v1/scim"
LINK_PATH = "/login/link"


@dataclass(frozen=True, slots=True)
class Region:
    """One of the two deployments that share nothing."""

    name: str
    usual_port: int


US = Region("us", 8080)
EU = Region("eu", 8180)
REGIONS = {region.name: region for region in (US, EU)}


def tenant_url(port: int) -> str:
    """What a customer's admin enters as Tenant URL."""
    return f"http://{HOST}:{port}{TENANT_PATH}"


def sign_in_link(port: int, token: str) -> str:
    """Where an administrator signs in; no browser sends a link's fragment, so no log has it."""
    return f"http://{HOST}:{port}{LINK_PATH}#{token}"


@dataclass(frozen=True, slots=True)
class Places:
    """The files of one region's run."""

    directory: Path
    region: Region

    @property
    def folder(self) -> Path:
        return self.directory / self.region.name

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"

    @property
    def logs(self) -> Path:
        return self.folder / "log"

    @property
    def connection(self) -> Path:
        """TENANT_URL and SECRET_TOKEN, for scripts and for the next start."""
        return connection_file(self.directory, self.region)

    def password(self, role: str) -> Path:
        return self.folder / f"{role}.password"

    @property
    def cursor_secret(self) -> Path:
        """What the region's gateways seal their cursors with."""
        return self.folder / "cursor.secret"

    @property
    def saml_key(self) -> Path:
        """What the region signs its requests to identity providers with."""
        return self.folder / "saml.key"

    @property
    def saml_certificate(self) -> Path:
        return self.folder / "saml.crt"

    @property
    def usersvc(self) -> Path:
        """Where usersvc listens in this run, for those who call it directly."""
        return self.folder / "usersvc.address"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def make(self) -> None:
        """Make the folders: others may pass through, as PostgreSQL's account must, not look."""
        for folder, mode in ((self.directory, 0o711), (self.folder, 0o711), (self.logs, 0o700)):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(mode)


def connection_file(directory: Path, region: Region) -> Path:
    """Where a region tells how to reach it."""
    return directory / f"{region.name}.env"
