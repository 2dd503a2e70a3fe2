"""The regions of the embedded run, and their files below the run directory."""

from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
# The path in today's customers' Entra configuration (docs/entra.md): it must not change.
TENANT_PATH = "/webhooks/ad/v1/scim"
LINK_PATH = "/login/link"


@dataclass(frozen=True, slots=True)
class Region:
    """One of the two deployments that share nothing."""

    name: str
    default_port: int


US = Region("us", 8080)
EU = Region("eu", 8180)
REGIONS = {region.name: region for region in (US, EU)}


def tenant_url(port: int) -> str:
    """The Tenant URL that a customer's admin enters in Entra."""
    return f"http://{HOST}:{port}{TENANT_PATH}"


def sign_in_link(port: int, token: str) -> str:
    """The sign-in link. The token is in the fragment, which browsers do not send: no log has it."""
    return f"http://{HOST}:{port}{LINK_PATH}#{token}"


@dataclass(frozen=True, slots=True)
class RegionPaths:
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
    def client_settings(self) -> Path:
        """`ClientSettings`, for scripts and for the next start."""
        return client_settings_file(self.directory, self.region)

    def password(self, role: str) -> Path:
        return self.folder / f"{role}.password"

    @property
    def cursor_secret(self) -> Path:
        """The secret that authenticates the gateways' cursors."""
        return self.folder / "cursor.secret"

    @property
    def saml_key(self) -> Path:
        """The key that signs requests to identity providers."""
        return self.folder / "saml.key"

    @property
    def saml_certificate(self) -> Path:
        return self.folder / "saml.crt"

    @property
    def usersvc(self) -> Path:
        """The file with usersvc's address in this run, for direct callers such as `make watch`."""
        return self.folder / "usersvc.address"

    @property
    def databases(self) -> Path:
        """The private file with the databases' URLs in this run, for `make admin`."""
        return self.folder / "databases.json"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def create_directories(self) -> None:
        """Create the folders. Other accounts may pass through, as PostgreSQL's must, not list."""
        for folder, mode in ((self.directory, 0o711), (self.folder, 0o711), (self.logs, 0o700)):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(mode)


def client_settings_file(directory: Path, region: Region) -> Path:
    """The file with a region's Tenant URL and token."""
    return directory / f"{region.name}.env"
