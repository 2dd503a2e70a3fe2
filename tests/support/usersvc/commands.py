"""Commands of usersvc, run as an operator runs them."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[3]

Outcome = tuple[int, str, str]
"""The exit code, the standard output and the standard error of a command."""

Run = Callable[..., "asyncio.Future[Outcome]"]


def run_command(database_url: str, *arguments: str) -> Outcome:
    """Run `python -m usersvc` with these arguments until it ends."""
    result = subprocess.run(
        [sys.executable, "-m", "usersvc", *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": ".:build",
            "USERSVC_DATABASE_URL": database_url,
            "USERSVC_REGION": "us",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return result.returncode, result.stdout, result.stderr


async def run_json(run: Run, *arguments: str) -> dict[str, object]:
    """Run a command that must succeed, and return the JSON document that it prints."""
    code, output, error_output = await run(*arguments)
    assert (code, error_output) == (0, "")
    return json.loads(output)
