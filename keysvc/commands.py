"""Commands for operators: the methods of the services, directly on the database.

A command that corresponds to a method returns the response message of that method.
"""

from argparse import Namespace
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from cloudacademy.keys.v1 import audit_pb2, domains_pb2, keys_pb2, sso_pb2
from google.protobuf.message import Message

from chassis.clock import Clock
from chassis.errors import InvalidField
from chassis.rpc.uuids import read_uuid
from keysvc.domain import key_token, sso_domains
from keysvc.domain.audit import OPERATOR, check_author, operator, without_operator_prefix
from keysvc.domain.keys import NewKey
from keysvc.domain.organizations import NewOrganization, Region
from keysvc.domain.pages import AFTER_ALL
from keysvc.rpc import convert
from keysvc.store.audit import AuditStore
from keysvc.store.erasure import ERASED, ErasureStore
from keysvc.store.keys import KeyStore
from keysvc.store.organizations import OrganizationStore
from keysvc.store.sso import SsoStore
from keysvc.store.sso_domains import SsoDomainStore

CommandResult: TypeAlias = Message | Mapping[str, object]


@dataclass(frozen=True, slots=True)
class CommandContext:
    """The collaborators of commands."""

    organizations: OrganizationStore
    keys: KeyStore
    audit: AuditStore
    erasures: ErasureStore
    sso: SsoStore
    domains: SsoDomainStore
    region: Region
    clock: Clock
    random_bytes: key_token.RandomBytes


async def create_organization(context: CommandContext, arguments: Namespace) -> Message:
    organization_id = read_uuid("--id", arguments.id) if arguments.id else None
    new = NewOrganization(organization_id, arguments.display_name, context.region)
    organization = await context.organizations.create(new, context.clock())
    return keys_pb2.CreateOrganizationResponse(
        organization=convert.organization_message(organization)
    )


async def activate_integration(context: CommandContext, arguments: Namespace) -> Message:
    integration = await _set_integration_active(context, arguments, True)
    return keys_pb2.ActivateIntegrationResponse(integration=integration)


async def deactivate_integration(context: CommandContext, arguments: Namespace) -> Message:
    integration = await _set_integration_active(context, arguments, False)
    return keys_pb2.DeactivateIntegrationResponse(integration=integration)


async def generate_key(context: CommandContext, arguments: Namespace) -> Message:
    organization_id = read_uuid("ORGANIZATION", arguments.organization)
    check_author("--created-by", arguments.created_by)
    token = key_token.generate(context.region, context.random_bytes)
    author = arguments.created_by
    new = NewKey(token.key_id, token.secret_digest, author, operator(author))
    key = await context.keys.generate(organization_id, new, context.clock)
    return keys_pb2.GenerateKeyResponse(key=convert.key_message(key), token=token.text)


async def list_keys(context: CommandContext, arguments: Namespace) -> Message:
    """List the newest keys, at most one page."""
    organization_id = read_uuid("ORGANIZATION", arguments.organization)
    keys = await context.keys.list_before(organization_id, AFTER_ALL, convert.PAGE_SIZE_MAXIMUM)
    return keys_pb2.ListKeysResponse(keys=[convert.key_message(key) for key in keys])


async def revoke_key(context: CommandContext, arguments: Namespace) -> Message:
    organization_id = read_uuid("ORGANIZATION", arguments.organization)
    key_id = read_uuid("KEY", arguments.key)
    author = arguments.revoked_by
    check_author("--revoked-by", author)
    key = await context.keys.revoke(
        organization_id, key_id, author, operator(author), context.clock
    )
    return keys_pb2.RevokeKeyResponse(key=convert.key_message(key))


async def list_audit_events(context: CommandContext, arguments: Namespace) -> Message:
    """List the newest events, at most one page."""
    organization_id = read_uuid("ORGANIZATION", arguments.organization)
    events = await context.audit.list_before(organization_id, AFTER_ALL, convert.PAGE_SIZE_MAXIMUM)
    return audit_pb2.ListAuditEventsResponse(
        events=[convert.audit_event_message(event) for event in events]
    )


async def erase_person(context: CommandContext, arguments: Namespace) -> CommandResult:
    """Erase the names and addresses of a person. Actions and their times stay.

    The result has only ids and numbers, so that an archive of it has no names.
    """
    organization_id = read_uuid("ORGANIZATION", arguments.organization)
    for name in (names := [arguments.person, *arguments.also]):
        if without_operator_prefix(name.strip()).strip().lower() in ("", OPERATOR, ERASED):
            raise InvalidField("PERSON", f"must not be {name!r}: that is not the name of a person")
    erasure = await context.erasures.erase(organization_id, names, dry_run=arguments.dry_run)
    return {
        "dry_run": arguments.dry_run,
        "erased": erasure.erased,
        "by_name": erasure.by_name,
        "same_name": erasure.same_name,
    }


async def get_sso_connection(context: CommandContext, arguments: Namespace) -> Message:
    organization_id = read_uuid("ORGANIZATION", arguments.organization)
    connection = await context.sso.get(organization_id)
    return sso_pb2.GetSsoConnectionResponse(
        connection=convert.sso_connection_message(connection, context.clock())
    )


async def deactivate_sso_connection(context: CommandContext, arguments: Namespace) -> Message:
    organization_id = read_uuid("ORGANIZATION", arguments.organization)
    check_author("--by", arguments.by)
    connection = await context.sso.set_active(
        organization_id, False, operator(arguments.by), context.clock
    )
    return sso_pb2.DeactivateSsoConnectionResponse(
        connection=convert.sso_connection_message(connection, context.clock())
    )


async def release_sso_domain(context: CommandContext, arguments: Namespace) -> Message:
    check_author("--by", arguments.by)
    domain = arguments.domain.lower()
    organization_id = (
        read_uuid("--organization", arguments.organization) if arguments.organization else None
    )
    connection = await context.sso.release_domain(
        domain, organization_id, operator(arguments.by), context.clock
    )
    return sso_pb2.UpdateSsoConnectionResponse(
        connection=convert.sso_connection_message(connection, context.clock())
    )


async def verify_domain(context: CommandContext, arguments: Namespace) -> Message:
    organization_id = read_uuid("ORGANIZATION", arguments.organization)
    domain = arguments.domain.strip().lower()
    check_author("--by", arguments.by)
    sso_domains.check_domain("DOMAIN", domain)
    sso_domains.check_reason(arguments.reason)
    verified = await context.domains.verify(
        organization_id, domain, arguments.reason, operator(arguments.by), context.clock
    )
    return domains_pb2.VerifyDomainResponse(
        domain=convert.domain_message(verified, context.clock())
    )


async def _set_integration_active(
    context: CommandContext, arguments: Namespace, active: bool
) -> keys_pb2.Integration:
    organization_id = read_uuid("ORGANIZATION", arguments.organization)
    check_author("--by", arguments.by)
    integration = await context.organizations.set_integration_active(
        organization_id, active, operator(arguments.by), context.clock
    )
    return convert.integration_message(integration)


COMMANDS: Final[Mapping[str, Callable[[CommandContext, Namespace], Awaitable[CommandResult]]]] = {
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
    "verify-domain": verify_domain,
}
