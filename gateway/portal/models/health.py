"""The health of provisioning: one line, which warns before Entra quarantines the job.

Entra quarantines a job at once if its key is refused, and also if more than 40 % of its changes
fail. It then retries a quarantined job once a day. Other identity providers have neither cycles nor
a quarantine; they call when something changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from cloudacademy.users.v1.activity_pb2 import ActivityCount

from gateway.portal.models.key_rows import KeyRow
from gateway.portal.models.providers import ENTRA, Provider
from gateway.portal.models.times import ago, duration, pluralize

QUARANTINE_RATE: Final = 0.4
WARNING_RATE: Final = 0.1
_QUARANTINE: Final = f" Entra quarantines the job above {QUARANTINE_RATE:.0%}."
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
    provider: Provider = ENTRA
    """The identity provider that the texts name. The links lead to its pages."""

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


FAILURES: Final = ("log?result=failure", "View failures")
REFUSED_KEYS: Final = ("log?action=key", "View refused requests")
NEW_KEY: Final = ("keys/new", "Generate an API key")
"""Pages of a provider, and the texts of the links to them."""


def totals(counts: Sequence[ActivityCount] | None) -> Totals | None:
    """The sums over all counts; None if the changes were not counted."""
    if counts is None:
        return None
    return Totals(sum(each.succeeded for each in counts), sum(each.refused for each in counts))


def health(signals: HealthSignals) -> Health:
    """The most severe condition that applies."""
    found = (
        _off(signals)
        or _key_refused(signals)
        or _without_key(signals)
        or _failing(signals)
        or _silent(signals)
        or _expiring(signals)
        or _good(signals)
    )
    return replace(found, link=signals.provider.path + found.link) if found.link else found


def contact_text(signals: HealthSignals) -> str:
    """The last contact, for example "43 minutes ago. Entra syncs about every 40 minutes."."""
    provider = signals.provider
    if signals.last_contact is None:
        return f"{provider.subject} has not connected yet."
    last = ago(signals.last_contact, signals.now).capitalize()
    if provider.interval_minutes is None:
        return f"{last}. {provider.subject} connects when something changes."
    return f"{last}. {provider.subject} syncs about every {provider.interval_minutes} minutes."


def _off(signals: HealthSignals) -> Health | None:
    if signals.active:
        return None
    return Health(
        Level.OFF,
        "Provisioning is off",
        "All API keys are refused until you activate the integration."
        if signals.keys
        else f"Activate the integration, then generate an API key for {signals.provider.name}.",
    )


def _key_refused(signals: HealthSignals) -> Health | None:
    refused, last_contact = signals.last_key_refusal, signals.last_contact
    provider = signals.provider
    if refused is None or (
        last_contact is not None and last_contact + LAST_USE_ACCURACY >= refused
    ):
        return None
    if signals.uses_newest_key:
        return Health(
            Level.WARNING,
            "An old API key is still being used",
            f"The newest key works, but a request with a key that no longer works arrived "
            f"{ago(refused, signals.now)}. If {provider.name} sent it, paste the newest key as "
            f"{provider.secret_label} there.",
            *REFUSED_KEYS,
        )
    return Health(
        Level.CRITICAL,
        f"{provider.subject}'s API key is refused",
        f"The last request, {ago(refused, signals.now)}, used a key that no longer works. "
        f"{'Entra quarantines the job for this. ' if provider.quarantines else ''}"
        f"Paste the newest key as {provider.secret_label} in {provider.name} and {provider.test}.",
        *REFUSED_KEYS,
    )


def _without_key(signals: HealthSignals) -> Health | None:
    provider = signals.provider
    if any(key.works for key in signals.keys):
        return None
    if not signals.keys:
        return Health(
            Level.WAITING,
            "Almost there",
            f"Generate an API key and paste it into {provider.name}.",
            *NEW_KEY,
        )
    return Health(
        Level.CRITICAL,
        "No working API key",
        f"Generate a new API key and paste it as {provider.secret_label} in {provider.name} before "
        f"its next request fails.",
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
        f"{day.refused:,} of {total} in the last 24 hours were refused."
        f"{_QUARANTINE if signals.provider.quarantines else ''}",
        *FAILURES,
    )


def _silent(signals: HealthSignals) -> Health | None:
    last_contact, provider = signals.last_contact, signals.provider
    if last_contact is None:
        return Health(
            Level.WAITING,
            f"Waiting for {provider.name}",
            f"Paste your API key as {provider.secret_label} in {provider.name} and "
            f"{provider.test}.",
        )
    if provider.interval_minutes is None or signals.now - last_contact < SILENCE_LIMIT:
        return None
    return Health(
        Level.WARNING,
        f"No contact from {provider.name}",
        f"{provider.subject} last connected {ago(last_contact, signals.now)}. It usually connects "
        f"about every {provider.interval_minutes} minutes. Check in {provider.name} whether "
        "provisioning is stopped or in quarantine.",
    )


def _expiring(signals: HealthSignals) -> Health | None:
    """A warning if the key in use expires, although everything else is fine."""
    end_times = [key.end_time for key in signals.keys if key.is_in_use and key.end_time is not None]
    if not end_times:
        return None
    return Health(
        Level.WARNING,
        "An old API key is still in use",
        f"It expires in {duration(max(end_times) - signals.now)}. Paste the newest key as "
        f"{signals.provider.secret_label} in {signals.provider.name} before then.",
    )


def _good(signals: HealthSignals) -> Health:
    day, title = signals.day, f"{signals.provider.subject} is connected"
    if day is None:
        return Health(
            Level.GOOD,
            title,
            "The last 24 hours have too many changes to count right now. Check for failures.",
            *FAILURES,
        )
    if not day.all:
        return Health(Level.GOOD, "Healthy", f"{title}. No changes in the last 24 hours.")
    changes = pluralize(day.succeeded, "successful change")
    if not day.refused:
        return Health(Level.GOOD, "Healthy", f"{changes} in the last 24 hours, none refused.")
    text = f"{changes} in the last 24 hours, {day.refused:,} refused."
    return Health(Level.GOOD, "Healthy", text, *FAILURES)
