"""E-mail domains as rows of the page of single sign-on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cloudacademy.keys.v1.domains_pb2 import Domain

from gateway.portal.models.times import absolute, to_datetime

_LABELS: Final = {
    Domain.STATE_PENDING: ("Not verified", "chip-off"),
    Domain.STATE_GRACE: ("Verify soon", "chip-bad"),
    Domain.STATE_PROVEN: ("Verified", "chip-good"),
    Domain.STATE_LOST: ("No longer verified", "chip-bad"),
}


@dataclass(frozen=True, slots=True)
class DomainRow:
    """One domain: its state, the record that proves it, and what happens next."""

    name: str
    label: str
    chip: str
    record_name: str
    record_value: str
    text: str
    last_check: datetime | None
    by_operator: bool
    public_mail: bool


def domain_rows(domains: Sequence[Domain]) -> list[DomainRow]:
    """The rows of these domains, in the same order."""
    return [_row(domain) for domain in domains]


def warnings(domains: Sequence[Domain]) -> list[str]:
    """The texts of the banner: domains that people cannot use, or soon cannot use any more."""
    return [text for domain in domains if (text := _warning(domain))]


def _row(domain: Domain) -> DomainRow:
    label, chip = _LABELS.get(domain.state, _LABELS[Domain.STATE_PENDING])
    if domain.HasField("loss_time"):
        label, chip = "Record missing", "chip-bad"
    if domain.public_mail:
        label, chip = "Not possible", "chip-bad"
    checked = to_datetime(domain.last_check_time) if domain.HasField("last_check_time") else None
    return DomainRow(
        name=domain.name,
        label=label,
        chip=chip,
        record_name=domain.record_name,
        record_value=domain.record_value,
        text=_text(domain),
        last_check=checked,
        by_operator=domain.verified_by_operator,
        public_mail=domain.public_mail,
    )


def _text(domain: Domain) -> str:
    if domain.public_mail:
        return (
            "This domain belongs to a public mail provider, so your organization cannot verify it. "
            "Remove it from the email domains above."
        )
    if domain.verified_by_operator:
        return "Cloud Academy support has verified this domain. It needs no record."
    if domain.HasField("loss_time"):
        return "Create this TXT record in the domain's DNS again."
    if domain.state == Domain.STATE_PROVEN:
        return "Keep the record: it is checked once a day."
    if domain.state == Domain.STATE_GRACE:
        return "Create this TXT record in the domain's DNS."
    return (
        "Create this TXT record in the domain's DNS. Until then, nobody can sign in by entering an "
        "email address of this domain."
    )


def _warning(domain: Domain) -> str:
    name = domain.name
    if domain.public_mail:
        return (
            f"{name} belongs to a public mail provider: people cannot sign in with its email "
            "addresses. Remove it from the email domains of single sign-on."
        )
    if domain.HasField("loss_time"):
        return (
            f"The TXT record of {name} is missing. Without it, the domain is no longer verified "
            f"from {absolute(to_datetime(domain.loss_time))} on, and people cannot sign in with "
            "its email addresses."
        )
    if domain.state == Domain.STATE_GRACE:
        return (
            f"Verify {name} by {absolute(to_datetime(domain.grace_end_time))}. After that, people "
            "cannot sign in with its email addresses."
        )
    if domain.state == Domain.STATE_LOST:
        return (
            f"{name} is no longer verified: people cannot sign in with its email addresses. Create "
            "its TXT record again."
        )
    return ""
