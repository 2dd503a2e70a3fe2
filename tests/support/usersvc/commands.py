"""Commands of usersvc, run as an operator runs them."""

import asyncio
import json
from collections.abc import Callable

from tests.support.forked_commands import Outcome, run_forked

Run = Callable[..., "asyncio.Future[Outcome]"]


def run_command(database_url: str, *arguments: str) -> Outcome:
    """Run the command line of usersvc with these arguments until it ends."""
    environment = {"USERSVC_DATABASE_URL": database_url, "USERSVC_REGION": "us"}
    return run_forked("usersvc", environment, *arguments)


async def run_json(run: Run, *arguments: str) -> dict[str, object]:
    """Run a command that must succeed, and return the JSON document that it prints."""
    code, output, error_output = await run(*arguments)
    assert (code, error_output) == (0, "")
    return json.loads(output)
