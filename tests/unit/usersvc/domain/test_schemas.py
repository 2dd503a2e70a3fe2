"""The rules of schemas, without a database."""

import pytest

from chassis.errors import InvalidField
from tests.support.refusals import raises_refusal
from usersvc.domain.errors import SCHEMA_EXISTS
from usersvc.domain.schemas import Attribute, Schema, Type, check, check_with_others, normalized

NUMBER = Attribute("number", Type.STRING)
URN = "urn:acme:badge"


def schema(*attributes: Attribute, urn: str = URN, name: str = "Badge", description: str = ""):
    return Schema(urn, name, attributes or (NUMBER,), description)


def complex_attribute(*sub_attributes: Attribute) -> Attribute:
    return Attribute("office", Type.COMPLEX, sub_attributes=sub_attributes)


def numbered(count: int) -> list[Attribute]:
    return [Attribute(f"a{number}", Type.STRING) for number in range(count)]


def refused_field(rule, *arguments) -> str:
    with pytest.raises(InvalidField) as caught:
        rule(*arguments)
    return caught.value.metadata["field"]


@pytest.mark.parametrize(
    "urn", [URN, "URN:Acme:Badge", "urn:acme:a.b:2.0:User_x~-", "urn:ac:" + "x" * 193]
)
def test_schema_with_a_valid_urn_is_accepted(urn):
    check(schema(urn=urn))


@pytest.mark.parametrize(
    "urn",
    [
        "",
        "badge",
        "urn:acme",
        "urn:acme:",
        "urn:acme::badge",
        "urn:a:badge",
        "urn:-acme:badge",
        "urn:acme:badge:",
        "urn:acme:bad ge",
        "urn:acme:badge,two",
        "urn:acme:badge/two",
        "urn:acme:bädge",
        "urn:acme:badge\n",
        "urn:ac:" + "x" * 194,
        "urn:ietf:params:scim:schemas:extension:acme",
        "URN:IETF:params:any",
    ],
)
def test_schema_with_an_invalid_or_reserved_urn_is_refused(urn):
    assert refused_field(check, schema(urn=urn)) == "schema.urn"


@pytest.mark.parametrize("name", ["a", "Ab-c_9", "x" * 100])
def test_attribute_with_a_valid_name_is_accepted(name):
    check(schema(Attribute(name, Type.STRING)))


@pytest.mark.parametrize("name", ["", "9a", "-a", "a.b", "a b", "$ref", "é", "a\n", "x" * 101])
def test_attribute_with_an_invalid_name_is_refused(name):
    assert refused_field(check, schema(Attribute(name, Type.STRING))) == f"schema.attributes.{name}"


@pytest.mark.parametrize(
    ("invalid", "field"),
    [
        (schema(name=""), "schema.name"),
        (schema(name="x" * 201), "schema.name"),
        (schema(name="a\0"), "schema.name"),
        (schema(description="x" * 1_001), "schema.description"),
        (Schema(URN, "Badge", ()), "schema.attributes"),
        (schema(*numbered(101)), "schema.attributes"),
        (schema(complex_attribute(*numbered(100))), "schema.attributes"),
        (schema(NUMBER, Attribute("NUMBER", Type.BOOLEAN)), "schema.attributes.NUMBER"),
        (schema(complex_attribute()), "schema.attributes.office"),
        (
            schema(Attribute("number", Type.STRING, sub_attributes=(NUMBER,))),
            "schema.attributes.number",
        ),
        (
            schema(complex_attribute(Attribute("a", Type.STRING, multi_valued=True))),
            "schema.attributes.office.a",
        ),
        (
            schema(complex_attribute(Attribute("a", Type.COMPLEX, sub_attributes=(NUMBER,)))),
            "schema.attributes.office.a",
        ),
        (
            schema(complex_attribute(NUMBER, Attribute("Number", Type.STRING))),
            "schema.attributes.office.Number",
        ),
        (
            schema(Attribute("a", Type.STRING, canonical_values=("x",) * 251)),
            "schema.attributes.a",
        ),
        (
            schema(Attribute("a", Type.STRING, canonical_values=("",))),
            "schema.attributes.a.canonical_values",
        ),
    ],
)
def test_invalid_schema_is_refused_with_the_field(invalid, field):
    assert refused_field(check, invalid) == field


def test_schema_with_100_attributes_is_accepted():
    check(schema(*numbered(100)))
    check(schema(complex_attribute(*numbered(99))))


def test_duplicate_or_21st_schema_of_an_organization_is_refused():
    others = [schema(urn=f"urn:acme:s{number}") for number in range(20)]

    check_with_others(schema(), others[:19])
    assert refused_field(check_with_others, schema(), others) == "schema"
    with raises_refusal(SCHEMA_EXISTS):
        check_with_others(schema(urn="URN:acme:S3"), others)


@pytest.mark.parametrize("urn", [f"{URN}:number", f"{URN}:OFFICE.number"])
def test_schema_urn_that_is_a_path_of_another_schema_is_refused(urn):
    parent, nested = schema(NUMBER, complex_attribute(NUMBER)), schema(urn=urn)

    assert refused_field(check_with_others, nested, [parent]) == "schema.urn"
    assert refused_field(check_with_others, parent, [nested]) == "schema.urn"


def test_references_and_binary_values_are_case_exact():
    denormalized = schema(
        Attribute("photo", Type.REFERENCE),
        complex_attribute(Attribute("seal", Type.BINARY)),
        NUMBER,
    )

    photo, office, number = normalized(denormalized).attributes
    assert (photo.case_exact, office.sub_attributes[0].case_exact, number.case_exact) == (
        True,
        True,
        False,
    )
