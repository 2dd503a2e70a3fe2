"""One child process: start, log, restart after a crash, stop."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections import deque
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from deploy.local.processes.parent_death_signal import with_parent_death_signal
from deploy.local.region import HOST
from deploy.local.terminal import say

START_SECONDS = 60.0
STOP_SECONDS = 15.0
FIRST_DELAY_SECONDS = 0.25
LONGEST_DELAY_SECONDS = 10.0
# After this uptime a child counts as healthy: the next restart begins with the shortest delay.
HEALTHY_SECONDS = 30.0
LOG_BYTES = 10 * 1024 * 1024
TAIL_LINES = 15
CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Program:
    """A command to run; `listen_variable` is the setting with the address it listens on."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    listen_variable: str


class ChildFailedError(Exception):
    """A child process did not start; `tail` has the last lines of its log."""

    def __init__(self, name: str, what: str, log: Path, tail: str) -> None:
        super().__init__(f"{name} {what}")
        self.log = log
        self.tail = tail


class Child:
    """A running program and the port that it reported."""

    def __init__(self, program: Program, port: int = 0) -> None:
        self.program = program
        self.port = port
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._listening: asyncio.Future[int] | None = None
        self._tail: deque[bytes] = deque(maxlen=TAIL_LINES)

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def run_to_end(self, *arguments: str) -> None:
        """Run the program until it ends. Raises ChildFailedError unless the exit code is 0."""
        await self._spawn(arguments)
        if await self._ended() != 0:
            raise self._failed("ended with an error")

    async def start(self, *arguments: str, seconds: float = START_SECONDS) -> None:
        """Start the program; returns once it has logged its port.

        Raises ChildFailedError if the program ends first or is not ready within `seconds`.
        """
        await self._spawn(arguments)
        assert self._listening is not None  # noqa: S101 - set by _spawn
        await wait_for_first(_settled(self._listening), self._ended(), seconds=seconds)
        if not self._listening.done():
            raise self._failed(
                f"did not listen within {seconds:.0f} seconds"
                if self._is_running
                else "did not start"
            )
        self.port = self._listening.result()

    async def keep_running(self, *arguments: str) -> None:
        """Restart the program whenever it ends, on the same port, with growing delays."""
        started = time.monotonic()
        delays = _delays()
        while True:
            code = await self._ended()
            if time.monotonic() - started > HEALTHY_SECONDS:
                delays = _delays()
            delay = next(delays)
            say(f"  {self.name} ended ({describe_exit(code)}); restarting in {delay:g} s")
            await asyncio.sleep(delay)
            started = time.monotonic()
            try:
                await self.start(*arguments)
            except ChildFailedError as error:
                say(f"  {error}; see {self.program.log}")
                await self.stop(asyncio.Event())
            else:
                say(f"  {self.name} is back (process {self.pid})")

    async def stop(self, force: asyncio.Event, seconds: float = STOP_SECONDS) -> None:
        """Send SIGTERM and wait; after `seconds`, or once `force` is set, kill the program."""
        if self._process is None:
            return
        if self._is_running and not force.is_set():
            self._process.terminate()
            await wait_for_first(self._ended(), force.wait(), seconds=seconds)
        if self._is_running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        await self._ended()

    @property
    def _is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def _spawn(self, arguments: tuple[str, ...]) -> None:
        listen = {self.program.listen_variable: self.address}
        self._listening = asyncio.get_running_loop().create_future()
        self._tail.clear()
        self._process = await asyncio.create_subprocess_exec(
            # SIGKILL loses nothing: no acknowledged data exists only in a process.
            *with_parent_death_signal((*self.program.command, *arguments), signal.SIGKILL),
            cwd=self.program.folder,
            env={**os.environ, **self.program.environment, **listen},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # A session of its own: Ctrl-C in the terminal goes only to the supervisor.
            start_new_session=True,
        )
        assert self._process.stdout is not None  # noqa: S101 - stdout is a pipe
        self._reader = asyncio.create_task(self._read(self._process.stdout, self._listening))

    async def _read(self, output: asyncio.StreamReader, listening: asyncio.Future[int]) -> None:
        """Copy the program's output to its log and find the port in it."""
        rest = b""
        with open_log(self.program.log) as log:
            while chunk := await output.read(CHUNK_BYTES):
                log.write(chunk)
                *lines, rest = (rest + chunk).split(b"\n")
                rest = rest[-CHUNK_BYTES:]
                self._tail.extend(lines)
                for line in lines if not listening.done() else ():
                    port = listening_port(line)
                    if port is not None and not listening.done():
                        listening.set_result(port)
        if rest:
            self._tail.append(rest)

    async def _ended(self) -> int:
        """The exit code, once the program has ended and its output is read."""
        assert self._process is not None  # noqa: S101 - called after _spawn
        code = await self._process.wait()
        if self._reader is not None:
            await asyncio.wait((self._reader,), timeout=1.0)
        return code

    def _failed(self, what: str) -> ChildFailedError:
        tail = b"\n".join(self._tail).decode(errors="replace")
        return ChildFailedError(self.name, what, self.program.log, tail)


def listening_port(line: bytes) -> int | None:
    """The port in a 'listening' log line; None for any other line."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or entry.get("event") != "listening":
        return None
    port = str(entry.get("address", "")).rpartition(":")[2]
    return int(port) if port.isdecimal() else None


def rotate_log(path: Path) -> None:
    """Rename a large log to `.1`, replacing the previous one."""
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_name(path.name + ".1"))


def open_log(path: Path) -> BinaryIO:
    """Open a log for appending, unbuffered and readable only by this account."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    return cast("BinaryIO", open(descriptor, "ab", buffering=0))


def describe_exit(code: int) -> str:
    """An exit code as text, for example SIGKILL."""
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def _delays() -> Iterator[float]:
    delay = FIRST_DELAY_SECONDS
    while True:
        yield delay
        delay = min(delay * 2, LONGEST_DELAY_SECONDS)


async def wait_for_first(*waits: Coroutine[Any, Any, object], seconds: float | None = None) -> None:
    """Wait until one coroutine is done or `seconds` are over; cancel the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _settled(future: asyncio.Future[int]) -> None:
    await asyncio.wait((future,))
