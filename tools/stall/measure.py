"""Measures how long the prober's requests wait while a hostile request is processed."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tools.stall.inputs.attack import Attack
from tools.stall.prober import TIMEOUT_SECONDS, Prober

GOAL_SECONDS: Final = 0.05
CLEAR_SECONDS: Final = 0.015
"""A longer stall is measured again: noise of a shared machine only increases it."""
REPEATS: Final = 4
LIMITED: Final = ("429", "503")
"""Statuses of a limit: the request was rejected before it reached the attacked code."""
LIMITED_SECONDS: Final = 2.0
"""Pause after a rate limit, until the organization may send again."""
LARGE_SECONDS: Final = 5 * GOAL_SECONDS
LONG_SECONDS: Final = 2.0
"""A trial that stalls others this long, or takes this long itself, is repeated only once."""
TAIL_SECONDS: Final = 0.04
"""Seconds after the response that still count: rejected requests are logged afterwards."""


@dataclass(frozen=True, slots=True)
class Row:
    """The effect of a hostile request on others."""

    target: str
    shape: str
    key: str
    status: str
    size: int
    seconds: float
    """The longest wait of the other organization, less the idle median, in seconds."""
    answered: float
    """Seconds until the response to the hostile request."""
    lost: int
    """Number of the other organization's requests that failed."""

    @property
    def is_limited(self) -> bool:
        return self.status in LIMITED

    @property
    def is_good(self) -> bool:
        return self.seconds <= GOAL_SECONDS and not self.lost


Run = Callable[[], str]
"""Runs an attack; returns its status."""


@dataclass(frozen=True, slots=True)
class Trial:
    """An attack and its names in the table."""

    target: str
    shape: str
    run: Run
    key: str = ""
    size: int = 0
    tail: float = TAIL_SECONDS


def of_attack(attack: Attack, address: tuple[str, int], prober: Prober) -> Row:
    """Measure an HTTP attack at growing sizes, up to the first one that stalls others."""
    host, has_body = f"{address[0]}:{address[1]}", attack.route.takes_body
    # Some shapes reach their maximum count before their size, so several sizes may be equal.
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
    """The smallest stall of up to REPEATS runs; the first clear run ends the trial."""
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
    prober.collect()
    began = time.monotonic()
    status = trial.run()
    answered = time.monotonic() - began
    time.sleep(trial.tail)
    waits = prober.collect()
    stall = prober.stall(waits, began, time.monotonic())
    lost = sum(not each.correct for each in waits)
    return Row(trial.target, trial.shape, trial.key, status, trial.size, stall, answered, lost)


def send(address: tuple[str, int], raw: bytes) -> str:
    """Send a request on a new connection; returns the status of its response."""
    with socket.create_connection(address, timeout=TIMEOUT_SECONDS) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(raw)  # it may be rejected before all of it is sent
        begin = b""
        with contextlib.suppress(ConnectionResetError, TimeoutError):
            while part := connection.recv(2**18):
                begin = begin or part[:12]
    return begin[9:12].decode() or "none"
