"""The OpenAPI document describes exactly the routes, attributes and errors of the SCIM API."""

import re
from typing import Any

import pytest

from gateway.api.routing import Endpoint, Route, RouteTable
from gateway.openapi import document as openapi
from gateway.openapi.operations import operations
from gateway.scim.schema import GROUP, USER
from tests.support.openapi import validate
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


def test_document_is_valid_openapi(document):
    validate(document)


def test_document_has_every_route_and_no_other(document):
    described = {
        Route(method.upper(), path, operation.get("security") == [])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert described == set(table().routes())
    assert {(each.method, each.path) for each in described} == operations(TYPES).keys()


def test_route_table_matches_described_methods_only():
    known = {(route.method, route.path) for route in table().routes()}
    for _, path in known:
        segments = [part for part in path.replace("{id}", "x").split("/") if part]
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            if (method, path) in known:
                assert table().match(method, segments)
            else:
                with pytest.raises(Exception, match="not supported here"):
                    table().match(method, segments)


def test_document_with_an_undescribed_route_raises_key_error():
    async def handler(_: object) -> None: ...

    new = RouteTable({"New": Endpoint({"GET": handler})})
    with pytest.raises(KeyError, match="/New"):
        openapi.document(new.routes(), TYPES, BASE_URL)


def test_every_component_is_referenced(document):
    used = set(references(document))
    defined = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "parameters", "headers", "responses")
        for name in document["components"][kind]
    }
    assert used == defined


def test_path_parameters_are_declared(document):
    for path, methods in document["paths"].items():
        for operation in methods.values():
            declared = [each["$ref"].rpartition("/")[2] for each in operation.get("parameters", [])]
            assert [name for name in declared if name == "id"] == re.findall(r"{(\w+)}", path)


@pytest.mark.parametrize("resource_type", TYPES, ids=lambda each: each.name)
def test_request_schema_has_writable_attributes_only(document, resource_type):
    schemas = document["components"]["schemas"]
    response = schemas[resource_type.name]["properties"]
    request = schemas[f"{resource_type.name}Request"]["properties"]
    for path in resource_type.top_level:
        properties = [response, request]
        if path.extension:
            properties = [each[path.extension]["properties"] for each in properties]
        name = path.attribute.name
        assert name in properties[0]
        assert (name in properties[1]) is (not path.read_only or name == "schemas")
    assert schemas[f"{resource_type.name}Request"]["required"] == [
        path.attribute.name for path in resource_type.required
    ]


def test_operations_that_need_a_key_have_a_401_response(document):
    for methods in document["paths"].values():
        for operation in methods.values():
            public = operation.get("security") == []
            assert ("401" in operation["responses"]) is not public
            assert {"500", "503"} <= operation["responses"].keys()
