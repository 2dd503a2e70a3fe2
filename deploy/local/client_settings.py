"""What a SCIM client needs: `TENANT_URL=` and `SECRET_TOKEN=` in a private file."""

from dataclasses import dataclass
from pathlib import Path

from deploy.local.files import write_private


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """The Tenant URL of a region and a token for it."""

    tenant_url: str
    secret_token: str


def write_client_settings(path: Path, client_settings: ClientSettings) -> None:
    """Store the settings for scripts and for the next start; only this account can read them."""
    write_private(
        path,
        f"TENANT_URL={client_settings.tenant_url}\nSECRET_TOKEN={client_settings.secret_token}\n",
    )


def read_client_settings(path: Path) -> ClientSettings | None:
    """The stored settings; None if the file or one of its values is missing."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return None
    values = {name.strip(): value.strip() for name, _, value in (x.partition("=") for x in lines)}
    client_settings = ClientSettings(values.get("TENANT_URL", ""), values.get("SECRET_TOKEN", ""))
    return client_settings if client_settings.tenant_url and client_settings.secret_token else None
