"""A replica as a process, whose event loop a test can stop.

`python -m tests.support.chassis.named_replica NAME` answers each call with its name, and prints
its port. SIGUSR1 stops its event loop until it reads a byte from standard input.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.chassis.echoes import EchoService, echo_server

COMMAND = (sys.executable, "-m", "tests.support.chassis.named_replica")


@dataclass(frozen=True)
class Replica:
    """A running replica."""

    name: bytes
    port: int
    process: asyncio.subprocess.Process

    def stop_event_loop(self) -> None:
        self.process.send_signal(signal.SIGUSR1)

    def start_event_loop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b".")


@asynccontextmanager
async def replica(name: str) -> AsyncIterator[Replica]:
    """Run a replica until the end of the block."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, name, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            port = int(await process.stdout.readline())
        yield Replica(name.encode(), port, process)
    finally:
        process.kill()
        await process.communicate()


async def _serve(name: bytes) -> None:
    async def answer(_service: EchoService, _request: bytes, _: Any) -> bytes:
        return name

    EchoService.echo = answer  # type: ignore[method-assign]
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, os.read, 0, 1)
    async with echo_server() as server:
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1].encode()))
