"""The few lines that tell how to use what was started."""

import textwrap
from pathlib import Path

from deploy.local.connection import Connection
from deploy.local.region import Region
from deploy.local.setup.first_administrator import USER_NAME

_BOLD, _CYAN, _DIM, _END = "\033[1m", "\033[36m", "\033[2m", "\033[0m"


def render_panel(
    region: Region,
    connection: Connection,
    link: str | None,
    connection_file: Path,
    logs: Path,
    *,
    colour: bool,
) -> str:
    """Tenant URL, Secret Token, how to sign in, what to try next, where the logs are."""
    bold, cyan, dim, end = (_BOLD, _CYAN, _DIM, _END) if colour else ("", "", "", "")
    demo = "make demo" if region.name == "us" else f"make demo REGION={region.name}"
    line = "─" * 78
    return textwrap.dedent(
        f"""
        {dim}{line}{end}
        {bold}Cloud Academy provisioning, region {region.name}, is running{end}

          Tenant URL     {cyan}{connection.tenant_url}{end}
          Secret Token   {cyan}{connection.secret_token}{end}

        Sign in as {USER_NAME}, once, within 15 minutes
          {cyan}{link or "not possible: somebody deactivated this user"}{end}

        Try next, in another terminal
          {demo:<28}  {dim}provision 1,000 generated people{end}
          . {_sourced(connection_file)}
          curl -H "Authorization: Bearer $SECRET_TOKEN" "$TENANT_URL/Users?count=3"

        Logs in {logs}/    Ctrl-C stops everything; nothing is lost
        {dim}{line}{end}
        """
    ).strip("\n")


def shown(path: Path) -> Path:
    """The path as one would type it here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _sourced(path: Path) -> str:
    # A shell looks for a name without a slash on the PATH.
    return str(path) if "/" in str(path) else f"./{path}"
