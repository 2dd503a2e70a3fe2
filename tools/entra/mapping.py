"""Entra's attribute mapping: the values of a person, by the paths that Entra sends and compares."""

from collections.abc import Mapping
from typing import Any

from tools.entra.people import Person

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
DEPARTMENT = f"{ENTERPRISE}:department"
WORK_EMAIL = 'emails[type eq "work"].value'

Value = str | bool


def expected_values(person: Person) -> dict[str, Value]:
    """The values that the target should have; empty ones are omitted, as Entra skips nulls."""
    values: dict[str, Value | None] = {
        "userName": person.user_name,
        "externalId": person.external_id,
        "active": person.active,
        "name.givenName": person.given_name,
        "name.familyName": person.family_name,
        "name.formatted": f"{person.given_name} {person.family_name}",
        "title": person.title,
        WORK_EMAIL: person.email,
        DEPARTMENT: person.department,
    }
    return {path: value for path, value in values.items() if value is not None}


def returned_values(resource: Mapping[str, Any]) -> dict[str, Any]:
    """The values that the target returned, by the same paths."""
    name = resource.get("name") or {}
    emails = resource.get("emails") or []
    values = {
        "userName": resource.get("userName"),
        "externalId": resource.get("externalId"),
        "active": resource.get("active"),
        "name.givenName": name.get("givenName"),
        "name.familyName": name.get("familyName"),
        "name.formatted": name.get("formatted"),
        "title": resource.get("title"),
        WORK_EMAIL: next(
            (each.get("value") for each in emails if each.get("type") == "work"), None
        ),
        DEPARTMENT: (resource.get(ENTERPRISE) or {}).get("department"),
    }
    return {path: value for path, value in values.items() if value is not None}


def differences(person: Person, resource: Mapping[str, Any]) -> dict[str, Value]:
    """The expected values that differ from those of the target."""
    expected, actual = expected_values(person), returned_values(resource)
    return {path: value for path, value in expected.items() if actual.get(path) != value}


def post_body(person: Person) -> dict[str, Any]:
    """The body of the POST by which Entra creates a user.

    It names both schemas, even without extension values.
    """
    body: dict[str, Any] = {
        "schemas": [USER, ENTERPRISE],
        "externalId": person.external_id,
        "userName": person.user_name,
        "active": person.active,
        "meta": {"resourceType": "User"},
        "name": {
            "formatted": f"{person.given_name} {person.family_name}",
            "familyName": person.family_name,
            "givenName": person.given_name,
        },
        "roles": [],
    }
    if person.title:
        body["title"] = person.title
    if person.email:
        body["emails"] = [{"primary": True, "type": "work", "value": person.email}]
    if person.department:
        body[ENTERPRISE] = {"department": person.department}
    return body
