"""Conversion between messages and extensions. An empty value counts as unassigned."""

from collections.abc import Mapping

from cloudacademy.users.v1 import schemas_pb2

from chassis.errors import InvalidField
from usersvc.domain.extensions import Extension, Extensions, Parts, Scalar, Single, Value


def to_extensions(messages: Mapping[str, schemas_pb2.Extension]) -> Extensions:
    """The extensions of a user.

    Refuses (InvalidField) an unset value, and an object or list where a single value is required.
    """
    found = {urn: _to_extension(urn, message) for urn, message in messages.items()}
    return {urn: extension for urn, extension in found.items() if extension}


def _to_extension(urn: str, message: schemas_pb2.Extension) -> Extension:
    found = {name: _to_value(f"{urn}:{name}", value) for name, value in message.values.items()}
    return {name: value for name, value in found.items() if value is not None}


def _to_value(field: str, message: schemas_pb2.Value) -> Value | None:
    if message.WhichOneof("kind") == "list":
        values = [_to_single(field, each) for each in message.list.values]
        return tuple([each for each in values if each is not None]) or None
    return _to_single(field, message)


def _to_single(field: str, message: schemas_pb2.Value) -> Single | None:
    if message.WhichOneof("kind") == "parts":
        return _to_parts(field, message.parts) or None
    return _to_scalar(field, message)


def _to_parts(field: str, message: schemas_pb2.Extension) -> Parts:
    found = {name: _to_scalar(f"{field}.{name}", part) for name, part in message.values.items()}
    return {name: part for name, part in found.items() if part is not None}


def _to_scalar(field: str, message: schemas_pb2.Value) -> Scalar | None:
    match message.WhichOneof("kind"):
        case "text":
            return message.text or None
        case "boolean":
            return message.boolean
        case "integer":
            return message.integer
        case "decimal":
            return message.decimal
        case None:
            raise InvalidField(field, "has no value")
        case _:
            raise InvalidField(
                field, "contains an object or a list where only a single value is allowed"
            )


def from_extensions(extensions: Extensions) -> dict[str, schemas_pb2.Extension]:
    """The extensions of a user as messages."""
    return {urn: _from_extension(extension) for urn, extension in extensions.items()}


def _from_extension(extension: Mapping[str, Value]) -> schemas_pb2.Extension:
    return schemas_pb2.Extension(
        values={name: _from_value(value) for name, value in extension.items()}
    )


def _from_value(value: Value) -> schemas_pb2.Value:
    match value:
        case tuple():
            values = schemas_pb2.ValueList(values=[_from_value(each) for each in value])
            return schemas_pb2.Value(list=values)
        case bool():
            return schemas_pb2.Value(boolean=value)
        case int():
            return schemas_pb2.Value(integer=value)
        case float():
            return schemas_pb2.Value(decimal=value)
        case str():
            return schemas_pb2.Value(text=value)
        case _:
            return schemas_pb2.Value(parts=_from_extension(value))
