"""One process of the run: started, listened to, restarted when it dies, stopped."""

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
# A child that has lived this long is well: its next death starts from the shortest delay.
WELL_SECONDS = 30.0
LOG_BYTES = 10 * 1024 * 1024
TAIL_LINES = 15
CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: `listen_variable` names the setting that tells it where to listen."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    listen_variable: str


class ChildFailedError(Exception):
    """A process of the run did not come up; `tail` is the last that it logged."""

    def __init__(self, name: str, what: str, log: Path, tail: str) -> None:
        super().__init__(f"{name} {what}")
        self.log = log
        self.tail = tail


class Child:
    """A running program, and the port that it said it listens on."""

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
        """Run the program with these arguments and wait for it; refuses an exit code but 0."""
        await self._spawn(arguments)
        if await self._ended() != 0:
            raise self._failed("ended with an error")

    async def start(self, *arguments: str, seconds: float = START_SECONDS) -> None:
        """Start the program; returns once it says that it listens, and learns where.

        Refuses a program that ends before it does, or that takes too long.
        """
        await self._spawn(arguments)
        assert self._listening is not None  # noqa: S101 - made by _spawn
        await first_of(_settled(self._listening), self._ended(), seconds=seconds)
        if not self._listening.done():
            raise self._failed(
                f"did not listen within {seconds:.0f} seconds" if self._lives else "did not start"
            )
        self.port = self._listening.result()

    async def keep_running(self, *arguments: str) -> None:
        """Start the program again whenever it ends, on the port it had, with growing delays."""
        started = time.monotonic()
        delays = _delays()
        while True:
            code = await self._ended()
            if time.monotonic() - started > WELL_SECONDS:
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

    async def stop(self, hurry: asyncio.Event, seconds: float = STOP_SECONDS) -> None:
        """Ask the program to end and wait; after the limit, or when told to hurry, kill it."""
        if self._process is None:
            return
        if self._lives and not hurry.is_set():
            self._process.terminate()
            await first_of(self._ended(), hurry.wait(), seconds=seconds)
        if self._lives:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        await self._ended()

    @property
    def _lives(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def _spawn(self, arguments: tuple[str, ...]) -> None:
        listen = {self.program.listen_variable: self.address}
        self._listening = asyncio.get_running_loop().create_future()
        self._tail.clear()
        self._process = await asyncio.create_subprocess_exec(
            # Nothing acknowledged is held in a process alone, so to be killed loses nothing.
            *with_parent_death_signal((*self.program.command, *arguments), signal.SIGKILL),
            cwd=self.program.folder,
            env={**os.environ, **self.program.environment, **listen},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # A session of its own: Ctrl-C in the terminal is for the supervisor alone.
            start_new_session=True,
        )
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        self._reader = asyncio.create_task(self._read(self._process.stdout, self._listening))

    async def _read(self, output: asyncio.StreamReader, listening: asyncio.Future[int]) -> None:
        """Copy what the program says to its log, and find in it where it listens."""
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
        """The exit code, once the program has ended and all it said is read."""
        assert self._process is not None  # noqa: S101 - only asked of what was started
        code = await self._process.wait()
        if self._reader is not None:
            await asyncio.wait((self._reader,), timeout=1.0)
        return code

    def _failed(self, what: str) -> ChildFailedError:
        tail = b"\n".join(self._tail).decode(errors="replace")
        return ChildFailedError(self.name, what, self.program.log, tail)


def listening_port(line: bytes) -> int | None:
    """The port in a log line that says where a process listens; None for any other line."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or entry.get("event") != "listening":
        return None
    port = str(entry.get("address", "")).rpartition(":")[2]
    return int(port) if port.isdecimal() else None


def rotate_log(path: Path) -> None:
    """Put a log that has grown large aside, in the place of the one before it."""
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_name(path.name + ".1"))


def open_log(path: Path) -> BinaryIO:
    """The log for appending, readable by us alone; each write is in the file at once."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    return cast("BinaryIO", open(descriptor, "ab", buffering=0))


def describe_exit(code: int) -> str:
    """An exit code in words."""
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


async def first_of(*waits: Coroutine[Any, Any, object], seconds: float | None = None) -> None:
    """Wait until one of these is done or the time is over; the others are given up."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _settled(future: asyncio.Future[int]) -> None:
    await asyncio.wait((future,))
