"""One line on how provisioning is, which warns before Entra quarantines it.

Entra quarantines a job whose key is refused at once, and one of whose changes
more than 40 % fail; a job in quarantine calls once a day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from cloudacademy.users.v1.activity_pb2 import ActivityCount

from gateway.portal.models.key_rows import KeyRow
from gateway.portal.models.times import ago, duration, pluralize

INTERVAL_MINUTES: Final = 40
QUARANTINE_SHARE: Final = 0.4
WARNING_SHARE: Final = 0.1
FEW: Final = 5
"""A few refusals are no trend, however few changes there were."""
RECENT: Final = timedelta(minutes=90)
"""Within two of Entra's cycles."""
LATE: Final = timedelta(hours=3)
NOTED: Final = timedelta(minutes=1)
"""A key's last use is known to within a minute."""


class Level(StrEnum):
    """How much it matters."""

    GOOD = "good"
    WAITING = "waiting"
    WARNING = "warning"
    CRITICAL = "critical"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Totals:
    """How many changes succeeded, and how many were refused."""

    succeeded: int
    refused: int

    @property
    def all(self) -> int:
        """Both together."""
        return self.succeeded + self.refused


@dataclass(frozen=True, slots=True)
class HealthSignals:
    """What health is told from."""

    active: bool
    keys: Sequence[KeyRow]
    day: Totals | None
    """What happened in the last day; None when it was too much to count."""
    last_rejected: datetime | None
    """When a key was last refused."""
    now: datetime

    @property
    def last_contact(self) -> datetime | None:
        """When a key was last used."""
        return max((key.last_used for key in self.keys if key.last_used), default=None)

    @property
    def uses_newest_key(self) -> bool:
        """Whether the newest key that works was used lately."""
        newest = next((key for key in self.keys if key.works), None)
        used = newest.last_used if newest else None
        return used is not None and self.now - used < RECENT

    @property
    def share(self) -> float:
        """The share of the day's changes that were refused."""
        return self.day.refused / self.day.all if self.day and self.day.all else 0.0


@dataclass(frozen=True, slots=True)
class Health:
    """The line: a word, what it means, and what to do, with a link where that is done."""

    level: Level
    title: str
    text: str
    link: str = ""
    link_text: str = ""


FAILURES: Final = ("/settings/integrations/entra/log?result=failure", "See the failures")
REJECTED: Final = ("/settings/integrations/entra/log?action=key", "See who calls")
NEW_KEY: Final = ("/settings/integrations/entra/keys/new", "Generate one now")


def totals(counts: Sequence[ActivityCount] | None) -> Totals | None:
    """How many changes succeeded and were refused, if they were pluralize."""
    if counts is None:
        return None
    return Totals(sum(each.succeeded for each in counts), sum(each.refused for each in counts))


def health(signs: HealthSignals) -> Health:
    """The line: the first that holds, worst first."""
    return (
        _off(signs)
        or _rejected(signs)
        or _without_key(signs)
        or _failing(signs)
        or _silent(signs)
        or _ending(signs)
        or _good(signs)
    )


def contact(signs: HealthSignals) -> str:
    """When Entra was last heard: "43 minutes ago; Entra calls about every 40 minutes"."""
    if signs.last_contact is None:
        return "Entra has not called yet."
    return (
        f"{ago(signs.last_contact, signs.now)}; Entra calls about every {INTERVAL_MINUTES} minutes"
    )


def _off(signs: HealthSignals) -> Health | None:
    if signs.active:
        return None
    return Health(
        Level.OFF,
        "Provisioning is off",
        "All keys are refused until you activate the integration."
        if signs.keys
        else "Activate the integration, then generate an API Key for Entra.",
    )


def _rejected(signs: HealthSignals) -> Health | None:
    rejected, heard = signs.last_rejected, signs.last_contact
    if rejected is None or (heard is not None and heard + NOTED >= rejected):
        return None
    if signs.uses_newest_key:
        return Health(
            Level.WARNING,
            "An old key is still tried",
            f"The newest key is in use, but {ago(rejected, signs.now)} a request came with one "
            "that no longer works. If that was Entra, paste the newest key as Secret Token.",
            *REJECTED,
        )
    return Health(
        Level.CRITICAL,
        "Entra's key is refused",
        f"The last request came {ago(rejected, signs.now)} with a key that no longer works. "
        "Entra quarantines for that at once: paste the newest key as Secret Token and choose "
        "“Test Connection”.",
        *REJECTED,
    )


def _without_key(signs: HealthSignals) -> Health | None:
    if any(key.works for key in signs.keys):
        return None
    if not signs.keys:
        return Health(
            Level.WAITING, "Almost there", "Generate an API Key and paste it into Entra.", *NEW_KEY
        )
    return Health(
        Level.CRITICAL,
        "No key works",
        "Generate a new API Key and paste it into Entra as Secret Token, before Entra's next "
        "cycle fails.",
        *NEW_KEY,
    )


def _failing(signs: HealthSignals) -> Health | None:
    day = signs.day
    if day is None or signs.share < WARNING_SHARE or day.refused < FEW:
        return None
    total = pluralize(day.all, "change")
    return Health(
        Level.CRITICAL if signs.share >= QUARANTINE_SHARE else Level.WARNING,
        f"{signs.share:.0%} of changes fail",
        f"{day.refused:,} of {total} of the last day were refused. Entra quarantines above "
        f"{QUARANTINE_SHARE:.0%}.",
        *FAILURES,
    )


def _silent(signs: HealthSignals) -> Health | None:
    heard = signs.last_contact
    if heard is None:
        return Health(
            Level.WAITING,
            "Waiting for Entra",
            "A key is ready. Paste it into Entra as Secret Token and choose “Test Connection”.",
        )
    if signs.now - heard < LATE:
        return None
    return Health(
        Level.WARNING,
        "Entra is silent",
        f"It last called {ago(heard, signs.now)} and usually calls about every "
        f"{INTERVAL_MINUTES} minutes. Look in Entra whether provisioning is stopped or in "
        "quarantine.",
    )


def _ending(signs: HealthSignals) -> Health | None:
    """The key that Entra uses ends, although nothing else is wrong yet."""
    ends = [key.end for key in signs.keys if key.is_in_use and key.end is not None]
    if not ends:
        return None
    return Health(
        Level.WARNING,
        "The old key is still in use",
        f"It ends in {duration(max(ends) - signs.now)}. Paste the newest key into Entra as "
        "Secret Token before that.",
    )


def _good(signs: HealthSignals) -> Health:
    day = signs.day
    if day is None:
        return Health(
            Level.GOOD,
            "Entra calls",
            "The last day has too many changes to count them just now: see whether any failed.",
            *FAILURES,
        )
    if not day.all:
        return Health(Level.GOOD, "Healthy", "Entra calls; nothing had to change in the last day.")
    made = f"{pluralize(day.succeeded, 'change')} of the last day"
    if not day.refused:
        verb = "was" if day.succeeded == 1 else "were"
        return Health(Level.GOOD, "Healthy", f"{made} {verb} made, none was refused.")
    return Health(Level.GOOD, "Healthy", f"{made} made, {day.refused:,} refused.", *FAILURES)
