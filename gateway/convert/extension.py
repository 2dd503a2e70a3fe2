"""Converts a user's values of custom schemas to protobuf messages and back.

A custom schema is an extension that an organization defined for itself.
"""

from collections.abc import Mapping
from typing import Any

from cloudacademy.users.v1 import schemas_pb2 as pb

from gateway.scim.schema import USER, Attribute, AttributePath, ResourceType, Type
from gateway.scim.values import Json, date_time

Attributes = Mapping[str, Attribute]


def is_custom(path: AttributePath) -> bool:
    """Whether an attribute belongs to a custom schema."""
    return path.extension is not None and USER.extension_urn(path.extension) is None


def to_extensions(resource: Mapping[str, Any], user_type: ResourceType) -> dict[str, pb.Extension]:
    """The values of a canonical SCIM User for custom schemas, by the URN of the schema."""
    return {
        schema.urn: _to_extension(schema.attributes, resource[schema.urn])
        for schema in user_type.custom
        if resource.get(schema.urn)
    }


def _to_extension(attributes: Attributes, values: Mapping[str, Json]) -> pb.Extension:
    return pb.Extension(
        values={name: _to_value(attributes[name.lower()], each) for name, each in values.items()}
    )


def _to_value(attribute: Attribute, value: Json) -> pb.Value:
    if isinstance(value, list):
        return pb.Value(list=pb.ValueList(values=[_to_single(attribute, each) for each in value]))
    return _to_single(attribute, value)


def _to_single(attribute: Attribute, value: Json) -> pb.Value:
    match attribute.type:
        case Type.BOOLEAN:
            return pb.Value(boolean=value)
        case Type.INTEGER:
            return pb.Value(integer=value)
        case Type.DECIMAL:
            return pb.Value(decimal=value)
        case Type.COMPLEX:
            return pb.Value(parts=_to_extension(attribute.sub_attributes, value))
        case Type.DATE_TIME:
            return pb.Value(text=_zoned(value))
        case _:
            return pb.Value(text=value)


def _zoned(text: str) -> str:
    """Add Z to a time without a zone, which means UTC: RFC 3339 requires a zone."""
    moment = date_time(f"{text}Z")
    return text if moment is None else f"{text}Z"


def from_extensions(
    extensions: Mapping[str, pb.Extension], user_type: ResourceType
) -> dict[str, Any]:
    """The values by the URN of their schema, in the order of the type's schemas.

    Values of schemas that the type does not have are left out.
    """
    return {
        schema.urn: found
        for schema in user_type.custom
        if schema.urn in extensions
        and (found := _from_extension(schema.attributes, extensions[schema.urn]))
    }


def _from_extension(attributes: Attributes, extension: pb.Extension) -> dict[str, Json]:
    return {
        each.name: _from_value(each, extension.values[each.name])
        for each in attributes.values()
        if each.name in extension.values
    }


def _from_value(attribute: Attribute, value: pb.Value) -> Json:
    match value.WhichOneof("kind"):
        case "list":
            return [_from_value(attribute, each) for each in value.list.values]
        case "parts":
            return _from_extension(attribute.sub_attributes, value.parts)
        case "boolean":
            return value.boolean
        case "integer":
            return value.integer
        case "decimal":
            return value.decimal
        case _:
            return value.text
