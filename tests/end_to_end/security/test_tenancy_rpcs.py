"""No RPC of one organization shows or changes data of another.

The requests are generated from the protobuf descriptors: for each method requests of the attacker's
organization, in which each field in turn, and then all fields, contain values of the neighbour.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import grpc
import pytest
from cloudacademy.batch.v1 import batch_pb2, batch_pb2_grpc
from cloudacademy.keys.v1 import audit_pb2, domains_pb2, keys_pb2, sso_pb2
from cloudacademy.users.v1 import (
    activity_pb2,
    changes_pb2,
    filter_pb2,
    groups_pb2,
    schemas_pb2,
    sessions_pb2,
    users_pb2,
    walks_pb2,
)
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from tests.support.neighbours import NAME_PREFIX, Neighbour, create_neighbour, stored_rows
from tests.support.operators import Operator
from tests.support.portal_organization import PortalOrganization, create_portal_organization
from tests.support.scim import Client
from tests.support.stack import Stack

USERSVC = (
    *(users_pb2, groups_pb2, schemas_pb2, changes_pb2, activity_pb2, sessions_pb2, walks_pb2),
    batch_pb2,
)
KEYSVC = (keys_pb2, sso_pb2, domains_pb2, audit_pb2)
METHODS = [
    method
    for module in (*USERSVC, *KEYSVC)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
STREAM_SECONDS = 0.4
"""How long the test reads a stream."""

ACROSS = {
    "ChangeService.WatchAllChanges": "of all organizations, for authorized callers only",
    "ChangeService.ReadFullSnapshot": "of all organizations, for authorized callers only",
    "ActivityService.RecordRefusals": "for the gateway, about organizations it authenticated",
    "SessionService.GetSignInLink": "the secret determines the organization: see below",
    "SessionService.SignInWithLink": "the secret determines the organization: see below",
    "SessionService.GetSession": "the secret determines the organization: see below",
    "SessionService.EndSession": "the secret determines the organization: see below",
    "OrganizationService.CreateOrganization": "creates an organization",
    "OrganizationService.ListOrganizations": "for operators",
    "KeyService.Authenticate": "the key determines the organization: keysvc/test_authenticate.py",
    "KeyService.WatchKeys": "sends gateways only ids",
    "SchemaService.WatchSchemas": "sends gateways only ids",
    "SsoService.FindSsoConnection": "finds the organization of an e-mail domain before sign-in",
    "DomainService.LeaseDomainChecks": "for the gateway, which looks up their public records",
    "BatchService.StreamCalls": "carries other calls: the test also sends each call through it",
}
"""Methods without an organization in the request, and why that is safe."""

# For each text field that can refer to something, the kinds of the neighbour's values to send.
REFERENCES = {
    "organization_id": ["organization"],
    "user_id": ["user", "group"],
    "user_ids": ["user", "group"],
    "group_id": ["group", "user"],
    "member_ids": ["user", "group"],
    "add_member_ids": ["user", "group"],
    "remove_member_ids": ["user", "group"],
    "resource_id": ["user", "group"],
    "id": ["user", "group", "activity", "organization"],
    "value": ["user", "group"],
    "external_id": ["user"],
    "user_name": ["user_name"],
    "text": ["user_name", "user"],
    "urn": ["schema"],
    "session_id": ["session"],
    "key_id": ["key"],
    "newest_key_id": ["key"],
    "request_id": ["request"],
    "report_id": ["request"],
    "etag": ["user_etag", "group_etag", "sso_etag"],
    "page_token": ["users_page", "activities_page", "audit_page", "cursor"],
    "token": ["change_token"],
    "email": ["user_name"],
    "object_identifier": ["user"],
}
PLAIN = {
    *("address", "assertion_id", "canonical_values", "certificates", "cost_center"),
    *("country", "created_by", "department", "description", "display"),
    *("display_name", "division", "domain", "domains", "employee_number", "family_name"),
    *("field", "formatted", "given_name", "honorific_prefix", "honorific_suffix"),
    *("idp_entity_id", "locale", "locality", "middle_name", "name"),
    *("nick_name", "order_by", "organization", "postal_code", "preferred_language"),
    *("present", "profile_url", "reason", "record_name", "record_value", "region"),
    *("revoked_by", "sso_url"),
    *("street_address", "timezone", "title", "type", "user_type"),
}
MASKS = {"UpdateUserRequest": ["title"], "UpdateGroupRequest": ["display_name"]}
# Methods whose responses contain only numbers, times and ids of keys.
WITHOUT_TEXT = {
    "ActivityService.CountActivities",
    "ActivityService.ListCycles",
    "IntegrationService.GetIntegration",
    "ChangeService.WatchChanges",
}
WRITES = ("Create", "Update")
READS = ("Get", "List", "BatchGet", "Lookup", "Read", "Watch", "Count")

Path = tuple[str, ...]


def name(method: MethodDescriptor) -> str:
    return f"{method.containing_service.name}.{method.name}"


@dataclass(frozen=True)
class OwnIds:
    """The attacker's own ids, for the fields without a value of the neighbour."""

    organization_id: str
    user: str
    group: str

    def value(self, message: str, field: str) -> str:
        """The value of a field while another field contains a value of the neighbour."""
        if field in ("id", "user_id", "group_id"):
            return self.group if "Group" in message or field == "group_id" else self.user
        if (message, field) in (("User", "user_name"), ("Group", "display_name")):
            return uuid4().hex
        return ""


def text_fields(descriptor: Descriptor, seen: frozenset[str] = frozenset()) -> Iterator[Path]:
    """The paths of all text fields in a message, except in filters, which `filters` covers."""
    for field in descriptor.fields:
        inner = field.message_type
        if field.type == FieldDescriptor.TYPE_STRING:
            yield (field.name,)
        elif inner is None or inner.full_name in seen or inner.GetOptions().map_entry:
            continue
        elif inner.full_name.startswith("cloudacademy.") and inner.name != "Filter":
            yield from (
                (field.name, *rest) for rest in text_fields(inner, seen | {inner.full_name})
            )


def put(message: Any, path: Path, value: str) -> None:
    """Set a text field, creating the messages around it."""
    *outer, last = path
    for step in outer:
        field = message.DESCRIPTOR.fields_by_name[step]
        holder = getattr(message, step)
        message = holder.add() if field.is_repeated else holder
        message.SetInParent()
    if message.DESCRIPTOR.fields_by_name[last].is_repeated:
        getattr(message, last).append(value)
    else:
        setattr(message, last, value)


def filters(known) -> Iterator[filter_pb2.Filter]:
    for field in ("id", "groups.value", "members.value", "external_id", "enterprise.manager.value"):
        for value in (known["user"], known["group"]):
            compared = filter_pb2.Comparison(field=field, operator="OPERATOR_EQUAL", text=value)
            yield filter_pb2.Filter(comparison=compared)
            yield filter_pb2.Filter(negation=filter_pb2.Filter(comparison=compared))
    for field in ("user_name", "display_name", "title", "emails.value"):
        compared = filter_pb2.Comparison(
            field=field, operator="OPERATOR_CONTAINS", text=NAME_PREFIX
        )
        yield filter_pb2.Filter(comparison=compared)


def hostile_requests(method: MethodDescriptor, known, own: OwnIds) -> Iterator[Any]:
    """Requests of a method: each field in turn, then all fields, with values of the neighbour."""
    descriptor = method.input_type
    paths = [path for path in text_fields(descriptor) if path != ("organization_id",)]

    def request(hostile: dict[Path, str]) -> Any:
        message = GetMessageClass(descriptor)(organization_id=own.organization_id)
        if descriptor.name in MASKS:
            message.update_mask.paths[:] = MASKS[descriptor.name]
        for path in paths:
            owner = path[-2] if len(path) > 1 else descriptor.name
            value = hostile.get(path) or own.value(owner.title(), path[-1])
            if value:
                put(message, path, value)
        if descriptor.name == "CreateGroupRequest":
            message.keep_unknown_members = True
        elif descriptor.name == "UpdateGroupRequest":
            message.members.keep_unknown = True
        return message

    yield request({})
    for path in paths:
        for each in REFERENCES.get(path[-1], ()):
            yield request({path: known[each]})
    for turn in range(3):
        everything = {
            path: known[names[turn % len(names)]]
            for path in paths
            if (names := REFERENCES.get(path[-1]))
        }
        yield request(everything)
    if "filter" in descriptor.fields_by_name:
        for each in filters(known):
            message = request({})
            message.filter.CopyFrom(each)
            yield message


def read_of_own_group(own: OwnIds) -> tuple[MethodDescriptor, Any]:
    """The call that lists the members of the sender's own group, with their names."""
    request = groups_pb2.ListMembersRequest(
        organization_id=own.organization_id, group_id=own.group, page_size=100
    )
    (method,) = [each for each in METHODS if each.name == "ListMembers"]
    return method, request


class Caller:
    """Calls both services by the descriptors of their methods."""

    def __init__(self, users: grpc.aio.Channel, keys: grpc.aio.Channel) -> None:
        self._users = users
        self._keys = keys

    async def responses(self, method: MethodDescriptor, request: Any) -> list[str]:
        """Call a method; returns the responses, or the error, as text."""
        users = method.containing_service.file.package.startswith("cloudacademy.users")
        channel = self._users if users else self._keys
        path = f"/{method.containing_service.full_name}/{method.name}"
        decode = GetMessageClass(method.output_type).FromString
        encode = type(request).SerializeToString
        try:
            if method.server_streaming:
                stream = channel.unary_stream(path, encode, decode)(request)
                return [str(each) for each in await _read_stream(stream)]
            found = [str(await channel.unary_unary(path, encode, decode)(request, timeout=20))]
            return [*found, *await self._in_batch(path, request, decode)] if users else found
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL):
                raise
            return [f"{error.details()} {error.trailing_metadata()}"]

    async def _in_batch(self, path: str, request: Any, decode: Any) -> list[str]:
        """The same call through a batch stream, as the gateway sends most of its calls."""
        call = batch_pb2.Call(
            method=path, request=request.SerializeToString(), metadata={}, timeout_ms=20_000
        )
        stub = batch_pb2_grpc.BatchServiceStub(self._users)
        stream = stub.StreamCalls(timeout=20)
        await stream.write(batch_pb2.StreamCallsRequest(calls=[call]))
        await stream.done_writing()
        outcomes = [outcome async for response in stream for outcome in response.outcomes]
        assert len(outcomes) == 1
        return [
            f"{decode(each.response)} {each.message} {each.status_details!r}" for each in outcomes
        ]


async def _read_stream(stream: Any) -> list[Any]:
    messages: list[Any] = []
    try:
        async with asyncio.timeout(STREAM_SECONDS):
            async for message in stream:
                messages.append(message)
    except TimeoutError:
        stream.cancel()
    return messages


@asynccontextmanager
async def caller(stack: Stack):
    async with (
        grpc.aio.insecure_channel(f"127.0.0.1:{stack.service_port('usersvc')}") as users,
        grpc.aio.insecure_channel(f"127.0.0.1:{stack.service_port('keysvc')}") as keys,
    ):
        yield Caller(users, keys)


async def create_own_resources(portal_org: PortalOrganization, services: Caller) -> OwnIds:
    """Create a user and a group of the attacker."""
    user = await portal_org.create_person()
    request = groups_pb2.CreateGroupRequest(
        organization_id=portal_org.organization_id,
        group=groups_pb2.Group(display_name="own"),
        member_ids=[user.id],
    )
    channel = services._users
    group = await channel.unary_unary(
        "/cloudacademy.users.v1.GroupService/CreateGroup",
        groups_pb2.CreateGroupRequest.SerializeToString,
        groups_pb2.CreateGroupResponse.FromString,
    )(request)
    return OwnIds(portal_org.organization_id, user.id, group.group.id)


async def leaks(
    services: Caller, method: MethodDescriptor, requests: Iterable[Any], neighbour: Neighbour
) -> list[Any]:
    """Send requests; returns those whose responses leak.

    A response leaks if it contains the marker, or an id of the neighbour that the request lacks.
    """
    found = []
    for request in requests:
        sent = str(request)
        secret = [neighbour.marker, *(each for each in neighbour.ids if each not in sent)]
        responses = await services.responses(method, request)
        if any(each in response for each in secret for response in responses):
            found.append(request)
    return found


@pytest.fixture
async def neighbour(operate: Operator, tenant: Stack, scim: Client) -> Neighbour:
    return await create_neighbour(operate, tenant, scim)


def test_methods_across_organizations_are_listed_with_reason():
    found = {name(each) for each in METHODS if not _is_of_one_organization(each)}
    assert found == ACROSS.keys()


def test_text_fields_are_classified():
    fields = {
        path[-1]
        for each in METHODS
        if _is_of_one_organization(each)
        for path in text_fields(each.input_type)
    }
    assert fields - {*REFERENCES, *PLAIN} == set()


def _is_of_one_organization(method: MethodDescriptor) -> bool:
    field = method.input_type.fields_by_name.get("organization_id")
    return field is not None and field.containing_oneof is None


@pytest.mark.timeout(300)
async def test_no_rpc_reaches_another_organization(
    tenant: Stack, operate: Operator, neighbour: Neighbour
):
    methods = [each for each in METHODS if _is_of_one_organization(each)]
    before = await stored_rows(tenant, neighbour.organization_id)
    async with caller(tenant) as services:
        for method in methods:
            portal_org = await create_portal_organization(operate, tenant, "Attacker")
            own = await create_own_resources(portal_org, services)
            for request in hostile_requests(method, neighbour.known, own):
                assert await leaks(services, method, [request], neighbour) == []
                if method.name.startswith(WRITES):
                    members = await services.responses(*read_of_own_group(own))
                    assert neighbour.marker not in str(members), request
        assert await stored_rows(tenant, neighbour.organization_id) == before

        # The neighbour itself gets its data by the same requests, so the assertions above can fail.
        known = neighbour.known
        owner = OwnIds(neighbour.organization_id, known["user"], known["group"])
        reads = [each for each in methods if each.name.startswith(READS)]
        found = {
            name(each)
            for each in reads
            if await leaks(services, each, hostile_requests(each, known, owner), neighbour)
        }
    assert found == {name(each) for each in reads} - WITHOUT_TEXT


async def test_secret_with_wrong_organization_id_is_refused(
    tenant: Stack, operate: Operator, neighbour: Neighbour
):
    portal_org = await create_portal_organization(operate, tenant, "Attacker")
    link = await portal_org.create_link_token()
    mixed = f"{link.partition('.')[0]}.{neighbour.known['link'].partition('.')[2]}"
    before = await stored_rows(tenant, neighbour.organization_id)

    for token in (mixed, f"{uuid4()}.{link.partition('.')[2]}"):
        for call, request in (
            (operate.sessions.GetSignInLink, sessions_pb2.GetSignInLinkRequest(token=token)),
            (operate.sessions.SignInWithLink, sessions_pb2.SignInWithLinkRequest(token=token)),
            (operate.sessions.GetSession, sessions_pb2.GetSessionRequest(session_token=token)),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(request)
            assert neighbour.marker not in str(refused.value)
        await operate.sessions.EndSession(sessions_pb2.EndSessionRequest(session_token=token))
    assert await stored_rows(tenant, neighbour.organization_id) == before
