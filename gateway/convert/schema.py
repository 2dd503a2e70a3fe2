"""Converts an organization's custom schemas to schema documents (RFC 7643 section 7)."""

from collections.abc import Sequence
from typing import Any, Final

from cloudacademy.users.v1 import schemas_pb2 as pb

from gateway.scim.schema import USER, ResourceType, Schema

_TYPES: Final = {
    pb.Attribute.TYPE_STRING: "string",
    pb.Attribute.TYPE_BOOLEAN: "boolean",
    pb.Attribute.TYPE_INTEGER: "integer",
    pb.Attribute.TYPE_DECIMAL: "decimal",
    pb.Attribute.TYPE_DATE_TIME: "dateTime",
    pb.Attribute.TYPE_REFERENCE: "reference",
    pb.Attribute.TYPE_BINARY: "binary",
    pb.Attribute.TYPE_COMPLEX: "complex",
}
_MUTABILITIES: Final = {
    pb.Attribute.MUTABILITY_READ_WRITE: "readWrite",
    pb.Attribute.MUTABILITY_IMMUTABLE: "immutable",
}
_RETURNED: Final = {
    pb.Attribute.RETURNED_DEFAULT: "default",
    pb.Attribute.RETURNED_ALWAYS: "always",
    pb.Attribute.RETURNED_REQUEST: "request",
    pb.Attribute.RETURNED_NEVER: "never",
}


def to_user_type(schemas: Sequence[bytes]) -> ResourceType:
    """The User type of an organization from its serialized schemas: USER itself without any."""
    return USER.with_extension(*map(_to_schema, schemas)) if schemas else USER


def _to_schema(serialized: bytes) -> Schema:
    """Compile a schema, which keeps its serialized form: the document takes ten times as much."""

    def read_document() -> dict[str, Any]:
        return to_document(pb.Schema.FromString(serialized))

    document = read_document()
    return Schema.from_document(document, f"{document['id']}:", read_document)


def to_document(schema: pb.Schema) -> dict[str, Any]:
    """Convert a schema message to its JSON document."""
    return {
        "id": schema.urn,
        "name": schema.name,
        "description": schema.description,
        "attributes": [_attribute(each) for each in schema.attributes],
    }


def _attribute(attribute: pb.Attribute) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": attribute.name,
        "type": _TYPES[attribute.type],
        "multiValued": attribute.multi_valued,
        "description": attribute.description,
        "required": attribute.required,
        "caseExact": attribute.case_exact,
        "mutability": _MUTABILITIES[attribute.mutability],
        "returned": _RETURNED[attribute.returned],
        "uniqueness": "none",
    }
    if attribute.canonical_values:
        document["canonicalValues"] = list(attribute.canonical_values)
    if attribute.type == pb.Attribute.TYPE_REFERENCE:
        document["referenceTypes"] = ["external", "uri"]
    if attribute.sub_attributes:
        document["subAttributes"] = [_attribute(each) for each in attribute.sub_attributes]
    return document
