"""JSON Schemas (2020-12, as in OpenAPI 3.1) of resources, generated from the SCIM schemas.

There are two schemas per resource type. A response contains the attributes that `attributes` and
`excludedAttributes` select, so few are required. A request has no read-only attributes. In a
request, null means unassigned, and unknown attributes are ignored.
"""

from collections.abc import Mapping
from typing import Any, Final

from gateway.scim.schema import Attribute, ResourceType, Schema, Type

Json = dict[str, Any]

_TYPES: Final[Mapping[Type, Json]] = {
    Type.STRING: {"type": "string"},
    Type.BOOLEAN: {"type": "boolean"},
    Type.DECIMAL: {"type": "number"},
    Type.INTEGER: {"type": "integer"},
    Type.DATE_TIME: {"type": "string", "format": "date-time"},
    Type.REFERENCE: {"type": "string"},
    Type.BINARY: {"type": "string", "contentEncoding": "base64"},
}
_URNS: Final[Json] = {"type": "array", "items": {"type": "string"}}
_META: Final = "meta"


def response_schema(resource_type: ResourceType) -> Json:
    """The schema of a resource in a response. Custom schemas appear as objects under their URN."""
    common = {"schemas": {**_URNS, "description": "The URNs of its schemas.", "minItems": 1}}
    for path in resource_type.top_level:
        if path.extension is None and path.attribute.name in ("id", _META):
            common[path.attribute.name] = _response_property(path.attribute, {})
    return {
        "type": "object",
        "description": resource_type.description,
        "required": ["schemas", "id"],
        "properties": {
            **common,
            **_response_properties(resource_type.schema),
            **{
                each.urn: _closed(_response_properties(each), each.document["description"])
                for each in resource_type.extensions
            },
        },
        "patternProperties": {"^urn:": {"type": "object"}},
        "additionalProperties": False,
    }


def request_schema(resource_type: ResourceType) -> Json:
    """The schema of a resource in a POST or PUT request."""
    return {
        **_open(_request_properties(resource_type.schema), resource_type.description),
        "required": _required(resource_type.schema),
        "properties": {
            "schemas": {**_URNS, "default": [resource_type.schema.urn]},
            **_request_properties(resource_type.schema),
            **{
                each.urn: _open(_request_properties(each), each.document["description"])
                for each in resource_type.extensions
            },
        },
    }


def _response_properties(schema: Schema) -> Json:
    return {
        document["name"]: _response_property(schema.attributes[document["name"].lower()], document)
        for document in schema.document["attributes"]
    }


def _response_property(attribute: Attribute, document: Mapping[str, Any]) -> Json:
    if attribute.type is Type.COMPLEX:
        value = _closed(
            {
                each.name: _response_property(each, _sub_attribute(document, each))
                for each in attribute.sub_attributes.values()
            }
        )
    else:
        value = dict(_TYPES[attribute.type])
    if attribute.multi_valued:
        value = {"type": "array", "items": value}
    return _described(value, document)


def _request_properties(schema: Schema) -> Json:
    return {
        document["name"]: _request_property(schema.attributes[document["name"].lower()], document)
        for document in schema.document["attributes"]
        if not schema.attributes[document["name"].lower()].read_only
    }


def _request_property(attribute: Attribute, document: Mapping[str, Any]) -> Json:
    if attribute.type is Type.COMPLEX:
        parts = attribute.sub_attributes.values()
        value = _open(
            {
                each.name: _request_property(each, _sub_attribute(document, each))
                for each in parts
                if not each.read_only
            }
        )
        if attribute.required_parts:
            value["required"] = [each.name for each in attribute.required_parts]
    else:
        value = dict(_TYPES[attribute.type])
        if value["type"] == "string" and attribute.type is not Type.DATE_TIME:
            value["maxLength"] = attribute.max_bytes
    if attribute.multi_valued:
        value = {"type": "array", "items": value, "maxItems": attribute.max_values}
    if attribute.required:
        value |= {"minLength": 1}
    else:
        value["type"] = [value["type"], "null"]
    return _described(value, document)


def _sub_attribute(document: Mapping[str, Any], attribute: Attribute) -> Mapping[str, Any]:
    """The definition of a sub-attribute; empty for those of `meta`, which no schema defines."""
    parts: list[Mapping[str, Any]] = document.get("subAttributes", [])
    return next((each for each in parts if each["name"] == attribute.name), {})


def _required(schema: Schema) -> list[str]:
    return [each.name for each in schema.attributes.values() if each.required]


def _described(value: Json, document: Mapping[str, Any]) -> Json:
    description = document.get("description")
    return {**value, "description": description} if description else value


def _open(properties: Json, description: str = "") -> Json:
    value = {"type": "object", "properties": properties}
    return {**value, "description": description} if description else value


def _closed(properties: Json, description: str = "") -> Json:
    return {**_open(properties, description), "additionalProperties": False}
