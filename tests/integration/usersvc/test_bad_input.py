"""Invalid requests over TLS: each has its own status and reason."""

from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import timedelta
from uuid import uuid4

import grpc
import pytest
from cloudacademy.errors.v1.errors_pb2 import Reason
from cloudacademy.users.v1 import changes_pb2
from cloudacademy.users.v1.changes_pb2_grpc import ChangeServiceStub
from cloudacademy.users.v1.users_pb2 import (
    BatchGetUsersRequest,
    LookupUsersRequest,
    TypedValue,
    UserKey,
)
from cloudacademy.users.v1.users_pb2_grpc import UserServiceStub
from google.rpc import error_details_pb2
from grpc import StatusCode
from grpc_status import rpc_status

from chassis.rpc.channel import MAX_MESSAGE_BYTES
from chassis.rpc.status import from_rpc_error
from tests.support.chassis.authorities import Authority
from tests.support.postgres import Template
from tests.support.usersvc.group_calls import (
    change_members,
    create_group,
    delete_group,
    list_groups,
    list_members,
    update_group,
)
from tests.support.usersvc.serving import UNLIMITED, UsersvcProcess, usersvc_process
from tests.support.usersvc.user_calls import (
    Caught,
    compare,
    create,
    delete,
    get,
    invalid_field,
    list_users,
    refused,
    update,
)

MALFORMED_TOKENS = ("x", "AAAA", "\u00e9", "a" * 10_000)


@pytest.fixture(scope="module")
def service(
    templates: Mapping[str, Template], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[UsersvcProcess]:
    with (
        templates["usersvc"].database() as url,
        usersvc_process(url, tmp_path_factory.mktemp("tls")) as running,
    ):
        yield running


@pytest.fixture
async def channel(service: UsersvcProcess) -> AsyncIterator[grpc.aio.Channel]:
    """The gateway's channel, which may call every method."""
    async with service.channel("gateway") as channel:
        yield channel


@pytest.fixture
def organization() -> str:
    """A new organization for the test."""
    return str(uuid4())


def invalid_token():
    return refused(Reason.REASON_INVALID_PAGE_TOKEN, StatusCode.INVALID_ARGUMENT)


def etag_mismatch(current: str):
    return refused(Reason.REASON_ETAG_MISMATCH, StatusCode.ABORTED, etag=current)


def violations(caught: Caught) -> list[str]:
    """The fields that the refusal lists."""
    bad_request = error_details_pb2.BadRequest()
    for detail in rpc_status.from_call(caught.error).details:
        detail.Unpack(bad_request)
    return [violation.field for violation in bad_request.field_violations]


async def transport_status(call) -> StatusCode:
    """The status of a call that the transport ended before the service; it has no reason."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert from_rpc_error(caught.value).reason == ""
    return caught.value.code()


# --- the organization ---------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "acme", "018f6d2e00007000800000000000000a"])
async def test_missing_or_invalid_organization_id_is_refused(users, groups, text):
    calls = [
        get(users, str(uuid4()), organization_id=text),
        list_users(users, organization_id=text),
        create(users, "ann", text),
        list_groups(groups, organization_id=text),
        create_group(groups, "team", organization_id=text),
    ]
    for call in calls:
        with invalid_field("organization_id") as caught:
            await call
        assert violations(caught) == ["organization_id"]


async def test_other_organization_finds_nothing(users, organization):
    ann = await create(users, "ann", organization)
    with refused(Reason.REASON_USER_NOT_FOUND, StatusCode.NOT_FOUND, user_id=ann.id):
        await get(users, ann.id, organization_id=str(uuid4()))


# --- update masks -------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["titel", "userName", "id", "name.given_name.first"])
async def test_user_mask_with_unknown_path_is_refused(users, organization, path):
    ann = await create(users, "ann", organization)
    with refused(Reason.REASON_UNKNOWN_FIELD, StatusCode.INVALID_ARGUMENT, field=path) as caught:
        await update(users, ann.id, "title", path, organization_id=organization, title="x")
    assert violations(caught) == ["update_mask"]
    assert await get(users, ann.id, organization) == ann


async def test_group_mask_with_unknown_path_is_refused(groups, organization):
    team = await create_group(groups, "team", organization_id=organization)
    with refused(
        Reason.REASON_UNKNOWN_FIELD, StatusCode.INVALID_ARGUMENT, field="members"
    ) as caught:
        await update_group(groups, team.id, "members", organization_id=organization)
    assert violations(caught) == ["update_mask"]


# --- pages --------------------------------------------------------------------------------


@pytest.mark.parametrize("token", MALFORMED_TOKENS)
async def test_malformed_page_token_is_refused(users, groups, organization, token):
    team = await create_group(groups, "team", organization_id=organization)
    calls = [
        list_users(users, organization_id=organization, page_token=token),
        list_groups(groups, organization_id=organization, page_token=token),
        list_members(groups, team.id, organization, page_token=token),
    ]
    for call in calls:
        with invalid_token() as caught:
            await call
        assert violations(caught) == ["page_token"]


async def test_page_token_of_another_organization_is_refused(users, organization):
    other_organization = str(uuid4())
    for each in (organization, other_organization):
        await create(users, "ann", each)
        await create(users, "bob", each)
    page = await list_users(users, organization_id=other_organization, page_size=1)
    with invalid_token():
        await list_users(
            users, organization_id=organization, page_size=1, page_token=page.next_page_token
        )


async def test_page_token_of_another_query_is_refused(users, organization):
    for name in ("ann", "bob"):
        await create(users, name, organization)
    page = await list_users(users, organization_id=organization, page_size=1)
    other_queries = [
        {"order_by": "user_name"},
        {"filter": compare("user_name", "STARTS_WITH", "a")},
    ]
    for other in other_queries:
        with invalid_token():
            await list_users(
                users,
                organization_id=organization,
                page_size=1,
                page_token=page.next_page_token,
                **other,
            )


async def test_page_size_above_maximum_is_capped(users, organization):
    for name in ("ann", "bob"):
        await create(users, name, organization)
    page = await list_users(users, organization_id=organization, page_size=2**31 - 1)
    assert [user.user_name for user in page.users] == ["ann", "bob"]


async def test_negative_page_size_is_refused(users, groups, organization):
    calls = [
        list_users(users, organization_id=organization, page_size=-1),
        list_groups(groups, organization_id=organization, page_size=-1),
        list_members(groups, str(uuid4()), organization, page_size=-1),
    ]
    for call in calls:
        with invalid_field("page_size") as caught:
            await call
        assert violations(caught) == ["page_size"]


async def test_group_and_member_pages_survive_creates_and_deletes(users, groups, organization):
    teams = [await create_group(groups, f"t{n}", organization_id=organization) for n in range(4)]
    page = await list_groups(groups, organization_id=organization, page_size=2)
    await delete_group(groups, teams[1].id, organization_id=organization)
    late = await create_group(groups, "late", organization_id=organization)
    rest = await list_groups(groups, organization_id=organization, page_token=page.next_page_token)
    assert list(rest.groups) == [*teams[2:], late]

    ids = [(await create(users, f"u{n}", organization)).id for n in range(4)]
    await change_members(groups, late.id, add=ids[:3], organization_id=organization)
    page = await list_members(groups, late.id, organization, page_size=2)
    await change_members(
        groups, late.id, remove=ids[1:2], add=ids[3:], organization_id=organization
    )
    rest = await list_members(groups, late.id, organization, page_token=page.next_page_token)
    assert [member.id for member in rest.members] == ids[2:]


# --- etags --------------------------------------------------------------------------------


async def test_stale_user_etag_is_refused_with_the_current_etag(users, organization):
    ann = await create(users, "ann", organization)
    await update(users, ann.id, organization_id=organization, title="x")
    with etag_mismatch("2"):
        await update(users, ann.id, etag=ann.etag, organization_id=organization, title="y")
    with etag_mismatch("2"):
        await delete(users, ann.id, ann.etag, organization)


async def test_stale_group_etag_is_refused_with_the_current_etag(groups, organization):
    team = await create_group(groups, "team", organization_id=organization)
    await update_group(groups, team.id, organization_id=organization, display_name="crew")
    with etag_mismatch("2"):
        await update_group(
            groups, team.id, etag=team.etag, organization_id=organization, display_name="x"
        )
    with etag_mismatch("2"):
        await delete_group(groups, team.id, team.etag, organization)


# --- callers ------------------------------------------------------------------------------


async def test_caller_without_permission_is_refused_by_name(service, users, organization):
    ann = await create(users, "ann", organization)
    async with service.channel("billing") as channel:
        as_billing = UserServiceStub(channel)
        assert await get(as_billing, ann.id, organization) == ann
        with refused(
            Reason.REASON_CALLER_NOT_ADMITTED,
            StatusCode.PERMISSION_DENIED,
            caller="billing",
            method="/cloudacademy.users.v1.UserService/DeleteUser",
        ):
            await delete(as_billing, ann.id, organization_id=organization)
    assert await get(users, ann.id, organization) == ann


@pytest.mark.parametrize("name", ["billing", "entitlement", "search", "email"])
async def test_reader_of_users_may_also_batch_read_users(service, users, organization, name):
    ann = await create(users, "ann", organization)
    async with service.channel(name) as channel:
        reader = UserServiceStub(channel)
        batch = await reader.BatchGetUsers(
            BatchGetUsersRequest(organization_id=organization, user_ids=[ann.id])
        )
        found = await reader.LookupUsers(
            LookupUsersRequest(organization_id=organization, keys=[UserKey(user_name="ANN")])
        )
    assert (list(batch.users), list(found.matches[0].users)) == ([ann], [ann])


async def test_caller_that_watches_one_organization_may_not_watch_all(service, organization):
    async with service.channel("billing") as channel:
        stub = ChangeServiceStub(channel)
        one = stub.WatchChanges(changes_pb2.WatchChangesRequest(organization_id=organization))
        assert (await one.read()).token
        method = "/cloudacademy.users.v1.ChangeService/WatchAllChanges"
        with refused(
            Reason.REASON_CALLER_NOT_ADMITTED,
            StatusCode.PERMISSION_DENIED,
            caller="billing",
            method=method,
        ):
            await stub.WatchAllChanges(changes_pb2.WatchAllChangesRequest()).read()
    async with service.channel("search") as channel:
        every = ChangeServiceStub(channel).WatchAllChanges(changes_pb2.WatchAllChangesRequest())
        assert (await every.read()).token


async def test_expired_certificate_gets_no_connection(service, organization):
    async with service.channel("gateway", life=-timedelta(seconds=1)) as channel:
        call = list_users(UserServiceStub(channel), organization_id=organization)
        assert await transport_status(call) == StatusCode.UNAVAILABLE


async def test_certificate_of_unknown_authority_gets_no_connection(service, organization):
    async with service.channel("gateway", Authority("elsewhere")) as channel:
        call = list_users(UserServiceStub(channel), organization_id=organization)
        assert await transport_status(call) == StatusCode.UNAVAILABLE


async def test_caller_without_certificate_gets_no_connection(service, organization):
    credentials = grpc.ssl_channel_credentials(service.authority.pem)
    async with grpc.aio.secure_channel(service.target, credentials) as channel:
        call = list_users(UserServiceStub(channel), organization_id=organization)
        assert await transport_status(call) == StatusCode.UNAVAILABLE


# --- messages -----------------------------------------------------------------------------


async def test_request_over_size_limit_is_refused_without_disconnect(service, organization):
    async with service.plain_channel("gateway", UNLIMITED) as channel:
        users = UserServiceStub(channel)
        call = create(users, "ann", organization, title="x" * (MAX_MESSAGE_BYTES + 1))
        assert await transport_status(call) == StatusCode.RESOURCE_EXHAUSTED
        assert list((await list_users(users, organization_id=organization)).users) == []


async def test_response_over_client_limit_is_refused_by_client(service, users, organization):
    # The largest possible user: characters outside ASCII take up to four bytes.
    large = [TypedValue(display="\U0001f600" * 2_040)] * 514
    ann = await create(users, "ann", organization, emails=large)
    assert (await get(users, ann.id, organization)).ByteSize() > 4 * 1024 * 1024
    async with service.plain_channel("billing") as channel:
        call = get(UserServiceStub(channel), ann.id, organization)
        assert await transport_status(call) == StatusCode.RESOURCE_EXHAUSTED
    async with service.plain_channel("billing", UNLIMITED) as channel:
        assert await get(UserServiceStub(channel), ann.id, organization) == ann


async def test_unknown_method_is_unimplemented(channel):
    call = channel.unary_unary("/cloudacademy.users.v1.UserService/Nothing")(b"", timeout=5)
    assert await transport_status(call) == StatusCode.UNIMPLEMENTED
