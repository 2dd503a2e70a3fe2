"""Plays a recorded case against a tenant; a failure prints all its requests and responses."""

import base64
import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from yarl import URL

MEDIA_TYPE = "application/scim+json"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BULK_REQUEST = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PRINTED_BYTES = 2000
BULK_OPERATION = re.compile(
    r"(POST|PUT|PATCH|DELETE) (/(?:Users|Groups)(?:/(?!\.search)[^/?%]+)?)\??"
)
"""A change that a bulk request may contain."""

Case = dict[str, Any]


def has_bulk_form(case: Case) -> bool:
    """Whether a case has changes, and a bulk request may contain each of them."""
    changes = [step for step in case.get("steps", [case]) if not step["send"].startswith("GET")]
    return bool(changes) and all(map(_is_bulk_operation, changes))


def _is_bulk_operation(step: Case) -> bool:
    is_plain = not step.keys() & {"raw", "raw_base64", "headers", "response_headers"}
    has_data = step["send"].startswith("DELETE") or bool(step.keys() & {"body", "operations"})
    return is_plain and has_data and BULK_OPERATION.fullmatch(step["send"]) is not None


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass(slots=True)
class Transcript:
    """A case in progress: the values of its placeholders, and its requests and responses so far."""

    session: aiohttp.ClientSession
    url: str
    token: str
    in_bulk: bool = False
    """Whether changes are sent as operations of bulk requests."""
    placeholders: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        unique = f"u{uuid.uuid4().hex[:10]}"
        self.placeholders = {
            "{unique}": unique,
            "{UNIQUE}": unique.upper(),
            "{userName}": f"ann.{unique}@corp.test",
            "{guid}": str(uuid.uuid4()),
            "{token}": self.token,
            "{mistyped_token}": self.token[:-1] + ("x" if self.token[-1] != "x" else "y"),
            "{half_token}": self.token[: len(self.token) // 2],
            "{long}": "a" * 8000,
            "{nested}": "[" * 100_000,
            "{padding}": " " * 1_500_000,
            "{1001 deletions}": ",".join(['{"method": "DELETE", "path": "/Users/1"}'] * 1001),
        }

    async def play(self, case: Case) -> None:
        """Create the given resources, send the requests, and compare the resource afterwards."""
        endpoint = f"/{case.get('resource', 'Users')}"
        for role in case.get("people", ()):
            await self._create(f"{role}_", "/Users", {"userName": f"{role}.{{unique}}@corp.test"})
        if "given" in case:
            await self._create("", endpoint, case["given"])
        for step in case.get("steps", [case]):
            await self._step(step)
        if "then" in case:
            response = await self._send({"send": f"GET {endpoint}/{{id}}"})
            self._compare(200, response.status, "the status")
            self._compare(case["then"], response.body, "the resource afterwards")

    async def _create(self, role: str, endpoint: str, values: dict[str, Any]) -> None:
        required: dict[str, Any] = {"schemas": [USER], "userName": "{userName}"}
        if endpoint == "/Groups":
            required = {"schemas": [GROUP]}
        response = await self._send({"send": f"POST {endpoint}", "body": {**required, **values}})
        self._compare(201, response.status, "the status")
        self.placeholders[f"{{{role}id}}"] = response.body["id"]
        self.placeholders[f"{{{role}etag}}"] = response.headers.get("ETag", "")
        if role:
            self.placeholders[f"{{{role}userName}}"] = response.body["userName"]

    async def _step(self, step: Case) -> None:
        is_bulk = self.in_bulk and not step["send"].startswith("GET")
        response = await (self._send_in_bulk(step) if is_bulk else self._send(step))
        allowed = step["status"] if isinstance(step["status"], list) else [step["status"]]
        self._require(response.status in allowed, f"the status should be {allowed}")
        if response.status == 201 and "{id}" not in self.placeholders:
            self.placeholders["{id}"] = response.body["id"]
        if "scimType" in step:
            types = step["scimType"] if isinstance(step["scimType"], list) else [step["scimType"]]
            actual = response.body.get("scimType")
            self._require(actual in types, f"scimType should be {types}, not {actual!r}")
        for name, expected in step.get("response_headers", {}).items():
            self._compare(expected, response.headers.get(name), f"the header {name}")
        if "response" in step:
            self._compare(step["response"], response.body, "the response")

    async def _send(self, step: Case) -> Response:
        """Send one request exactly as recorded, and check what every response must satisfy."""
        method, target = self.fill(step["send"]).split(" ", 1)
        content = self._content(step)
        headers = {"Authorization": "Bearer {token}"}
        if content is not None:
            headers["Content-Type"] = f"{MEDIA_TYPE}; charset=utf-8"
        headers |= step.get("headers", {})
        request_headers = {
            name: self.fill(value) for name, value in headers.items() if value is not None
        }
        self._record(f"> {method} {target}", request_headers, content or b"")
        async with self.session.request(
            method,
            URL(self.url + target, encoded=True),
            headers=request_headers,
            data=content,
            skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
            allow_redirects=False,
        ) as response:
            received = await response.read()
            self._record(f"< {response.status}", dict(response.headers), received)
            return self._checked(response, received)

    async def _send_in_bulk(self, step: Case) -> Response:
        """Send a change as the operation of a bulk request; returns what a single request would."""
        operation = BULK_OPERATION.fullmatch(step["send"])
        assert operation is not None
        document = {"method": operation[1], "path": operation[2], "bulkId": "1"}
        data = self._body(step)
        if data is not None:
            document["data"] = data
        body = {"schemas": [BULK_REQUEST], "Operations": [document]}
        reply = await self._send({"send": "POST /Bulk", "body": body})
        self._compare(200, reply.status, "the status of the bulk request")
        [result] = reply.body["Operations"]
        status = int(result["status"])
        if status >= 400:
            self._compare({"status": result["status"]}, result["response"], "the error")
            return Response(status, {}, result["response"])
        if "response" not in step and status != 201:
            return Response(status, {}, {})
        target = result["location"].removeprefix(self.url)
        return Response(status, {}, (await self._send({"send": f"GET {target}"})).body)

    def _content(self, step: Case) -> bytes | None:
        if "raw_base64" in step:
            return base64.b64decode(step["raw_base64"])
        if "raw" in step:
            return bytes(self.fill(step["raw"]), "utf-8")
        body = self._body(step)
        return None if body is None else json.dumps(self._fill_values(body)).encode()

    def _body(self, step: Case) -> Any:
        if "operations" in step:
            return {"schemas": [PATCH_OP], "Operations": step["operations"]}
        return step.get("body")

    def _checked(self, response: aiohttp.ClientResponse, content: bytes) -> Response:
        if response.status == 304:
            return Response(304, response.headers, {})
        self._require(response.content_type == MEDIA_TYPE, f"the media type should be {MEDIA_TYPE}")
        if response.status == 204:
            self._require(content == b"", "a 204 has no body")
            return Response(204, response.headers, {})
        body = json.loads(content)
        if response.status >= 400:
            self._compare({"schemas": [ERROR], "detail": "{any}"}, body, "the error")
            self._compare(str(response.status), body.get("status"), "the status in the error")
        return Response(response.status, response.headers, body)

    def fill(self, text: str) -> str:
        """The text with its placeholders replaced."""
        for placeholder, value in self.placeholders.items():
            text = text.replace(placeholder, value)
        return text

    def _fill_values(self, value: Any) -> Any:
        match value:
            case str():
                return self.fill(value)
            case dict():
                return {self.fill(key): self._fill_values(each) for key, each in value.items()}
            case list():
                return [self._fill_values(each) for each in value]
        return value

    def _compare(self, expected: Any, actual: Any, what: str) -> None:
        problem = difference(self._fill_values(expected), actual)
        self._require(problem is None, f"{what}: {problem}")

    def _require(self, condition: bool, message: str) -> None:
        if not condition:
            pytest.fail("\n".join([message, "", *self.lines]), pytrace=False)

    def _record(self, first_line: str, headers: dict[str, str], content: bytes) -> None:
        self.lines += [first_line, *(f"    {name}: {value}" for name, value in headers.items())]
        self.lines += [f"    {content[:PRINTED_BYTES].decode(errors='replace')}", ""]
        self.lines = [line.replace(self.token, "TOKEN") for line in self.lines]


MISSING = object()
MARKERS: dict[str, Callable[[Any], bool]] = {
    "{any}": lambda actual: actual != "",
    "{bool}": lambda actual: isinstance(actual, bool),
    "{empty}": lambda actual: actual in (False, "", []),
}


def difference(expected: Any, actual: Any, where: str = "") -> str | None:
    """Describe the first difference between the values; None if the actual value matches.

    Objects may have more members than expected; the order of arrays is ignored.
    """
    if isinstance(expected, dict):
        return _object_difference(expected, actual, where)
    if isinstance(expected, list):
        return _array_difference(expected, actual, where)
    if isinstance(expected, str) and _matches_marker(expected, actual):
        return None
    if type(expected) is type(actual) and expected == actual:
        return None
    found = "nothing" if actual is MISSING else json.dumps(actual, ensure_ascii=False)
    return (
        f"{where or 'the value'} should be {json.dumps(expected, ensure_ascii=False)}, is {found}"
    )


def _object_difference(expected: dict[str, Any], actual: Any, where: str) -> str | None:
    members = actual if isinstance(actual, dict) else {}
    for name, each in expected.items():
        problem = difference(each, members.get(name, MISSING), f"{where}/{name}")
        if problem:
            return problem
    return None


def _array_difference(expected: list[Any], actual: Any, where: str) -> str | None:
    if not isinstance(actual, list):
        return f"{where} should be an array"
    may_have_more = "{among others}" in expected
    expected_elements = [each for each in expected if each != "{among others}"]
    if not may_have_more and len(expected_elements) != len(actual):
        return f"{where} should have {len(expected_elements)} elements, has {len(actual)}"
    remaining = list(actual)
    for each in expected_elements:
        matching = [element for element in remaining if difference(each, element) is None]
        if not matching:
            closest = difference(each, remaining[0], where) if len(remaining) == 1 else None
            return closest or f"{where} lacks {json.dumps(each, ensure_ascii=False)}"
        remaining.remove(matching[0])
    return None


def _matches_marker(expected: str, actual: Any) -> bool:
    """Whether the value matches the marker; False if the text is not a marker."""
    if actual is MISSING or actual is None:
        return expected == "{empty}" or (expected == "{absent}" and actual is MISSING)
    if expected.startswith("{not:"):
        return bool(actual != expected[5:-1])
    if expected in MARKERS:
        return MARKERS[expected](actual)
    if "…" not in expected or not isinstance(actual, str):
        return False
    return re.fullmatch(".*".join(map(re.escape, expected.split("…"))), actual) is not None
