"""Uses the whole API with scim2-client, which checks responses against the discovered schemas."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import httpx2
import scim2_models as models
from scim2_client import SCIMClientException
from scim2_client.engines.httpx2 import SyncSCIMClient

TIMEOUT: Final = 30.0
ENTERPRISE_USER: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


@dataclass(slots=True)
class Walk:
    """A client with what it has discovered and created so far."""

    client: SyncSCIMClient
    name: str = field(default_factory=lambda: f"typed.{uuid4().hex}@corp.test")
    user: Any = None
    group: Any = None

    def model(self, name: str) -> Any:
        return self.client.get_resource_model(name)


def walk(url: str, token: str) -> list[tuple[str, str | None]]:
    """The operations by name, each with its error; None if the response is as expected."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx2.Client(base_url=url, headers=headers, timeout=TIMEOUT) as http:
        state = Walk(SyncSCIMClient(http))
        return [(name, _error(step, state)) for name, step in STEPS.items()]


def _error(step: Callable[[Walk], None], state: Walk) -> str | None:
    try:
        step(state)
    except (AssertionError, AttributeError, SCIMClientException, models.SCIMException) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _discover(walk: Walk) -> None:
    walk.client.discover()
    assert {each.name for each in walk.client.provider.resource_types} >= {"User", "Group"}
    config = walk.client.provider.config
    assert config is not None
    assert config.patch is not None
    assert config.patch.supported


def _read_discovery(walk: Walk) -> None:
    for model in (models.Schema, models.ResourceType):
        listed = walk.client.query(model).resources
        assert listed
        for each in listed:
            assert walk.client.query(model, each.id).id == each.id


def _create_user(walk: Walk) -> None:
    user = walk.model("User")(
        user_name=walk.name,
        display_name="Typed",
        name={"familyName": "Li", "givenName": "Ann"},
        emails=[{"value": walk.name, "type": "work", "primary": True}],
        active=True,
    )
    walk.user = walk.client.create(user)
    walk.client.create(walk.model("User")(user_name=f"other.{walk.name}"))
    assert walk.user.id
    assert walk.user.user_name == walk.name


def _read_user(walk: Walk) -> None:
    assert walk.client.query(walk.model("User"), walk.user.id) == walk.user


def _query_users(walk: Walk) -> None:
    for filter_ in (f'userName eq "{walk.name}"', f'emails[value eq "{walk.name}"]'):
        parameters = models.SearchRequest(filter=filter_, count=10, sort_by="userName")
        found = walk.client.query(walk.model("User"), query_parameters=parameters)
        assert [each.id for each in found.resources or []] == [walk.user.id]


def _query_attributes(walk: Walk) -> None:
    parameters = models.SearchRequest(
        filter=f'userName eq "{walk.name}"', attributes=["displayName"]
    )
    [found] = walk.client.query(walk.model("User"), query_parameters=parameters).resources
    assert (found.display_name, found.user_name) == ("Typed", None)


def _page_users(walk: Walk) -> None:
    pages = [
        walk.client.query(
            walk.model("User"), query_parameters=models.SearchRequest(start_index=start, count=1)
        )
        for start in (1, 2)
    ]
    assert all(len(page.resources) == page.items_per_page == 1 for page in pages)
    assert pages[0].resources[0].id != pages[1].resources[0].id


def _search_users(walk: Walk) -> None:
    request = models.SearchRequest(filter=f'userName eq "{walk.name}"')
    assert walk.client.search(walk.model("User"), request).total_results == 1


def _search_everything(walk: Walk) -> None:
    request = models.SearchRequest(filter=f'displayName eq "{walk.group.display_name}"')
    [found] = walk.client.search(request).resources
    assert found.id == walk.group.id


def _replace_user(walk: Walk) -> None:
    walk.user.title = "Engineer"
    walk.user.display_name = None
    walk.user = walk.client.replace(walk.user)
    assert (walk.user.title, walk.user.display_name) == ("Engineer", None)


def _modify_user(walk: Walk) -> None:
    walk.user = _modified(
        walk,
        walk.user,
        models.PatchOperation(op="add", path="nickName", value="Annie"),
        models.PatchOperation(op="replace", path="active", value=False),
        models.PatchOperation(op="replace", path='emails[type eq "work"].value', value="a@b.test"),
        models.PatchOperation(op="remove", path="title"),
    )
    user = walk.user
    assert (user.nick_name, user.active, user.title) == ("Annie", False, None)
    assert [each.value for each in user.emails] == ["a@b.test"]


def _modify_extension(walk: Walk) -> None:
    model = walk.model("User")
    path = f"{ENTERPRISE_USER}:department"
    operation = models.PatchOperation(op="add", path=path, value="Research")
    walk.user = _modified(walk, walk.user, operation)
    extension = next(
        each for each in model.get_extension_models().values() if "department" in each.model_fields
    )
    assert walk.user[extension].department == "Research"


def _modified(walk: Walk, resource: Any, *operations: Any) -> Any:
    model = type(resource)
    message = models.PatchOp[model](operations=list(operations))  # type: ignore[valid-type]
    return walk.client.modify(model, resource.id, message)


def _create_group(walk: Walk) -> None:
    group = walk.model("Group")(
        display_name=f"Typed {uuid4().hex}", members=[{"value": walk.user.id, "type": "User"}]
    )
    walk.group = walk.client.create(group)
    assert [each.value for each in walk.group.members] == [walk.user.id]


def _modify_group(walk: Walk) -> None:
    removed = models.PatchOperation(op="remove", path=f'members[value eq "{walk.user.id}"]')
    assert not _modified(walk, walk.group, removed).members
    value = [{"value": walk.user.id}]
    added = models.PatchOperation(op="add", path="members", value=value)
    walk.group = _modified(walk, walk.group, added)
    assert [each.value for each in walk.group.members] == [walk.user.id]


def _replace_group(walk: Walk) -> None:
    walk.group.members = None
    walk.group = walk.client.replace(walk.group)
    assert not walk.group.members


def _bulk(walk: Walk) -> None:
    user, group = walk.model("User"), walk.model("Group")
    request = models.BulkRequest[user | group](
        operations=[
            models.BulkOperation[group](
                method="POST",
                bulk_id="group",
                path="/Groups",
                data=group(display_name=f"Typed {uuid4().hex}", members=[{"value": "bulkId:user"}]),
            ),
            models.BulkOperation[user](
                method="POST",
                bulk_id="user",
                path="/Users",
                data=user(user_name=f"bulk.{walk.name}"),
            ),
        ]
    )
    created = walk.client.bulk(request).operations
    assert sorted(each.bulk_id for each in created) == ["group", "user"]
    assert [each.status for each in created] == [201, 201]
    base = str(walk.client.client.base_url).rstrip("/")
    deleted = walk.client.bulk(
        models.BulkRequest[user | group](
            operations=[
                models.BulkOperation[user](method="DELETE", path=each.location.removeprefix(base))
                for each in created
            ]
        )
    )
    assert [each.status for each in deleted.operations] == [204, 204]


def _conflict(walk: Walk) -> None:
    _refused(409, "uniqueness", lambda: walk.client.create(walk.model("User")(user_name=walk.name)))


def _invalid_filter(walk: Walk) -> None:
    def query() -> object:
        parameters = {"filter": "userName eq 'x'"}
        return walk.client.query(
            walk.model("User"), query_parameters=parameters, check_request_payload=False
        )

    _refused(400, "invalidFilter", query)


def _delete(walk: Walk) -> None:
    for resource in (walk.group, walk.user):
        walk.client.delete(type(resource), resource.id)
        query = _query_of(walk, resource)
        _refused(404, None, query)


def _query_of(walk: Walk, resource: Any) -> Callable[[], object]:
    return lambda: walk.client.query(type(resource), resource.id)


def _refused(status: int, scim_type: str | None, call: Callable[[], object]) -> None:
    try:
        call()
    except models.SCIMException as error:
        response = error.to_error()
        assert (response.status, response.scim_type) == (status, scim_type)
        assert response.detail
    else:
        raise AssertionError(f"the request should be refused with {status}")


STEPS: Final[dict[str, Callable[[Walk], None]]] = {
    "discovery": _discover,
    "schemas and resource types, one by one": _read_discovery,
    "create a user": _create_user,
    "read a user": _read_user,
    "query users by a filter, sorted": _query_users,
    "query some attributes": _query_attributes,
    "create a group": _create_group,
    "page through users": _page_users,
    "search users": _search_users,
    "search all types": _search_everything,
    "replace a user": _replace_user,
    "modify a user": _modify_user,
    "modify an extension": _modify_extension,
    "modify a group": _modify_group,
    "replace a group": _replace_group,
    "bulk with references": _bulk,
    "a second user with the userName": _conflict,
    "a filter in single quotes": _invalid_filter,
    "delete": _delete,
}
"""The operations in the order in which they depend on each other."""
