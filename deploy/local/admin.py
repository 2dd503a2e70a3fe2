"""`make admin`: run an operator's command of usersvc or keysvc on a running region."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deploy.local.processes.programs import Programs
from deploy.local.region import RegionPaths

SERVICES: Final = ("usersvc", "keysvc")


class AdminError(Exception):
    """The command cannot be run; the text says what to do."""


def run_command(paths: RegionPaths, root: Path, arguments: Sequence[str]) -> int:
    """Run `python -m SERVICE COMMAND …` with the region's settings; returns its exit code.

    Refuses (AdminError) another service, and a region that does not run.
    """
    service, *rest = arguments or [""]
    if service not in SERVICES:
        raise AdminError(
            "Name the service and the command, for example:\n"
            '  make admin ARGS="keysvc --help"\n'
            '  make admin ARGS="usersvc --help"'
        )
    urls = _database_urls(paths)
    programs = Programs(root, paths)
    build = programs.usersvc if service == "usersvc" else programs.keysvc
    program = build(urls[service])
    environment = {**os.environ, **program.environment}
    return subprocess.run([*program.command, *rest], env=environment, check=False).returncode


def _database_urls(paths: RegionPaths) -> dict[str, str]:
    try:
        urls: dict[str, str] = json.loads(paths.databases.read_text())
    except FileNotFoundError:
        raise AdminError(
            f"Region {paths.region.name} does not run here. Start it with 'make run'."
        ) from None
    return urls
