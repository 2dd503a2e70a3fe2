"""Conversion of domain values to messages, and of request fields to domain values."""

import ipaddress
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

from cloudacademy.keys.v1 import audit_pb2, domains_pb2, keys_pb2, sso_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.errors import InvalidField
from chassis.rpc.timestamps import to_timestamp
from keysvc.domain.audit import Action, Actor, AuditEvent
from keysvc.domain.keys import Key
from keysvc.domain.organizations import Integration, Organization, Region
from keysvc.domain.pages import Position
from keysvc.domain.sso import SsoConnection, SsoSetup
from keysvc.domain.sso_domains import SsoDomain, State
from keysvc.rpc.page_tokens import to_token

PAGE_SIZE: Final = 100
PAGE_SIZE_MAXIMUM: Final = 1_000
_ADDRESS_MAXIMUM: Final = 100
_REGIONS: Final = {Region.US: keys_pb2.REGION_US, Region.EU: keys_pb2.REGION_EU}

Element = TypeVar("Element")


def read_region(field: str, region: keys_pb2.Region, own: Region) -> Region:
    """The service's own region, which a request may omit. Refuses (InvalidField) any other."""
    if region not in (keys_pb2.REGION_UNSPECIFIED, _REGIONS[own]):
        raise InvalidField(field, f"must be {keys_pb2.Region.Name(_REGIONS[own])} here")
    return own


def read_page_size(size: int) -> int:
    """The number of elements of a page. Refuses (InvalidField) a negative size."""
    if size < 0:
        raise InvalidField("page_size", "must not be negative")
    return min(size or PAGE_SIZE, PAGE_SIZE_MAXIMUM)


def read_address(field: str, text: str) -> str:
    """An IP address in its shortest form, or an empty text. Refuses (InvalidField) other texts."""
    if not text:
        return ""
    try:
        # Drop a zone such as %eth0: it has a meaning on one machine only.
        address = ipaddress.ip_address(text[: _ADDRESS_MAXIMUM + 1].partition("%")[0])
    except ValueError:
        address = None
    if address is None or len(text) > _ADDRESS_MAXIMUM:
        raise InvalidField(field, "must be an IP address")
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def read_actor(message: audit_pb2.Actor, author: str = "") -> Actor:
    """The actor of a request; `author` if the request has none. Refuses InvalidField."""
    if message == audit_pb2.Actor():
        return Actor(author, author)
    return Actor(message.id, message.display_name, read_address("actor.address", message.address))


_ACTIONS: Final = {
    number: Action[name.removeprefix("ACTION_")]
    for name, number in audit_pb2.AuditEvent.Action.items()
    if number
}


def read_action(field: str, value: int) -> Action:
    """The action with this number. Refuses InvalidField."""
    try:
        return _ACTIONS[value]
    except KeyError:
        raise InvalidField(field, "is not an action") from None


def cut_page(
    scope: UUID, elements: Sequence[Element], size: int, position: Callable[[Element], Position]
) -> tuple[Sequence[Element], str]:
    """A page of at most `size` elements and the token of the next page.

    `elements` has one element more than the page if there is a next one.
    """
    if len(elements) <= size:
        return elements, ""
    page = elements[:size]
    return page, to_token(scope, position(page[-1]))


def organization_message(organization: Organization) -> keys_pb2.Organization:
    return keys_pb2.Organization(
        id=str(organization.organization_id),
        display_name=organization.display_name,
        region=_REGIONS[organization.region],
        create_time=timestamp(organization.create_time),
    )


def integration_message(integration: Integration) -> keys_pb2.Integration:
    active, inactive = keys_pb2.Integration.STATE_ACTIVE, keys_pb2.Integration.STATE_INACTIVE
    return keys_pb2.Integration(
        organization_id=str(integration.organization_id),
        state=active if integration.active else inactive,
        update_time=timestamp(integration.update_time),
    )


def key_message(key: Key) -> keys_pb2.Key:
    return keys_pb2.Key(
        id=str(key.key_id),
        organization_id=str(key.organization_id),
        create_time=timestamp(key.create_time),
        created_by=key.created_by,
        created_by_name=key.created_by_name or key.created_by,
        expire_time=timestamp(key.expire_time),
        revoke_time=timestamp(key.revoke_time),
        revoked_by=key.revoked_by,
        revoked_by_name=key.revoked_by_name or key.revoked_by,
        last_used_time=timestamp(key.last_used_time),
        last_used_address=key.last_used_address,
    )


def audit_event_message(event: AuditEvent) -> audit_pb2.AuditEvent:
    actor = event.actor
    return audit_pb2.AuditEvent(
        id=str(event.event_id),
        organization_id=str(event.organization_id),
        create_time=timestamp(event.create_time),
        actor=audit_pb2.Actor(
            id=actor.actor_id, display_name=actor.display_name, address=actor.address
        ),
        action=f"ACTION_{event.action.name}",
        key_id=str(event.key_id or ""),
        fields=event.fields,
        user_id=str(event.user_id or ""),
        domain=event.domain,
        reason=event.reason,
    )


def read_sso_setup(connection: sso_pb2.SsoConnection) -> SsoSetup:
    return SsoSetup(
        connection.sso_url,
        connection.idp_entity_id,
        tuple(connection.certificates),
        connection.create_missing_users,
        tuple(connection.domains),
    )


def sso_connection_message(connection: SsoConnection, now: datetime) -> sso_pb2.SsoConnection:
    setup = connection.setup
    return sso_pb2.SsoConnection(
        organization_id=str(connection.organization_id),
        etag=connection.etag,
        active=connection.active,
        test_time=timestamp(connection.test_time),
        update_time=timestamp(connection.update_time),
        sso_url=setup.sso_url,
        idp_entity_id=setup.idp_entity_id,
        certificates=setup.certificates,
        create_missing_users=setup.create_missing_users,
        domains=setup.domains,
        domain_proofs=[domain_message(each, now) for each in connection.domains],
    )


def domain_message(domain: SsoDomain, now: datetime) -> domains_pb2.Domain:
    state = domain.state(now)
    return domains_pb2.Domain(
        organization_id=str(domain.organization_id),
        name=domain.domain,
        state=f"STATE_{state.name}",
        record_name=domain.record_name,
        record_value=domain.record_value,
        proven_time=timestamp(domain.proven_time),
        grace_end_time=timestamp(domain.grace_until) if state is State.GRACE else None,
        last_check_time=timestamp(domain.last_check_time),
        loss_time=timestamp(domain.loss_time),
        verified_by_operator=domain.is_override,
        public_mail=domain.is_public_mail,
    )


def timestamp(time: datetime | None) -> Timestamp | None:
    """A time, if there is one, as a message."""
    return None if time is None else to_timestamp(time)
