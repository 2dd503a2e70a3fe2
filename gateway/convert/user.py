"""Converts SCIM users to protobuf messages and back; decides nothing.

A protobuf field has the name of the SCIM attribute in snake_case. The tables below are built from
the messages and the schemas when the module is imported.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from cloudacademy.users.v1 import users_pb2 as pb
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.convert.extension import from_extensions, to_extensions
from gateway.scim.schema import ENTERPRISE_USER_URN, REFERENCE, USER, AttributePath, ResourceType

Resource = dict[str, Any]

_WORD_START: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# No user has another id. Of text that is no id, `$ref` would not even be a URI.
_USER_ID: Final = re.compile(r"[0-9A-Fa-f-]{36}")
_EXTENSION_FIELDS: Final = {ENTERPRISE_USER_URN: "enterprise"}
_COMMON_FIELDS: Final = {
    ("meta", "created"): "create_time",
    ("meta", "lastmodified"): "update_time",
}


def snake_case(name: str) -> str:
    """`phoneNumbers` → `phone_numbers`, `x509Certificates` → `x509_certificates`."""
    return _WORD_START.sub("_", name).lower()


def field_name(path: AttributePath) -> str | None:
    """The protobuf field of an attribute, such as `name.given_name`; None if there is none."""
    if path.target.name == REFERENCE:  # derived from the value
        return None
    if path.text == "members.type":
        return "members.kind"
    names = [path.attribute.name]
    if path.sub_attribute is not None:
        names.append(path.sub_attribute.name)
    if path.extension is None and names[0] == "meta":
        return _COMMON_FIELDS.get(("meta", names[-1].lower()))
    if path.extension is not None:
        extension = _EXTENSION_FIELDS.get(path.extension)
        if extension is None:
            return path.text  # custom attribute: same name in protobuf
        return ".".join([extension, *map(snake_case, names)])
    return ".".join(map(snake_case, names))


# SCIM → protobuf. The constructors of messages accept nested dicts, so only names change.


def to_user(resource: Resource, user_type: ResourceType) -> pb.User:
    """Convert a canonical SCIM User to a message; attributes without a field are left out."""
    extensions = to_extensions(resource, user_type)
    return pb.User(**_renamed(resource, _TO_USER), extensions=extensions)


Descriptor = Any  # the type depends on the implementation of protobuf
_Table = Mapping[str, tuple[str, Any]]


def _to_table(descriptor: Descriptor, names: Mapping[str, str]) -> _Table:
    """SCIM name → (field name, the table of its message, or None for a scalar)."""
    return {
        scim: (field, _nested_to_table(descriptor, field))
        for scim, field in names.items()
        if field in descriptor.fields_by_name
    }


def _nested_to_table(descriptor: Descriptor, field: str) -> _Table | None:
    message = descriptor.fields_by_name[field].message_type
    if message is None:
        return None
    return _to_table(message, {_camel(name): name for name in message.fields_by_name})


def _camel(field: str) -> str:
    head, *rest = field.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _renamed(resource: Resource, table: _Table) -> dict[str, Any]:
    renamed = {}
    for name, value in resource.items():
        entry = table.get(name)
        if entry is None:
            continue
        field, nested = entry
        if nested is None:
            renamed[field] = value
        elif isinstance(value, list):
            renamed[field] = [_renamed(item, nested) for item in value]
        else:
            renamed[field] = _renamed(value, nested)
    return renamed


_USER_NAMES: Final = {
    attribute.name: snake_case(attribute.name)
    for attribute in USER.schema.attributes.values()
    if attribute.name != "groups"
} | {ENTERPRISE_USER_URN: "enterprise"}
_TO_USER: Final = _to_table(pb.User.DESCRIPTOR, _USER_NAMES)


def from_assignments(
    assignments: Mapping[AttributePath, object],
) -> tuple[pb.User, list[str]]:
    """Convert assignments to single-valued attributes to a message and its update mask.

    A value of None clears the attribute.
    """
    resource: Resource = {}
    for path, value in assignments.items():
        if value is not None:
            _set(resource, path, value)
    return to_user(resource, USER), [_stored_field(path) for path in assignments]


def _set(resource: Resource, path: AttributePath, value: object) -> None:
    holder = resource
    if path.extension is not None:
        holder = holder.setdefault(path.extension, {})
    if path.sub_attribute is not None:
        holder = holder.setdefault(path.attribute.name, {})
    holder[path.target.name] = value


def _stored_field(path: AttributePath) -> str:
    name = field_name(path)
    if name is None:  # an attribute that the internal API does not have
        raise LookupError(f"{path} has no field")
    return name


def clearable_fields(scim_names: Iterable[str], user_type: ResourceType) -> list[str]:
    """The protobuf fields of top-level SCIM names; names without a field are left out."""
    fields = {name: field for name, (field, _) in _TO_USER.items()}
    fields.update({schema.urn: schema.urn for schema in user_type.custom})
    return [fields[name] for name in scim_names if name in fields]


def user_fields(user_type: ResourceType) -> list[str]:
    """Every field of a user that a client may write."""
    return [
        *(field for field, _ in _TO_USER.values()),
        *(each.urn for each in user_type.custom),
    ]


# Protobuf → SCIM. Only fields that have a value are visited.

_Reader = Callable[[Any], Any]


def from_user(user: pb.User, base_url: str, user_type: ResourceType) -> Resource:
    """Convert a message to a canonical SCIM User with `id`, `schemas` and `meta`."""
    resource: Resource = {"schemas": [USER.schema.urn], "id": user.id}
    for descriptor, value in user.ListFields():
        entry = _FROM_USER.get(descriptor.name)
        if entry is not None:
            name, reader = entry
            resource[name] = reader(value)
    if ENTERPRISE_USER_URN in resource:
        _finish_enterprise(resource, base_url)
    if user.extensions:
        extensions = from_extensions(user.extensions, user_type)
        resource["schemas"] += extensions
        resource.update(extensions)
    if user.groups:
        resource["groups"] = [_membership(group, base_url) for group in user.groups]
    resource["meta"] = meta(user, base_url)
    return resource


def meta(user: pb.User, base_url: str) -> Resource:
    """The `meta` of a user."""
    return {
        "resourceType": "User",
        "created": timestamp_text(user.create_time),
        "lastModified": timestamp_text(user.update_time),
        "version": etag_header(user.etag),
        "location": f"{base_url}/Users/{user.id}",
    }


def _membership(group: pb.GroupMembership, base_url: str) -> Resource:
    """A group of a user (RFC 7643 section 4.1.2)."""
    return {
        "value": group.group_id,
        "$ref": f"{base_url}/Groups/{group.group_id}",
        "display": group.display_name,
        "type": "direct" if group.direct else "indirect",
    }


def etag_header(etag: str) -> str:
    """The value of an ETag header. It is weak: two responses of a version may differ in bytes."""
    return f'W/"{etag}"'


def timestamp_text(timestamp: Timestamp) -> str:
    """A timestamp in the form of RFC 7643 section 2.3.5, with the stored microseconds."""
    moment = datetime.fromtimestamp(timestamp.seconds, UTC)
    return f"{moment.isoformat()[:19]}.{timestamp.nanos // 1000:06d}Z"


def _finish_enterprise(resource: Resource, base_url: str) -> None:
    extension = resource[ENTERPRISE_USER_URN]
    if not extension:
        del resource[ENTERPRISE_USER_URN]
        return
    resource["schemas"].append(ENTERPRISE_USER_URN)
    manager = extension.get("manager")
    if manager is not None and _USER_ID.fullmatch(manager["value"]):
        manager["$ref"] = f"{base_url}/Users/{manager['value']}"


def _from_table(table: _Table, descriptor: Descriptor) -> dict[str, tuple[str, _Reader]]:
    return {
        field: (scim, _reader(descriptor, field, nested)) for scim, (field, nested) in table.items()
    }


def _reader(descriptor: Descriptor, field: str, nested: _Table | None) -> _Reader:
    if nested is None:
        return _same
    message = descriptor.fields_by_name[field].message_type
    names = _from_table(nested, message)

    def read(value: Message) -> Resource:
        return {names[part.name][0]: names[part.name][1](item) for part, item in value.ListFields()}

    if descriptor.fields_by_name[field].is_repeated:
        return lambda values: [read(value) for value in values]
    return read


def _same(value: object) -> object:
    return value


_FROM_USER: Final = _from_table(_TO_USER, pb.User.DESCRIPTOR)
