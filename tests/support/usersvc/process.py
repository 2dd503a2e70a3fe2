"""usersvc as a separate process."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def running_process(url: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run `python -m usersvc serve`; yields the process and the address that it listens on."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "usersvc", "serve"),
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": ".:build",
            "USERSVC_DATABASE_URL": url,
            "USERSVC_REGION": "us",
            "USERSVC_LISTEN": "127.0.0.1:0",
        },
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        line = {"event": ""}
        async with asyncio.timeout(20):
            while line["event"] != "listening":  # before, it may log why there is no database
                line = json.loads(await process.stdout.readline())
        yield process, line["address"]
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
