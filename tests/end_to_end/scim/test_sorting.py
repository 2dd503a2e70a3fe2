"""Sorting and filtering by every attribute that GET /Schemas advertises.

Each request either works or is refused with the scimType of its parameter.
"""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.scim import Client
from tests.support.scim_documents import FULL_USER, GROUP, person, refusal

COMMON = (
    "id",
    "schemas",
    "externalId",
    "meta",
    "meta.resourceType",
    "meta.created",
    "meta.lastModified",
    "meta.version",
    "meta.location",
)
"""The attributes of every resource (RFC 7643 section 3.1), also those that no schema names."""

FILTER_VALUES = ("x", "", True, 7, 0.5, "2026-01-01T00:00:00Z", None)
RESOURCE_TYPES = pytest.mark.parametrize("name", ["User", "Group"])

Outcome = tuple[int, str | None]


@pytest.fixture
async def populated(scim: Client) -> Client:
    """A client whose organization has users and groups, with and without optional values."""
    for sent in (person(), person(**FULL_USER)):
        user = await scim("POST", "/Users", sent)
        members = [{"value": user.document["id"]}, {"value": "nobody"}]
        group = {"schemas": [GROUP], "displayName": "Team", "members": members}
        created = await scim("POST", "/Groups", group)
        assert (user.status, created.status) == (201, 201)
    return scim


async def advertised(scim: Client, name: str) -> tuple[str, list[str]]:
    """The endpoint of a resource type, and the paths of its attributes and sub-attributes."""
    resource_type = (await scim("GET", f"/ResourceTypes/{name}")).document
    paths = [*COMMON, *await _paths(scim, resource_type["schema"], "")]
    for extension in resource_type["schemaExtensions"]:
        urn = extension["schema"]
        paths += await _paths(scim, urn, f"{urn}:")
    return resource_type["endpoint"], list(dict.fromkeys(paths))


async def _paths(scim: Client, urn: str, prefix: str) -> list[str]:
    schema = (await scim("GET", f"/Schemas/{urn}")).document
    return [prefix + path for path in _attribute_paths(schema["attributes"])]


def _attribute_paths(attributes: list[dict[str, Any]]) -> Iterator[str]:
    for attribute in attributes:
        yield attribute["name"]
        for each in attribute.get("subAttributes", ()):
            yield f"{attribute['name']}.{each['name']}"


async def outcomes(
    scim: Client, endpoint: str, parameter: str, values: list[str]
) -> dict[str, Outcome]:
    """The outcome of a request for each value of a parameter."""
    found: dict[str, Outcome] = {}
    for value in values:
        reply = await scim("GET", f"{endpoint}?count=1&{parameter}{quote(value)}")
        found[value] = refusal(reply)
    return found


def unexpected(found: dict[str, Outcome], scim_type: str) -> dict[str, Outcome]:
    """The outcomes other than 200, and 400 with this scimType."""
    expected = {(200, None), (400, scim_type)}
    return {value: outcome for value, outcome in found.items() if outcome not in expected}


@RESOURCE_TYPES
@pytest.mark.parametrize(
    "parameter", ["sortBy=", "sortOrder=descending&sortBy=", "cursor=&sortBy="]
)
async def test_sort_by_advertised_attribute_works_or_is_invalid_value(
    populated: Client, name: str, parameter: str
):
    endpoint, paths = await advertised(populated, name)

    found = await outcomes(populated, endpoint, parameter, paths)

    assert unexpected(found, "invalidValue") == {}
    assert {found[each] for each in ("id", "displayName", "meta.created")} == {(200, None)}


@RESOURCE_TYPES
async def test_presence_filter_works_or_is_invalid_filter(populated: Client, name: str):
    endpoint, paths = await advertised(populated, name)
    filters = [f"{path} pr" for path in paths]

    found = await outcomes(populated, endpoint, "filter=", filters)

    assert unexpected(found, "invalidFilter") == {}
    assert found["displayName pr"] == (200, None)


@RESOURCE_TYPES
@pytest.mark.parametrize("value", FILTER_VALUES)
async def test_equality_filter_works_or_is_invalid_filter(
    populated: Client, name: str, value: object
):
    endpoint, paths = await advertised(populated, name)
    filters = [f"{path} eq {json.dumps(value)}" for path in paths]

    found = await outcomes(populated, endpoint, "filter=", filters)

    assert unexpected(found, "invalidFilter") == {}
