"""The fields of an organization's own schemas that a filter or an order may name.

The names come from registered schemas. Validation of a schema already excludes every character that
is special in SQL; the names are quoted nevertheless.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from usersvc.domain.schemas import Attribute, Schema, Type
from usersvc.store.listing.fields import Field, Kind, Repeated, Resource, Scope

_CASTS: Final = {
    Kind.BOOLEAN: "::boolean",
    Kind.INTEGER: "::bigint",
    Kind.DECIMAL: "::double precision",
    Kind.TIME: "::timestamptz",
}
_KINDS: Final = {
    Type.BOOLEAN: Kind.BOOLEAN,
    Type.INTEGER: Kind.INTEGER,
    Type.DECIMAL: Kind.DECIMAL,
    Type.DATE_TIME: Kind.TIME,
}


def with_extension_fields(resource: Resource, schemas: Iterable[Schema]) -> Resource:
    """The resource with the fields of an organization's schemas added to the standard ones."""
    fields = dict(resource.scope.fields)
    repeated = dict(resource.scope.repeated)
    composite = dict(resource.scope.composite)
    for schema in schemas:
        for attribute in schema.attributes:
            name = f"{schema.urn}:{attribute.name}"
            holder = f"extensions -> {_literal(schema.urn)}"
            json = f"({holder} -> {_literal(attribute.name)})"
            if attribute.multi_valued:
                repeated[name] = _elements(attribute, json)
            elif attribute.type is Type.COMPLEX:
                fields.update(_parts(attribute, json, f"{name}."))
                repeated[name] = _single_element(attribute, json)
                composite[name] = (json,)
            else:
                fields[name] = _field(attribute, f"{holder} ->> {_literal(attribute.name)}")
    return replace(resource, scope=Scope(fields, repeated, composite))


def _field(attribute: Attribute, text: str) -> Field:
    kind = _KINDS.get(attribute.type) or (Kind.EXACT_TEXT if attribute.case_exact else Kind.TEXT)
    return Field(f"({text}){_CASTS.get(kind, '')}", kind)


def _parts(attribute: Attribute, json: str, prefix: str = "") -> Mapping[str, Field]:
    return {
        prefix + part.name: _field(part, f"{json} ->> {_literal(part.name)}")
        for part in attribute.sub_attributes
    }


def _elements(attribute: Attribute, json: str) -> Repeated:
    """A multi-valued attribute. Its elements are objects with sub-attributes, or plain values."""
    fields = _parts(attribute, "element")
    if attribute.type is not Type.COMPLEX:
        whole = _field(attribute, "element #>> '{}'")
        fields = {"": whole, "value": whole}
    return Repeated(
        fields,
        rows=f"jsonb_array_elements({json}) AS element",
        present=f"{json} IS NOT NULL",
    )


def _single_element(attribute: Attribute, json: str) -> Repeated:
    """A single-valued complex attribute as a repeated field, because value filters may name it."""
    return Repeated(
        _parts(attribute, "element"),
        rows=f"(VALUES ({json})) AS single (element)",
        present=f"{json} IS NOT NULL",
        condition="element IS NOT NULL",
    )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
