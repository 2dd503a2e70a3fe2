"""Starts processes to measure."""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.processes import stop

STOP_SECONDS = 30.0


@contextmanager
def running(
    command: Sequence[str], folder: Path, variables: Mapping[str, str], log: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process until the block ends; see `environment` for its variables."""
    with (log or Path(os.devnull)).open("ab") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment(variables), stdout=output)
    try:
        yield process
    finally:
        stop(process, STOP_SECONDS)


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process: the given variables, and only PATH, HOME and LANG of ours."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**inherited, **variables}


async def wait_until_listening(
    process: subprocess.Popen[bytes], port: int, seconds: float = 20.0
) -> None:
    """Wait until the process accepts connections. Raises TimeoutError if it does not, or ended."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise TimeoutError(f"{process.args} does not listen on {port}") from None
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
