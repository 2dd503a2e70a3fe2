"""The operator's commands: the methods of the services, straight on the database.

Each answers with the response message of the method that it stands for, if there is one.
"""

from argparse import Namespace
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from cloudacademy.keys.v1 import audit_pb2, keys_pb2, sso_pb2
from google.protobuf.message import Message

from chassis.clock import Clock
from chassis.errors import InvalidField
from chassis.rpc.uuids import read_uuid
from keysvc.domain import key_token as token
from keysvc.domain.audit import OPERATOR, check_author, name_of, operator
from keysvc.domain.keys import NewKey
from keysvc.domain.organizations import NewOrganization, Region
from keysvc.domain.pages import AFTER_ALL
from keysvc.rpc import convert as wire
from keysvc.store.audit import AuditStore
from keysvc.store.erasure import ERASED, ErasureStore
from keysvc.store.keys import KeyStore
from keysvc.store.organizations import OrganizationStore
from keysvc.store.sso import SsoStore

Answer: TypeAlias = Message | Mapping[str, object]


@dataclass(frozen=True, slots=True)
class CommandContext:
    """What an operator's command works with."""

    organizations: OrganizationStore
    keys: KeyStore
    audit: AuditStore
    erasures: ErasureStore
    sso: SsoStore
    region: Region
    clock: Clock
    random_bytes: token.RandomBytes


async def create_organization(desk: CommandContext, arguments: Namespace) -> Message:
    organization_id = read_uuid("--id", arguments.id) if arguments.id else None
    new = NewOrganization(organization_id, arguments.display_name, desk.region)
    organization = await desk.organizations.create(new, desk.clock())
    return keys_pb2.CreateOrganizationResponse(organization=wire.organization_message(organization))


async def activate_integration(desk: CommandContext, arguments: Namespace) -> Message:
    integration = await _switch_integration(desk, arguments, True)
    return keys_pb2.ActivateIntegrationResponse(integration=integration)


async def deactivate_integration(desk: CommandContext, arguments: Namespace) -> Message:
    integration = await _switch_integration(desk, arguments, False)
    return keys_pb2.DeactivateIntegrationResponse(integration=integration)


async def generate_key(desk: CommandContext, arguments: Namespace) -> Message:
    organization_id = read_uuid("ORGANIZATION", arguments.organization)
    check_author("--created-by", arguments.created_by)
    made = token.generate(desk.region, desk.random_bytes)
    author = arguments.created_by
    new = NewKey(made.key_id, made.secret_digest, author, operator(author))
    key = await desk.keys.generate(organization_id, new, desk.clock)
    return keys_pb2.GenerateKeyResponse(key=wire.key_message(key), token=made.text)


async def list_keys(desk: CommandContext, arguments: Namespace) -> Message:
    """The newest keys, as many as a page can have."""
    organization_id = read_uuid("ORGANIZATION", arguments.organization)
    keys = await desk.keys.list_before(organization_id, AFTER_ALL, wire.PAGE_SIZE_MAXIMUM)
    return keys_pb2.ListKeysResponse(keys=[wire.key_message(key) for key in keys])


async def revoke_key(desk: CommandContext, arguments: Namespace) -> Message:
    organization_id = read_uuid("ORGANIZATION", arguments.organization)
    key_id = read_uuid("KEY", arguments.key)
    author = arguments.revoked_by
    check_author("--revoked-by", author)
    key = await desk.keys.revoke(organization_id, key_id, author, operator(author), desk.clock)
    return keys_pb2.RevokeKeyResponse(key=wire.key_message(key))


async def list_audit_events(desk: CommandContext, arguments: Namespace) -> Message:
    """The newest events, as many as a page can have."""
    organization_id = read_uuid("ORGANIZATION", arguments.organization)
    events = await desk.audit.list_before(organization_id, AFTER_ALL, wire.PAGE_SIZE_MAXIMUM)
    return audit_pb2.ListAuditEventsResponse(
        events=[wire.audit_event_message(event) for event in events]
    )


async def erase_person(desk: CommandContext, arguments: Namespace) -> Answer:
    """The person's names and addresses; that something was done, and when, stays.

    Tells ids and numbers alone: whoever keeps the answer keeps no name.
    """
    organization_id = read_uuid("ORGANIZATION", arguments.organization)
    for name in (names := [arguments.person, *arguments.also]):
        if name_of(name.strip()).strip().lower() in ("", OPERATOR, ERASED):
            raise InvalidField("PERSON", f"is nobody's name: {name!r}")
    done = await desk.erasures.erase(organization_id, names, dry_run=arguments.dry_run)
    return {
        "dry_run": arguments.dry_run,
        "erased": done.erased,
        "by_name": done.by_name,
        "same_name": done.same_name,
    }


async def get_sso_connection(desk: CommandContext, arguments: Namespace) -> Message:
    organization_id = read_uuid("ORGANIZATION", arguments.organization)
    connection = await desk.sso.get(organization_id)
    return sso_pb2.GetSsoConnectionResponse(connection=wire.sso_connection_message(connection))


async def deactivate_sso_connection(desk: CommandContext, arguments: Namespace) -> Message:
    organization_id = read_uuid("ORGANIZATION", arguments.organization)
    check_author("--by", arguments.by)
    connection = await desk.sso.switch(organization_id, False, operator(arguments.by), desk.clock)
    return sso_pb2.DeactivateSsoConnectionResponse(
        connection=wire.sso_connection_message(connection)
    )


async def release_sso_domain(desk: CommandContext, arguments: Namespace) -> Message:
    check_author("--by", arguments.by)
    domain = arguments.domain.lower()
    connection = await desk.sso.release_domain(domain, operator(arguments.by), desk.clock)
    return sso_pb2.UpdateSsoConnectionResponse(connection=wire.sso_connection_message(connection))


async def _switch_integration(
    desk: CommandContext, arguments: Namespace, active: bool
) -> keys_pb2.Integration:
    organization_id = read_uuid("ORGANIZATION", arguments.organization)
    check_author("--by", arguments.by)
    integration = await desk.organizations.switch_integration(
        organization_id, active, operator(arguments.by), desk.clock
    )
    return wire.integration_message(integration)


COMMANDS: Final[Mapping[str, Callable[[CommandContext, Namespace], Awaitable[Answer]]]] = {
    "create-organization": create_organization,
    "activate-integration": activate_integration,
    "deactivate-integration": deactivate_integration,
    "generate-key": generate_key,
    "list-keys": list_keys,
    "revoke-key": revoke_key,
    "list-audit-events": list_audit_events,
    "erase-person": erase_person,
    "get-sso-connection": get_sso_connection,
    "deactivate-sso-connection": deactivate_sso_connection,
    "release-sso-domain": release_sso_domain,
}
