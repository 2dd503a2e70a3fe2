"""How an organization proves an e-mail domain, and when the proof is lost."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from chassis.errors import InvalidField
from keysvc.domain.audit import Action, Actor
from keysvc.domain.organizations import refuse_control_characters
from keysvc.domain.public_mail_domains import is_public_mail

RECORD_LABEL: Final = "_cloudacademy-challenge"
"""The first label of the TXT record's name (RFC 8552). Because the record has its own name, the
domain's other TXT records, such as SPF, stay as they are, and a CNAME record can delegate it."""
RECORD_PREFIX: Final = "cloudacademy-domain-verification="

FREQUENT_CHECKS_TIME: Final = timedelta(hours=1)
"""The time after a new claim, or after an administrator's check, in which checks are frequent."""
FREQUENT_INTERVAL: Final = timedelta(minutes=5)
DAILY_INTERVAL: Final = timedelta(days=1)
RETRY_INTERVAL: Final = timedelta(hours=1)
"""The time to the next check if no name server answered, for claims that are not new."""
LEASE_TIME: Final = timedelta(minutes=2)
"""The time for which a check is leased. If its result is not recorded, it is due again then."""

LOSS_TIME: Final = timedelta(days=7)
LOSS_CHECKS: Final = 7
"""A proof is lost after this many failed checks in a row over at least LOSS_TIME."""
REASON_MAXIMUM: Final = 200

CHECKER: Final = Actor("domain-check", "Domain check")
"""The actor in the audit trail of changes by a check."""


class State(StrEnum):
    """The state of a claim. Only PROVEN and GRACE domains are trusted."""

    PENDING = "pending"
    GRACE = "grace"
    PROVEN = "proven"
    LOST = "lost"


class Outcome(StrEnum):
    """The result of a check."""

    FOUND = "found"
    NOT_FOUND = "not_found"
    UNAVAILABLE = "unavailable"
    """No name server answered, so the check has no result."""


@dataclass(frozen=True, slots=True)
class SsoDomain:
    """An organization's claim of a domain, and its proof."""

    organization_id: UUID
    domain: str
    token: str
    create_time: datetime
    check_until: datetime
    next_check_time: datetime
    proven_time: datetime | None = None
    is_override: bool = False
    grace_until: datetime | None = None
    last_check_time: datetime | None = None
    failing_since: datetime | None = None
    failed_checks: int = 0
    lost_time: datetime | None = None

    @property
    def record_name(self) -> str:
        """The name of the TXT record that proves the domain."""
        return f"{RECORD_LABEL}.{self.domain}"

    @property
    def record_value(self) -> str:
        """The value of the TXT record that proves the domain."""
        return RECORD_PREFIX + self.token

    @property
    def loss_time(self) -> datetime | None:
        """When the proof is lost, unless a check finds the record before."""
        return None if self.failing_since is None else self.failing_since + LOSS_TIME

    @property
    def is_public_mail(self) -> bool:
        """Whether it is a public mail provider's, claimed before these were refused."""
        return is_public_mail(self.domain)

    def state(self, now: datetime) -> State:
        """The state at a time."""
        if self.proven_time is not None:
            return State.PROVEN
        if self.grace_until is not None and not self.is_public_mail:
            return State.GRACE if now < self.grace_until else State.LOST
        return State.PENDING if self.lost_time is None else State.LOST


@dataclass(frozen=True, slots=True)
class DomainCheck:
    """The result of a check of an organization's domain."""

    organization_id: UUID
    domain: str
    token: str
    """The token that was looked for."""
    outcome: Outcome
    actor: Actor | None = None
    """The person who asked for the check; None for a check that was due."""


def check_domain(field: str, domain: str) -> None:
    """Refuse (InvalidField) the domain of a public mail provider."""
    if is_public_mail(domain):
        raise InvalidField(
            field,
            f"must not contain {domain}: its addresses belong to a public mail provider, not to an "
            "organization",
        )


def check_reason(reason: str) -> None:
    """Refuse (InvalidField) an operator's reason that is empty, too long or not printable."""
    if not 1 <= len(reason.strip()) <= REASON_MAXIMUM:
        raise InvalidField("reason", "must have 1 to 200 characters")
    refuse_control_characters("reason", reason)


def after_check(domain: SsoDomain, outcome: Outcome, now: datetime) -> SsoDomain:
    """The domain after a check."""
    match outcome:
        case Outcome.FOUND if not domain.is_public_mail:
            checked = _found(domain, now)
        case Outcome.UNAVAILABLE:
            checked = domain
        case _:
            checked = _not_found(domain, now)
    return replace(checked, next_check_time=now + _interval(checked, outcome, now))


def verified_by_operator(domain: SsoDomain, now: datetime) -> SsoDomain:
    """The domain after an operator has verified it: proven, and no longer checked."""
    proven = _found(domain, now)
    return replace(proven, is_override=True, last_check_time=domain.last_check_time)


def audit_action(before: SsoDomain, after: SsoDomain) -> Action | None:
    """The action that the audit trail records for the change that a check made, if any."""
    if before.proven_time is None and after.proven_time is not None:
        return Action.DOMAIN_PROVEN
    if before.proven_time is not None and after.proven_time is None:
        return Action.DOMAIN_LOST
    if before.failing_since is None and after.failing_since is not None:
        return Action.DOMAIN_PROOF_MISSING
    return None


def _found(domain: SsoDomain, now: datetime) -> SsoDomain:
    return replace(
        domain,
        proven_time=domain.proven_time or now,
        grace_until=None,
        last_check_time=now,
        failing_since=None,
        failed_checks=0,
        lost_time=None,
    )


def _not_found(domain: SsoDomain, now: datetime) -> SsoDomain:
    checked = replace(domain, last_check_time=now)
    if domain.proven_time is None or domain.is_override:
        return checked
    since, failed = domain.failing_since or now, domain.failed_checks + 1
    if failed >= LOSS_CHECKS and now - since >= LOSS_TIME:
        return replace(
            checked, proven_time=None, failing_since=None, failed_checks=0, lost_time=now
        )
    return replace(checked, failing_since=since, failed_checks=failed)


def _interval(domain: SsoDomain, outcome: Outcome, now: datetime) -> timedelta:
    if domain.proven_time is None and now < domain.check_until:
        return FREQUENT_INTERVAL
    return RETRY_INTERVAL if outcome is Outcome.UNAVAILABLE else DAILY_INTERVAL
