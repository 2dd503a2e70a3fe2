"""Conversion between messages and schemas."""

from typing import Final

from cloudacademy.users.v1 import schemas_pb2

from chassis.errors import InvalidField
from chassis.rpc.timestamps import to_timestamp
from usersvc.domain.schemas import Attribute, Mutability, OwnedSchema, Returned, Schema, Type

Message = schemas_pb2.Attribute

_TYPES: Final = {Message.Type.Value(f"TYPE_{each.name}"): each for each in Type}
_MUTABILITIES: Final = {
    Message.MUTABILITY_UNSPECIFIED: Mutability.READ_WRITE,
    **{Message.Mutability.Value(f"MUTABILITY_{each.name}"): each for each in Mutability},
}
_RETURNED: Final = {
    Message.RETURNED_UNSPECIFIED: Returned.DEFAULT,
    **{Message.Returned.Value(f"RETURNED_{each.name}"): each for each in Returned},
}


def to_schema(message: schemas_pb2.Schema) -> Schema:
    """The schema in a message, without the output-only fields.

    Refuses (InvalidField) an unknown type, mutability or `returned`.
    """
    attributes = [_to_attribute("schema.attributes", each) for each in message.attributes]
    return Schema(message.urn, message.name, tuple(attributes), message.description)


def _to_attribute(field: str, message: schemas_pb2.Attribute) -> Attribute:
    field = f"{field}.{message.name}"
    type_ = _TYPES.get(message.type)
    mutability = _MUTABILITIES.get(message.mutability)
    returned = _RETURNED.get(message.returned)
    if type_ is None:
        raise InvalidField(f"{field}.type", "is unknown")
    if mutability is None:
        raise InvalidField(f"{field}.mutability", "is unknown")
    if returned is None:
        raise InvalidField(f"{field}.returned", "is unknown")
    return Attribute(
        name=message.name,
        type=type_,
        multi_valued=message.multi_valued,
        required=message.required,
        case_exact=message.case_exact,
        mutability=mutability,
        returned=returned,
        canonical_values=tuple(message.canonical_values),
        description=message.description,
        sub_attributes=tuple([_to_attribute(field, each) for each in message.sub_attributes]),
    )


def from_schema(owned: OwnedSchema) -> schemas_pb2.Schema:
    """A schema as a message."""
    return schemas_pb2.Schema(
        urn=owned.schema.urn,
        organization_id=str(owned.organization_id),
        name=owned.schema.name,
        description=owned.schema.description,
        attributes=[_from_attribute(each) for each in owned.schema.attributes],
        create_time=to_timestamp(owned.create_time),
    )


def _from_attribute(attribute: Attribute) -> schemas_pb2.Attribute:
    return schemas_pb2.Attribute(
        name=attribute.name,
        type=f"TYPE_{attribute.type.name}",
        multi_valued=attribute.multi_valued,
        required=attribute.required,
        case_exact=attribute.case_exact,
        mutability=f"MUTABILITY_{attribute.mutability.name}",
        returned=f"RETURNED_{attribute.returned.name}",
        canonical_values=attribute.canonical_values,
        description=attribute.description,
        sub_attributes=[_from_attribute(each) for each in attribute.sub_attributes],
    )
