"""A model of an organization: what operations of bulk requests do, as far as results show it.

It has what makes the order of operations observable: unique user names, versions, members that are
removed with a deleted user, cycles of groups, filters by the names of members.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.scim.bulk import references
from gateway.scim.bulk.request import Operation
from gateway.scim.case_folding import fold
from tests.support.random_bulk_requests import GROUPS, MEMBERS, USER_NAMES, USERS

Outcome = tuple[int, int | None]
"""The status of an operation, and the version of the resource after it."""


@dataclass
class Resource:
    attributes: dict[str, Any]
    version: int = 1


@dataclass
class OrganizationModel:
    """The users and groups of an organization."""

    users: dict[str, Resource] = field(default_factory=dict)
    groups: dict[str, Resource] = field(default_factory=dict)
    created: dict[str, str] = field(default_factory=dict)
    """bulkId → id."""

    @classmethod
    def with_resources(cls) -> "OrganizationModel":
        """The organization before a request."""
        users = {
            each: Resource({"userName": name}) for each, name in zip(USERS, USER_NAMES, strict=True)
        }
        groups = {
            each: Resource({"displayName": each, "members": set(MEMBERS[each])}) for each in GROUPS
        }
        return cls(users, groups)

    def execute(self, operation: Operation) -> Outcome:
        """Execute an operation at once."""
        if operation.references - self.created.keys():
            return 400, None
        path = references.resolve_path(operation.path, self.created)
        data = references.resolve(operation.data or {}, self.created)
        _, endpoint, *ids = path.split("/")
        if ids:
            return self._change(operation, endpoint, ids[0], data)
        return self._create(operation, endpoint, data)

    def _change(
        self, operation: Operation, endpoint: str, resource_id: str, data: Mapping[str, Any]
    ) -> Outcome:
        resource = (self.users if endpoint == "Users" else self.groups).get(resource_id)
        if resource is None:
            return 404, None
        if operation.version not in (None, f'W/"{resource.version}"'):
            return 412, None
        if operation.method == "DELETE":
            return self._delete(resource_id)
        if endpoint == "Users":
            return self._change_user(resource_id, resource, operation, data)
        return self._change_group(resource_id, resource, operation, data)

    def _create(self, operation: Operation, endpoint: str, data: Mapping[str, Any]) -> Outcome:
        assert operation.creates is not None
        new_id = f"new-{operation.creates}"
        if endpoint == "Users":
            if self._is_taken(data["userName"], new_id):
                return 409, None
            self.users[new_id] = Resource(_user(data))
        else:
            self.groups[new_id] = Resource(_group(data))
        self.created[operation.creates] = new_id
        return 201, 1

    def _delete(self, resource_id: str) -> Outcome:
        for group in self.groups.values():
            if resource_id in group.attributes["members"]:
                group.attributes["members"].discard(resource_id)
                group.version += 1
        self.users.pop(resource_id, None)
        self.groups.pop(resource_id, None)
        return 204, None

    def _change_user(
        self, user_id: str, user: Resource, operation: Operation, data: Mapping[str, Any]
    ) -> Outcome:
        if operation.method == "PUT":
            wanted = _user(data)
        else:
            (change,) = data["Operations"]
            wanted = {**user.attributes, change["path"]: change["value"]}
        if self._is_taken(wanted["userName"], user_id):
            return 409, None
        return _write(user, wanted)

    def _change_group(
        self, group_id: str, group: Resource, operation: Operation, data: Mapping[str, Any]
    ) -> Outcome:
        if operation.method == "PUT":
            wanted = _group(data)
        else:
            (change,) = data["Operations"]
            wanted = self._patched(group, change)
        added = wanted["members"] - group.attributes["members"]
        if any(self._contains(each, group_id) for each in added):
            return 400, None
        return _write(group, wanted)

    def _patched(self, group: Resource, change: Mapping[str, Any]) -> dict[str, Any]:
        members = set(group.attributes["members"])
        ids = {each["value"] for each in change["value"]} if change["path"] == "members" else set()
        match change:
            case {"path": "displayName"}:
                return {**group.attributes, "displayName": change["value"]}
            case {"op": "add"}:
                members |= ids
            case {"path": "members"}:
                members -= ids
            case _:
                name = change["path"].split('"')[1]
                members = {each for each in members if self._display(each) != name}
        return {**group.attributes, "members": members}

    def _display(self, member_id: str) -> str | None:
        if member_id in self.groups:
            return self.groups[member_id].attributes["displayName"]
        user = self.users.get(member_id)
        if user is None:
            return None
        return user.attributes.get("displayName", user.attributes["userName"])

    def _is_taken(self, name: str, by_other_than: str) -> bool:
        return any(
            fold(user.attributes["userName"]) == fold(name)
            for user_id, user in self.users.items()
            if user_id != by_other_than
        )

    def _contains(self, member_id: str, group_id: str) -> bool:
        if member_id == group_id:
            return True
        group = self.groups.get(member_id)
        members = group.attributes["members"] if group else ()
        return any(self._contains(each, group_id) for each in members)


def _user(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name != "schemas"}


def _group(data: Mapping[str, Any]) -> dict[str, Any]:
    members = {each["value"] for each in data["members"]}
    return {"displayName": data["displayName"], "members": members}


def _write(resource: Resource, wanted: dict[str, Any]) -> Outcome:
    if wanted != resource.attributes:
        resource.attributes = wanted
        resource.version += 1
    return 200, resource.version
