"""What clients of a region need, in a private file of shell variables."""

from dataclasses import dataclass, fields
from pathlib import Path

from deploy.local.files import write_private


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Settings of SCIM clients and gRPC clients. The file has each as NAME=value."""

    tenant_url: str
    secret_token: str
    organization_id: str = ""
    """The organization of the token."""
    usersvc: str = ""
    """The address of usersvc in this run, for gRPC."""
    keysvc: str = ""


def write_client_settings(path: Path, client_settings: ClientSettings) -> None:
    """Store the settings for scripts and for the next start; only this account can read them."""
    lines = [f"{name.upper()}={getattr(client_settings, name)}\n" for name in _NAMES]
    write_private(path, "".join(lines))


def read_client_settings(path: Path) -> ClientSettings | None:
    """The stored settings; None if the file, the Tenant URL or the token is missing."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return None
    values = {name.strip(): value.strip() for name, _, value in (x.partition("=") for x in lines)}
    client_settings = ClientSettings(*(values.get(name.upper(), "") for name in _NAMES))
    return client_settings if client_settings.tenant_url and client_settings.secret_token else None


_NAMES = tuple(field.name for field in fields(ClientSettings))
