"""Users of one organization do not exist for another organization."""

from cloudacademy.errors.v1.errors_pb2 import Reason
from cloudacademy.users.v1.users_pb2 import ListUsersResponse, TypedValue
from grpc import StatusCode

from tests.support.usersvc.user_calls import (
    GLOBEX,
    compare,
    create,
    delete,
    element,
    get,
    list_users,
    negation,
    refused,
    update,
)


def not_found(user_id: str):
    return refused(Reason.REASON_USER_NOT_FOUND, StatusCode.NOT_FOUND, user_id=user_id)


async def test_user_of_another_organization_is_not_found(users):
    ann = await create(users, "ann")
    with not_found(ann.id):
        await get(users, ann.id, organization_id=GLOBEX)
    with not_found(ann.id):
        await update(users, ann.id, organization_id=GLOBEX, title="x")
    with not_found(ann.id):
        await update(users, ann.id, organization_id=GLOBEX, etag=ann.etag, title="x")
    with not_found(ann.id):
        await delete(users, ann.id, organization_id=GLOBEX)
    with not_found(ann.id):
        await delete(users, ann.id, organization_id=GLOBEX, etag=ann.etag)
    assert await get(users, ann.id) == ann


async def test_user_name_may_be_used_in_every_organization(users):
    await create(users, "ann")
    assert (await create(users, "ann", organization_id=GLOBEX)).organization_id == GLOBEX


async def test_filter_never_finds_users_of_another_organization(users):
    ann = await create(users, "ann", external_id="x", emails=[TypedValue(value="a", type="work")])
    filters = [
        None,
        compare("id", "EQUAL", ann.id),
        compare("user_name", "EQUAL", "ann"),
        compare("user_name", "STARTS_WITH", "a"),
        compare("external_id", "EQUAL", "x"),
        compare("emails.value", "EQUAL", "a"),
        element("emails", compare("value", "EQUAL", "a")),
        negation(compare("user_name", "EQUAL", "bob")),
    ]
    for filter_ in filters:
        page = await list_users(users, filter_, organization_id=GLOBEX, count_total=True)
        assert page == ListUsersResponse()
        page = await list_users(users, filter_, count_total=True)
        assert page == ListUsersResponse(users=[ann], total_size=1)


async def test_page_token_of_another_organization_is_refused(users):
    for name in ("ann", "bob"):
        await create(users, name)
        await create(users, name, organization_id=GLOBEX)
    token = (await list_users(users, page_size=1)).next_page_token
    with refused(Reason.REASON_INVALID_PAGE_TOKEN, StatusCode.INVALID_ARGUMENT):
        await list_users(users, page_size=1, page_token=token, organization_id=GLOBEX)
