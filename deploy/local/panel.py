"""The panel that shows how to use a region that has started."""

import textwrap
from pathlib import Path

from deploy.local.client_settings import ClientSettings
from deploy.local.region import Region
from deploy.local.setup.first_administrator import USER_NAME

_BOLD, _CYAN, _DIM, _END = "\033[1m", "\033[36m", "\033[2m", "\033[0m"


def render_panel(
    region: Region,
    client_settings: ClientSettings,
    link: str | None,
    client_settings_file: Path,
    logs: Path,
    *,
    colour: bool,
) -> str:
    """The text of the panel: settings of clients, sign-in link, next steps, logs."""
    bold, cyan, dim, end = (_BOLD, _CYAN, _DIM, _END) if colour else ("", "", "", "")
    demo = "make demo" if region.name == "us" else f"make demo REGION={region.name}"
    line = "─" * 78
    return textwrap.dedent(
        f"""
        {dim}{line}{end}
        {bold}Cloud Academy provisioning, region {region.name}, is running{end}

          Tenant URL     {cyan}{client_settings.tenant_url}{end}
          Secret Token   {cyan}{client_settings.secret_token}{end}
          Organization   {cyan}{client_settings.organization_id}{end}
          usersvc        {cyan}{client_settings.usersvc}{end}  {dim}gRPC{end}
          keysvc         {cyan}{client_settings.keysvc}{end}  {dim}gRPC{end}

        Sign in as {USER_NAME} (link works once, for 15 minutes)
          {cyan}{link or "not possible: this user was deactivated"}{end}

        Try next, in another terminal
          {demo:<28}  {dim}provision 1,000 generated people{end}
          . {_sourced(client_settings_file)}
          curl -H "Authorization: Bearer $SECRET_TOKEN" "$TENANT_URL/Users?count=3"

        Logs in {logs}/    Ctrl-C stops everything and keeps the data
        {dim}{line}{end}
        """
    ).strip("\n")


def relative_to_cwd(path: Path) -> Path:
    """The path relative to the working directory, if it lies below it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _sourced(path: Path) -> str:
    # A shell searches the PATH for a name without a slash.
    return str(path) if "/" in str(path) else f"./{path}"
