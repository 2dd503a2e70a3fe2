"""Measures how long the prober's requests wait while something hostile is processed."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tools.stall.inputs.sent import Attack
from tools.stall.prober import PATIENCE_SECONDS, Prober

GOAL_SECONDS: Final = 0.05
CLEAR_SECONDS: Final = 0.015
"""A longer stall is measured again: noise of a shared machine only ever adds."""
REPEATS: Final = 4
LIMITED: Final = ("429", "503")
"""Statuses of what a rate or a full queue refused: the code that was meant was not reached."""
LIMITED_SECONDS: Final = 2.0
"""What an organization may send comes back meanwhile."""
LARGE_SECONDS: Final = 5 * GOAL_SECONDS
LONG_SECONDS: Final = 2.0
"""What stalls others for so long, or takes so long itself, is measured twice."""
TAIL_SECONDS: Final = 0.04
"""What goes on behind an answer counts, too: the log of what was refused."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a hostile request did to others."""

    target: str
    shape: str
    key: str
    status: str
    size: int
    seconds: float
    """The longest wait of another's request, beyond what it takes while nobody else asks."""
    answered: float
    """How long the hostile request itself took."""
    lost: int
    """How many of another's requests were refused or had no answer."""

    @property
    def is_limited(self) -> bool:
        return self.status in LIMITED

    @property
    def is_good(self) -> bool:
        return self.seconds <= GOAL_SECONDS and not self.lost


Run = Callable[[], str]
"""Does something hostile; returns the status that it had."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Something hostile, and how it is named in the table."""

    target: str
    shape: str
    run: Callable[[], str]
    """Does it; returns the status that it had."""
    key: str = ""
    size: int = 0
    tail: float = TAIL_SECONDS


def of_attack(attack: Attack, address: tuple[str, int], prober: Prober) -> Row:
    """The row of an attack over HTTP, at the first size that stalls others or at its limit."""
    host, has_body = f"{address[0]}:{address[1]}", attack.route.takes_body
    # Some shapes reach a number of operations, and stay as they are, before they reach their size.
    requests = list(dict.fromkeys(attack.make(size).raw(host) for size in attack.sizes))
    for raw in requests:
        trial = Trial(
            str(attack.route),
            attack.shape,
            lambda raw=raw: send(address, raw),
            key="with" if attack.has_key else "without",
            size=len(raw),
            tail=TAIL_SECONDS if attack.has_key and has_body and raw is requests[-1] else 0.0,
        )
        row = of_trial(prober, trial)
        if not row.is_good:
            break
    return row


def of_trial(prober: Prober, trial: Trial) -> Row:
    """The least of the stalls of a few runs; of one run, where the first says enough."""
    rows = (_once(prober, trial) for _ in range(REPEATS))
    return min(_until_clear(rows), key=lambda row: (row.is_limited, row.lost, row.seconds))


def _until_clear(rows: Iterator[Row]) -> Iterator[Row]:
    large = 0
    for row in rows:
        yield row
        if row.is_limited:
            time.sleep(LIMITED_SECONDS)
            continue
        large += row.seconds > LARGE_SECONDS or row.answered > LONG_SECONDS
        if large == 2 or (row.seconds <= CLEAR_SECONDS and not row.lost):
            return


def _once(prober: Prober, trial: Trial) -> Row:
    prober.take()
    began = time.monotonic()
    status = trial.run()
    answered = time.monotonic() - began
    time.sleep(trial.tail)
    waits = prober.take()
    stall = prober.stall(waits, began, time.monotonic())
    lost = sum(not each.right for each in waits)
    return Row(trial.target, trial.shape, trial.key, status, trial.size, stall, answered, lost)


def send(address: tuple[str, int], raw: bytes) -> str:
    """Send a request on a connection of its own; the status of its answer."""
    with socket.create_connection(address, timeout=PATIENCE_SECONDS) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(raw)  # it may be refused before it is all there
        begin = b""
        with contextlib.suppress(ConnectionResetError, TimeoutError):
            while part := connection.recv(2**18):
                begin = begin or part[:12]
    return begin[9:12].decode() or "none"
