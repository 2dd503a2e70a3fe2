"""Sends cheap requests one after the other and records the duration of each.

It runs in a process of its own, so that the cost of the attacking client does not affect it.
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
"""Pause between requests; without it the prober would use a whole core."""
TIMEOUT_SECONDS: Final = 120.0

Probe = Callable[[], bool]
"""Sends the request; returns whether the response is correct."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The start and end of one request, in monotonic seconds."""

    began: float
    ended: float
    correct: bool

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """A GET of a user."""

    host: str
    port: int
    path: str
    token: str

    def __call__(self) -> Probe:
        connection = HTTPConnection(self.host, self.port, timeout=TIMEOUT_SECONDS)
        headers = {"Authorization": f"Bearer {self.token}"}

        def send_probe() -> bool:
            try:
                connection.request("GET", self.path, headers=headers)
                response = connection.getresponse()
                response.read()
            except (OSError, HTTPException):
                connection.close()
                return False
            return response.status == 200

        return send_probe


@dataclass(frozen=True, slots=True)
class RpcProbe:
    """A call of a service, always with the same request."""

    target: str
    method: str
    request: bytes

    def __call__(self) -> Probe:
        call = grpc.insecure_channel(self.target).unary_unary(self.method)

        def send_probe() -> bool:
            try:
                call(self.request, timeout=TIMEOUT_SECONDS)
            except grpc.RpcError:
                return False
            return True

        return send_probe


class Prober:
    """The interface to the prober process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.idle = 0.0
        """The median duration on the idle service, in seconds."""

    def measure_idle(self, seconds: float) -> list[Wait]:
        """Measure the duration of requests on the idle service."""
        self.collect()
        time.sleep(seconds)
        waits = self.collect()
        self.idle = statistics.median(each.seconds for each in waits)
        return waits

    def collect(self) -> list[Wait]:
        """The requests finished since the last call, including the pending one."""
        self._pipe.send(None)
        waits: list[Wait] = self._pipe.recv()
        return waits

    def stall(self, waits: Sequence[Wait], began: float, ended: float) -> float:
        """The longest duration of requests pending between two times, less the idle median."""
        within = [each.seconds for each in waits if each.ended >= began and each.began <= ended]
        return max(0.0, max(within, default=0.0) - self.idle)


@contextmanager
def probing(probe: HttpProbe | RpcProbe, pause: float = PAUSE_SECONDS) -> Iterator[Prober]:
    """Run a prober until the block ends."""
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
    send_probe, waits = probe(), list[Wait]()
    try:
        while True:
            began = time.monotonic()
            correct = send_probe()
            waits.append(Wait(began, time.monotonic(), correct))
            if pipe.poll(pause):
                pipe.recv()
                pipe.send(waits)
                waits = []
    except (EOFError, BrokenPipeError):
        return
