"""Short forms of the calls of the UserService, and of the refusals that tests expect."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
from cloudacademy.errors.v1.errors_pb2 import Reason
from cloudacademy.users.v1 import filter_pb2, users_pb2
from cloudacademy.users.v1.users_pb2_grpc import UserServiceStub
from google.protobuf.field_mask_pb2 import FieldMask

from chassis.rpc.status import RpcStatus, from_rpc_error

ACME = "018f6d2e-0000-7000-8000-00000000000a"
GLOBEX = "018f6d2e-0000-7000-8000-00000000000b"
NOBODY = "018f6d2e-0000-7000-8000-000000000000"


async def create(
    stub: UserServiceStub, user_name: str, organization_id: str = ACME, **fields: object
) -> users_pb2.User:
    user = users_pb2.User(user_name=user_name, **fields)
    request = users_pb2.CreateUserRequest(organization_id=organization_id, user=user)
    return (await stub.CreateUser(request)).user


async def get(stub: UserServiceStub, user_id: str, organization_id: str = ACME) -> users_pb2.User:
    request = users_pb2.GetUserRequest(organization_id=organization_id, user_id=user_id)
    return (await stub.GetUser(request)).user


async def update(
    stub: UserServiceStub,
    user_id: str,
    *mask: str,
    etag: str = "",
    organization_id: str = ACME,
    **fields: object,
) -> users_pb2.User:
    request = users_pb2.UpdateUserRequest(
        organization_id=organization_id,
        user=users_pb2.User(id=user_id, **fields),
        update_mask=FieldMask(paths=mask or tuple(fields)),
        etag=etag,
    )
    return (await stub.UpdateUser(request)).user


async def delete(
    stub: UserServiceStub, user_id: str, etag: str = "", organization_id: str = ACME
) -> None:
    await stub.DeleteUser(
        users_pb2.DeleteUserRequest(organization_id=organization_id, user_id=user_id, etag=etag)
    )


async def list_users(
    stub: UserServiceStub,
    filter: filter_pb2.Filter | None = None,  # noqa: A002 - the contract's name
    organization_id: str = ACME,
    **fields: object,
) -> users_pb2.ListUsersResponse:
    request = users_pb2.ListUsersRequest(organization_id=organization_id, filter=filter, **fields)
    return await stub.ListUsers(request)


async def user_names(
    stub: UserServiceStub,
    filter: filter_pb2.Filter,  # noqa: A002
    **fields: object,
) -> list[str]:
    """The names of the users that match a filter, in the order of creation."""
    response = await list_users(stub, filter, **fields)
    return [user.user_name for user in response.users]


async def list_pages(
    stub: UserServiceStub, page_size: int, **fields: object
) -> list[list[users_pb2.User]]:
    """All pages of a list."""
    pages, token = [], ""
    while True:
        page = await list_users(stub, page_size=page_size, page_token=token, **fields)
        pages.append(list(page.users))
        token = page.next_page_token
        if not token:
            return pages


def compare(field: str, operator: str, value: str | bool | object = None) -> filter_pb2.Filter:
    """`compare("user_name", "EQUAL", "ann")`; the type of the value selects the operand's field."""
    kinds = {str: "text", bool: "boolean", int: "integer", float: "decimal"}
    kind = kinds.get(type(value), "time")
    return filter_pb2.Filter(
        comparison=filter_pb2.Comparison(
            field=field,
            operator=filter_pb2.Operator.Value(f"OPERATOR_{operator}"),
            **{kind: value},
        )
    )


def present(field: str) -> filter_pb2.Filter:
    return filter_pb2.Filter(present=field)


def negation(inner: filter_pb2.Filter) -> filter_pb2.Filter:
    return filter_pb2.Filter(negation=inner)


def all_of(*filters: filter_pb2.Filter) -> filter_pb2.Filter:
    return filter_pb2.Filter(all_of=filter_pb2.AllOf(filters=filters))


def any_of(*filters: filter_pb2.Filter) -> filter_pb2.Filter:
    return filter_pb2.Filter(any_of=filter_pb2.AnyOf(filters=filters))


def element(field: str, inner: filter_pb2.Filter) -> filter_pb2.Filter:
    return filter_pb2.Filter(element=filter_pb2.ElementMatch(field=field, filter=inner))


@dataclass
class Caught:
    """The refusal that ended a block, and its gRPC error."""

    refusal: RpcStatus = field(init=False)
    error: grpc.aio.AioRpcError = field(init=False)


@contextmanager
def refused(reason: Reason, code: grpc.StatusCode, **metadata: str) -> Iterator[Caught]:
    """Assert that the block ends with exactly this refusal."""
    caught = Caught()
    try:
        yield caught
    except grpc.aio.AioRpcError as error:
        caught.error, caught.refusal = error, from_rpc_error(error)
        expected = (code, Reason.Name(reason).removeprefix("REASON_"), metadata)
        found = (error.code(), caught.refusal.reason, caught.refusal.metadata)
        assert found == expected, caught.refusal
        return
    raise AssertionError("the call was not refused")


@contextmanager
def invalid_field(name: str) -> Iterator[Caught]:
    """Assert that the block is refused because of one field of the request."""
    with refused(
        Reason.REASON_INVALID_FIELD, grpc.StatusCode.INVALID_ARGUMENT, field=name
    ) as caught:
        yield caught


async def list_identities(users) -> list[tuple[str, str]]:
    """The user name and external id of each user."""
    found = (await list_users(users)).users
    return [(user.user_name, user.external_id) for user in found]
