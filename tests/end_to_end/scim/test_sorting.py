"""What lists may be sorted and filtered by: everything that GET /Schemas names is tried."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.scim import Client
from tests.support.scim_documents import GROUP, WHOLE, person, refusal

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
"""What every resource has (RFC 7643 section 3.1), whether its schema names it or not."""

VALUES = ("x", "", True, 7, 0.5, "2026-01-01T00:00:00Z", None)
TYPES = pytest.mark.parametrize("name", ["User", "Group"])

Outcome = tuple[int, str | None]


@pytest.fixture
async def filled(scim: Client) -> Client:
    """A client of an organization that has people and groups, with values and without."""
    for sent in (person(), person(**WHOLE)):
        user = await scim("POST", "/Users", sent)
        members = [{"value": user.document["id"]}, {"value": "nobody"}]
        group = {"schemas": [GROUP], "displayName": "Team", "members": members}
        created = await scim("POST", "/Groups", group)
        assert (user.status, created.status) == (201, 201)
    return scim


async def advertised(scim: Client, name: str) -> tuple[str, list[str]]:
    """The endpoint of a type of resources, and every attribute and sub-attribute of it."""
    resource_type = (await scim("GET", f"/ResourceTypes/{name}")).document
    paths = [*COMMON, *await _paths(scim, resource_type["schema"], "")]
    for extension in resource_type["schemaExtensions"]:
        urn = extension["schema"]
        paths += await _paths(scim, urn, f"{urn}:")
    return resource_type["endpoint"], list(dict.fromkeys(paths))


async def _paths(scim: Client, urn: str, prefix: str) -> list[str]:
    schema = (await scim("GET", f"/Schemas/{urn}")).document
    return [prefix + path for path in _spelled(schema["attributes"])]


def _spelled(attributes: list[dict[str, Any]]) -> Iterator[str]:
    for attribute in attributes:
        yield attribute["name"]
        for each in attribute.get("subAttributes", ()):
            yield f"{attribute['name']}.{each['name']}"


async def outcomes(
    scim: Client, endpoint: str, parameter: str, asked: list[str]
) -> dict[str, Outcome]:
    """How each value of a parameter is answered."""
    answered: dict[str, Outcome] = {}
    for value in asked:
        reply = await scim("GET", f"{endpoint}?count=1&{parameter}{quote(value)}")
        answered[value] = refusal(reply)
    return answered


def others(answered: dict[str, Outcome], scim_type: str) -> dict[str, Outcome]:
    """What was neither answered nor refused as it ought to be."""
    right = {(200, None), (400, scim_type)}
    return {asked: outcome for asked, outcome in answered.items() if outcome not in right}


@TYPES
@pytest.mark.parametrize(
    "parameter", ["sortBy=", "sortOrder=descending&sortBy=", "cursor=&sortBy="]
)
async def test_a_list_is_sorted_by_an_advertised_attribute_or_refuses_it_as_a_value(
    filled: Client, name: str, parameter: str
):
    endpoint, paths = await advertised(filled, name)

    answered = await outcomes(filled, endpoint, parameter, paths)

    assert others(answered, "invalidValue") == {}
    assert {answered[each] for each in ("id", "displayName", "meta.created")} == {(200, None)}


@TYPES
async def test_presence_of_an_advertised_attribute_is_filtered_by_or_refused_as_a_filter(
    filled: Client, name: str
):
    endpoint, paths = await advertised(filled, name)
    asked = [f"{path} pr" for path in paths]

    answered = await outcomes(filled, endpoint, "filter=", asked)

    assert others(answered, "invalidFilter") == {}
    assert answered["displayName pr"] == (200, None)


@TYPES
@pytest.mark.parametrize("value", VALUES)
async def test_equality_of_an_advertised_attribute_is_filtered_by_or_refused_as_a_filter(
    filled: Client, name: str, value: object
):
    endpoint, paths = await advertised(filled, name)
    asked = [f"{path} eq {json.dumps(value)}" for path in paths]

    answered = await outcomes(filled, endpoint, "filter=", asked)

    assert others(answered, "invalidFilter") == {}
