"""The initial inputs of fuzzing, taken from our tests, by the parser that reads them."""

import ast
import json
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.saml.idp import signed, xml
from tests.support.saml.parties import ACME, VALID
from tests.support.stack import ROOT

BULK = {
    "Operations": [
        {"method": "POST", "path": "/Users", "bulkId": "a", "data": {"userName": "a"}},
        {
            "method": "POST",
            "path": "/Groups",
            "bulkId": "b",
            "data": {"displayName": "b", "members": [{"value": "bulkId:a"}, {"value": "bulkId:b"}]},
        },
        {"method": "PATCH", "path": "/Groups/bulkId:b", "version": 'W/"1"', "data": {}},
    ]
}
TOKENS = (
    b"cak_us_2jY6A4aqiyyBwQVyyJexLYmFR8ZeUs0bS8WzQG1u62V7yBguAAAA",
    b"AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
)
POSITIONS = (
    b'["q","00000000-0000-0000-0000-000000000000","a"]',
    b'["q","2026-11-27T00:00:00+00:00",5]',
    b'["00000000-0000-0000-0000-000000000000","00000000-0000-0000-0000-000000000000",1,2]',
    b'"00000000-0000-0000-0000-000000000000",1e999',
)


@cache
def corpus(name: str) -> tuple[bytes, ...]:
    """The inputs of a target; none of the sets is empty."""
    bodies = [json.dumps(each).encode() for each in _bodies()]
    inputs = {
        "filter": _filters(),
        "patch": [
            *(each for each in bodies if b"Operations" in each),
            *(json.dumps({"Operations": each}).encode() for each in _operations()),
        ],
        "path": [*_paths()],
        "resource": [each for each in bodies if b"Operations" not in each],
        "bulk": [json.dumps(BULK).encode()],
        "search": [b'{"filter": "active eq true", "count": 5, "attributes": ["userName"]}'],
        "tokens": list(TOKENS),
        "forged tokens": list(POSITIONS),
        "saml": [xml(signed(VALID, ACME))],
    }[name]
    return tuple(sorted(set(inputs)))


def _transcripts() -> Iterator[Any]:
    for path in sorted((ROOT / "tests/conformance").glob("*/*.json")):
        yield from _walk(json.loads(path.read_text()))


def _walk(value: Any) -> Iterator[Any]:
    """A document and all values in it, recursively."""
    yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        yield from _walk(each)


def _bodies() -> Iterator[Any]:
    for each in _transcripts():
        if isinstance(each, dict) and {"Operations", "userName", "displayName"} & each.keys():
            yield each


def _operations() -> Iterator[Any]:
    for each in _transcripts():
        if isinstance(each, dict) and "operations" in each:
            yield each["operations"]


def _paths() -> Iterator[bytes]:
    for each in _transcripts():
        if isinstance(each, dict) and isinstance(each.get("path"), str):
            yield each["path"].encode()


def _filters() -> list[bytes]:
    """Filters of the transcripts, and string literals of the parser's tests."""
    filters = [
        text
        for each in _transcripts()
        if isinstance(each, str) and "filter=" in each
        for text in parse_qs(urlsplit(each).query).get("filter", ())
    ]
    tree = ast.parse((ROOT / "tests/unit/gateway/scim/filter/test_filter.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            filters.append(node.value)
    return [text.encode(errors="surrogateescape") for text in filters if text.isprintable()]
