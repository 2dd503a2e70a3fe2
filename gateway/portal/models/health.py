"""The health of provisioning: one line, which warns before Entra quarantines the job.

Entra quarantines a job at once if its key is refused, and also if more than 40 % of its changes
fail. It then retries a quarantined job once a day.
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
QUARANTINE_RATE: Final = 0.4
WARNING_RATE: Final = 0.1
MIN_FAILURES: Final = 5
"""Fewer failures cause no warning, whatever their share of the changes."""
RECENT: Final = timedelta(minutes=90)
"""About two of Entra's cycles."""
SILENCE_LIMIT: Final = timedelta(hours=3)
LAST_USE_ACCURACY: Final = timedelta(minutes=1)
"""keysvc records the last use of a key at most once a minute."""


class Level(StrEnum):
    """The severity of the line."""

    GOOD = "good"
    WAITING = "waiting"
    WARNING = "warning"
    CRITICAL = "critical"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Totals:
    """The numbers of successful and of refused changes."""

    succeeded: int
    refused: int

    @property
    def all(self) -> int:
        """The number of all changes."""
        return self.succeeded + self.refused


@dataclass(frozen=True, slots=True)
class HealthSignals:
    """The data that health is derived from."""

    active: bool
    keys: Sequence[KeyRow]
    day: Totals | None
    """The changes of the last 24 hours; None if there were too many to count."""
    last_key_refusal: datetime | None
    """When a request with a refused key last arrived."""
    now: datetime

    @property
    def last_contact(self) -> datetime | None:
        """When a working key was last used."""
        return max((key.last_used for key in self.keys if key.last_used), default=None)

    @property
    def uses_newest_key(self) -> bool:
        """Whether the newest working key was used recently."""
        newest = next((key for key in self.keys if key.works), None)
        used = newest.last_used if newest else None
        return used is not None and self.now - used < RECENT

    @property
    def failure_rate(self) -> float:
        """The share of the day's changes that were refused, from 0 to 1."""
        return self.day.refused / self.day.all if self.day and self.day.all else 0.0


@dataclass(frozen=True, slots=True)
class Health:
    """The line: a title, an explanation with what to do, and a link to the page for it."""

    level: Level
    title: str
    text: str
    link: str = ""
    link_text: str = ""


FAILURES: Final = ("/settings/integrations/entra/log?result=failure", "View failures")
REFUSED_KEYS: Final = ("/settings/integrations/entra/log?action=key", "View refused requests")
NEW_KEY: Final = ("/settings/integrations/entra/keys/new", "Generate an API key")


def totals(counts: Sequence[ActivityCount] | None) -> Totals | None:
    """The sums over all counts; None if the changes were not counted."""
    if counts is None:
        return None
    return Totals(sum(each.succeeded for each in counts), sum(each.refused for each in counts))


def health(signals: HealthSignals) -> Health:
    """The most severe condition that applies."""
    return (
        _off(signals)
        or _key_refused(signals)
        or _without_key(signals)
        or _failing(signals)
        or _silent(signals)
        or _expiring(signals)
        or _good(signals)
    )


def contact_text(signals: HealthSignals) -> str:
    """The last contact, for example "43 minutes ago. Entra syncs about every 40 minutes."."""
    if signals.last_contact is None:
        return "Entra has not connected yet."
    last = ago(signals.last_contact, signals.now).capitalize()
    return f"{last}. Entra syncs about every {INTERVAL_MINUTES} minutes."


def _off(signals: HealthSignals) -> Health | None:
    if signals.active:
        return None
    return Health(
        Level.OFF,
        "Provisioning is off",
        "All API keys are refused until you activate the integration."
        if signals.keys
        else "Activate the integration, then generate an API key for Entra.",
    )


def _key_refused(signals: HealthSignals) -> Health | None:
    refused, last_contact = signals.last_key_refusal, signals.last_contact
    if refused is None or (
        last_contact is not None and last_contact + LAST_USE_ACCURACY >= refused
    ):
        return None
    if signals.uses_newest_key:
        return Health(
            Level.WARNING,
            "An old API key is still being used",
            f"The newest key works, but a request with a key that no longer works arrived "
            f"{ago(refused, signals.now)}. If Entra sent it, paste the newest key as Secret Token "
            "in Entra.",
            *REFUSED_KEYS,
        )
    return Health(
        Level.CRITICAL,
        "Entra's API key is refused",
        f"The last request, {ago(refused, signals.now)}, used a key that no longer works. Entra "
        "quarantines the job for this. Paste the newest key as Secret Token in Entra and select "
        "“Test Connection”.",
        *REFUSED_KEYS,
    )


def _without_key(signals: HealthSignals) -> Health | None:
    if any(key.works for key in signals.keys):
        return None
    if not signals.keys:
        return Health(
            Level.WAITING, "Almost there", "Generate an API key and paste it into Entra.", *NEW_KEY
        )
    return Health(
        Level.CRITICAL,
        "No working API key",
        "Generate a new API key and paste it as Secret Token in Entra before Entra's next cycle "
        "fails.",
        *NEW_KEY,
    )


def _failing(signals: HealthSignals) -> Health | None:
    day = signals.day
    if day is None or signals.failure_rate < WARNING_RATE or day.refused < MIN_FAILURES:
        return None
    total = pluralize(day.all, "change")
    return Health(
        Level.CRITICAL if signals.failure_rate >= QUARANTINE_RATE else Level.WARNING,
        f"{signals.failure_rate:.0%} of changes fail",
        f"{day.refused:,} of {total} in the last 24 hours were refused. Entra quarantines the job "
        f"above {QUARANTINE_RATE:.0%}.",
        *FAILURES,
    )


def _silent(signals: HealthSignals) -> Health | None:
    last_contact = signals.last_contact
    if last_contact is None:
        return Health(
            Level.WAITING,
            "Waiting for Entra",
            "Paste your API key as Secret Token in Entra and select “Test Connection”.",
        )
    if signals.now - last_contact < SILENCE_LIMIT:
        return None
    return Health(
        Level.WARNING,
        "No contact from Entra",
        f"Entra last connected {ago(last_contact, signals.now)}. It usually connects about every "
        f"{INTERVAL_MINUTES} minutes. Check in Entra whether provisioning is stopped or in "
        "quarantine.",
    )


def _expiring(signals: HealthSignals) -> Health | None:
    """A warning if the key in use expires, although everything else is fine."""
    end_times = [key.end_time for key in signals.keys if key.is_in_use and key.end_time is not None]
    if not end_times:
        return None
    return Health(
        Level.WARNING,
        "An old API key is still in use",
        f"It expires in {duration(max(end_times) - signals.now)}. Paste the newest key as Secret "
        "Token in Entra before then.",
    )


def _good(signals: HealthSignals) -> Health:
    day = signals.day
    if day is None:
        return Health(
            Level.GOOD,
            "Entra is connected",
            "The last 24 hours have too many changes to count right now. Check for failures.",
            *FAILURES,
        )
    if not day.all:
        return Health(Level.GOOD, "Healthy", "Entra is connected. No changes in the last 24 hours.")
    changes = pluralize(day.succeeded, "successful change")
    if not day.refused:
        return Health(Level.GOOD, "Healthy", f"{changes} in the last 24 hours, none refused.")
    text = f"{changes} in the last 24 hours, {day.refused:,} refused."
    return Health(Level.GOOD, "Healthy", text, *FAILURES)
