"""Names and attributes of people, as the pages show them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cloudacademy.users.v1.schemas_pb2 import Extension
from cloudacademy.users.v1.schemas_pb2 import Value as ExtensionValue
from cloudacademy.users.v1.users_pb2 import TypedValue, User
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from gateway.portal.models.log.rows import attribute

_OMITTED = frozenset(
    {
        "id",
        "organization_id",
        "etag",
        "create_time",
        "update_time",
        "groups",
        "more_groups",
        "extensions",
    }
)


@dataclass(frozen=True, slots=True)
class Value:
    """One value of an attribute, under its SCIM name."""

    attribute: str
    value: str


def display_name_of(user: User) -> str:
    """The name to show: the displayName, else the name, else the userName."""
    parts = " ".join(part for part in (user.name.given_name, user.name.family_name) if part)
    return user.display_name or user.name.formatted or parts or user.user_name


def initials(name: str) -> str:
    """One or two initials of a name, or a question mark."""
    words = [word for word in name.replace("@", " ").replace(".", " ").split() if word[0].isalnum()]
    if not words:
        return "?"
    return (words[0][0] + (words[1][0] if len(words) > 1 else "")).upper()


def values(user: User) -> list[Value]:
    """All attributes with a value: core attributes in the order of the proto, then extensions."""
    found = [Value(name, text) for name, text in _values(user, "") if text]
    for urn, extension in sorted(user.extensions.items()):
        found += [Value(f"{urn}:{name}", text) for name, text in _extension_values(extension)]
    return found


def _extension_values(extension: Extension, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in sorted(extension.values.items()):
        yield from _extension_value(prefix + name, value)


def _extension_value(name: str, value: ExtensionValue) -> Iterator[tuple[str, str]]:
    match value.WhichOneof("kind"):
        case "parts":
            yield from _extension_values(value.parts, f"{name}.")
        case "list":
            for each in value.list.values:
                yield from _extension_value(name, each)
        case "boolean":
            yield name, "true" if value.boolean else "false"
        case kind if kind is not None:
            yield name, str(getattr(value, kind))


def _values(message: Message, prefix: str) -> Iterator[tuple[str, str]]:
    for field, value in message.ListFields():
        if not prefix and field.name in _OMITTED:
            continue
        yield from _value(attribute(prefix + field.name), prefix + field.name, field, value)


def _value(
    name: str, path: str, field: FieldDescriptor, value: object
) -> Iterator[tuple[str, str]]:
    if isinstance(value, Message):
        yield from _values(value, f"{path}.")
    elif isinstance(value, bool):
        yield name, "true" if value else "false"
    elif isinstance(value, str | int | float):
        yield name, str(value)
    elif isinstance(value, Sequence):
        yield from ((name, _element(each)) for each in value)
    else:
        yield name, ", ".join(sorted(map(str, value)))  # type: ignore[call-overload]


def _element(element: object) -> str:
    if isinstance(element, TypedValue):
        labels = [element.type, "primary" if element.primary else ""]
        text = element.value or element.display
        joined = ", ".join(label for label in labels if label)
        return f"{text} ({joined})" if joined else text
    if isinstance(element, Message):
        return ", ".join(str(value) for _, value in element.ListFields() if value is not True)
    return str(element)
