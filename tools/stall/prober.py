"""Sends one cheap request after another, from a process of its own, and tells how long each took.

The process makes nothing else: what the attacker's own client costs does not show in its figures.
"""

import gc
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from multiprocessing.connection import Connection
from typing import Final

import grpc

PAUSE_SECONDS: Final = 0.001
"""Between two requests: without any the prober alone would use up a core."""
PATIENCE_SECONDS: Final = 120.0

Probe = Callable[[], bool]
"""Sends the request; says whether the answer was the right one."""


@dataclass(frozen=True, slots=True)
class Wait:
    """One request: when it was sent and when it was answered, by the clock of the machine."""

    began: float
    ended: float
    right: bool

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """A GET of somebody of one organization."""

    host: str
    port: int
    path: str
    token: str

    def __call__(self) -> Probe:
        connection = HTTPConnection(self.host, self.port, timeout=PATIENCE_SECONDS)
        headers = {"Authorization": f"Bearer {self.token}"}

        def ask() -> bool:
            try:
                connection.request("GET", self.path, headers=headers)
                response = connection.getresponse()
                response.read()
            except (OSError, HTTPException):
                connection.close()
                return False
            return response.status == 200

        return ask


@dataclass(frozen=True, slots=True)
class RpcProbe:
    """A call of a service with the same request each time."""

    target: str
    method: str
    request: bytes

    def __call__(self) -> Probe:
        call = grpc.insecure_channel(self.target).unary_unary(self.method)

        def ask() -> bool:
            try:
                call(self.request, timeout=PATIENCE_SECONDS)
            except grpc.RpcError:
                return False
            return True

        return ask


class Prober:
    """The process, as others see it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.idle = 0.0
        """The median wait while nobody else asks, in seconds."""

    def rest(self, seconds: float) -> list[Wait]:
        """Learn how long a request takes while nobody else asks."""
        self.take()
        time.sleep(seconds)
        waits = self.take()
        self.idle = statistics.median(each.seconds for each in waits)
        return waits

    def take(self) -> list[Wait]:
        """Every request that was answered since the last time, the one under way included."""
        self._pipe.send(None)
        waits: list[Wait] = self._pipe.recv()
        return waits

    def stall(self, waits: Sequence[Wait], began: float, ended: float) -> float:
        """The longest wait of a request that was under way in a time, beyond the idle median."""
        within = [each.seconds for each in waits if each.ended >= began and each.began <= ended]
        return max(0.0, max(within, default=0.0) - self.idle)


@contextmanager
def probing(probe: HttpProbe | RpcProbe, pause: float = PAUSE_SECONDS) -> Iterator[Prober]:
    """A prober at work until the block ends."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(probe, theirs, pause), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Prober(ours)
    finally:
        ours.close()
        process.join(10)
        process.kill()


def _run(probe: HttpProbe | RpcProbe, pipe: Connection, pause: float) -> None:
    gc.disable()
    ask, waits = probe(), list[Wait]()
    try:
        while True:
            began = time.monotonic()
            right = ask()
            waits.append(Wait(began, time.monotonic(), right))
            if pipe.poll(pause):
                pipe.recv()
                pipe.send(waits)
                waits = []
    except (EOFError, BrokenPipeError):
        return
