"""The operator's commands: the methods of the services, straight on the database.

Each answers with the response message of the method that it stands for.
"""

from argparse import Namespace
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cloudacademy.keys.v1 import keys_pb2
from google.protobuf.message import Message

from chassis.clock import Clock
from keysvc import pages, token, wire
from keysvc.key_store import KeyStore
from keysvc.keys import NewKey, check_author
from keysvc.organization_store import OrganizationStore
from keysvc.organizations import NewOrganization, Region


@dataclass(frozen=True, slots=True)
class Desk:
    """What an operator's command works with."""

    organizations: OrganizationStore
    keys: KeyStore
    region: Region
    clock: Clock
    random_bytes: token.RandomBytes


async def create_organization(desk: Desk, arguments: Namespace) -> Message:
    organization_id = wire.read_id("--id", arguments.id) if arguments.id else None
    new = NewOrganization(organization_id, arguments.display_name, desk.region)
    organization = await desk.organizations.create(new, desk.clock())
    return keys_pb2.CreateOrganizationResponse(organization=wire.organization_message(organization))


async def activate_integration(desk: Desk, arguments: Namespace) -> Message:
    organization_id = wire.read_id("ORGANIZATION", arguments.organization)
    integration = await desk.organizations.switch_integration(organization_id, True, desk.clock())
    return keys_pb2.ActivateIntegrationResponse(integration=wire.integration_message(integration))


async def deactivate_integration(desk: Desk, arguments: Namespace) -> Message:
    organization_id = wire.read_id("ORGANIZATION", arguments.organization)
    integration = await desk.organizations.switch_integration(organization_id, False, desk.clock())
    return keys_pb2.DeactivateIntegrationResponse(integration=wire.integration_message(integration))


async def generate_key(desk: Desk, arguments: Namespace) -> Message:
    organization_id = wire.read_id("ORGANIZATION", arguments.organization)
    made = token.generate(desk.region, desk.random_bytes)
    new = NewKey(made.key_id, made.secret_digest, arguments.created_by)
    key = await desk.keys.generate(organization_id, new, desk.clock)
    return keys_pb2.GenerateKeyResponse(key=wire.key_message(key), token=made.text)


async def list_keys(desk: Desk, arguments: Namespace) -> Message:
    """The newest keys, as many as a page can have."""
    organization_id = wire.read_id("ORGANIZATION", arguments.organization)
    keys = await desk.keys.list_before(organization_id, pages.AFTER_ALL, wire.PAGE_SIZE_MAXIMUM)
    return keys_pb2.ListKeysResponse(keys=[wire.key_message(key) for key in keys])


async def revoke_key(desk: Desk, arguments: Namespace) -> Message:
    organization_id = wire.read_id("ORGANIZATION", arguments.organization)
    key_id = wire.read_id("KEY", arguments.key)
    check_author("--revoked-by", arguments.revoked_by)
    key = await desk.keys.revoke(organization_id, key_id, arguments.revoked_by, desk.clock())
    return keys_pb2.RevokeKeyResponse(key=wire.key_message(key))


COMMANDS: Final[Mapping[str, Callable[[Desk, Namespace], Awaitable[Message]]]] = {
    "create-organization": create_organization,
    "activate-integration": activate_integration,
    "deactivate-integration": deactivate_integration,
    "generate-key": generate_key,
    "list-keys": list_keys,
    "revoke-key": revoke_key,
}
