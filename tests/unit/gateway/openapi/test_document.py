"""The description of the SCIM surface says what there is: no route less, none more."""

import re
from typing import Any

import pytest
from openapi_spec_validator import validate

from gateway.api.routing import Endpoint, Route, Table
from gateway.openapi import document as openapi
from gateway.openapi.operations import operations
from gateway.scim.schema import GROUP, USER
from tests.support.scim_routes import table

TYPES = [USER, GROUP]
BASE_URL = "https://cloudacademy.com/webhooks/ad/v1/scim"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.document(table().routes(), TYPES, BASE_URL)


def references(value: object) -> list[str]:
    match value:
        case dict():
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [each for inner in value.values() for each in references(inner)]
        case list():
            return [each for inner in value for each in references(inner)]
        case _:
            return []


def test_it_is_a_valid_description(document):
    validate(document)


def test_every_route_is_in_it_and_nothing_else(document):
    described = {
        Route(method.upper(), path, operation.get("security") == [])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert described == set(table().routes())
    assert {(each.method, each.path) for each in described} == operations(TYPES).keys()


def test_every_route_leads_somewhere_and_no_other_method_does():
    known = {(route.method, route.path) for route in table().routes()}
    for _, path in known:
        segments = [part for part in path.replace("{id}", "x").split("/") if part]
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            if (method, path) in known:
                assert table().match(method, segments)
            else:
                with pytest.raises(Exception, match="not possible here"):
                    table().match(method, segments)


def test_a_route_that_nobody_has_described_is_a_fault():
    async def anything(_: object) -> None: ...

    new = Table({"New": Endpoint({"GET": anything})})
    with pytest.raises(KeyError, match="/New"):
        openapi.document(new.routes(), TYPES, BASE_URL)


def test_nothing_is_described_that_nobody_uses(document):
    used = set(references(document))
    there = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "parameters", "headers", "responses")
        for name in document["components"][kind]
    }
    assert used == there


def test_names_in_a_path_are_parameters_of_it(document):
    for path, methods in document["paths"].items():
        for operation in methods.values():
            given = [each["$ref"].rpartition("/")[2] for each in operation.get("parameters", [])]
            assert [name for name in given if name == "id"] == re.findall(r"{(\w+)}", path)


@pytest.mark.parametrize("resource_type", TYPES, ids=lambda each: each.name)
def test_every_attribute_is_described_and_only_those_that_can_be_sent_are_taken(
    document, resource_type
):
    schemas = document["components"]["schemas"]
    answered = schemas[resource_type.name]["properties"]
    sent = schemas[f"{resource_type.name}Request"]["properties"]
    for path in resource_type.whole:
        places = [answered, sent]
        if path.extension:
            places = [place[path.extension]["properties"] for place in places]
        name = path.attribute.name
        assert name in places[0]
        assert (name in places[1]) is (not path.read_only or name == "schemas")
    assert schemas[f"{resource_type.name}Request"]["required"] == [
        path.attribute.name for path in resource_type.required
    ]


def test_every_request_that_needs_a_key_may_be_refused_for_it(document):
    for methods in document["paths"].values():
        for operation in methods.values():
            public = operation.get("security") == []
            assert ("401" in operation["responses"]) is not public
            assert {"500", "503"} <= operation["responses"].keys()
