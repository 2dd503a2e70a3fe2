"""What a SCIM client needs: `TENANT_URL=` and `SECRET_TOKEN=` in a private file."""

from dataclasses import dataclass
from pathlib import Path

from deploy.local.files import write_private


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach a region's gateway, and as whom."""

    tenant_url: str
    secret_token: str


def write_connection(path: Path, connection: Connection) -> None:
    """Keep it for scripts and for the next start, readable by us alone."""
    write_private(
        path, f"TENANT_URL={connection.tenant_url}\nSECRET_TOKEN={connection.secret_token}\n"
    )


def read_connection(path: Path) -> Connection | None:
    """What was kept; None if nothing was, or a part of it is missing."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return None
    values = {name.strip(): value.strip() for name, _, value in (x.partition("=") for x in lines)}
    connection = Connection(values.get("TENANT_URL", ""), values.get("SECRET_TOKEN", ""))
    return connection if connection.tenant_url and connection.secret_token else None
