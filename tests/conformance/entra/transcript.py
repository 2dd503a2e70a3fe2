"""Plays one recorded case against a tenant and tells all that went over the wire."""

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
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
SHOWN = 2000

Case = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass(slots=True)
class Transcript:
    """A case in progress: its placeholders, and every exchange so far."""

    session: aiohttp.ClientSession
    url: str
    token: str
    names: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        unique = f"u{uuid.uuid4().hex[:10]}"
        self.names = {
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
        }

    async def play(self, case: Case) -> None:
        """Post what is given, play the steps, and compare the state that is left behind."""
        endpoint = f"/{case.get('resource', 'Users')}"
        for role in case.get("people", ()):
            await self._given(f"{role}_", "/Users", {"userName": f"{role}.{{unique}}@corp.test"})
        if "given" in case:
            await self._given("", endpoint, case["given"])
        for step in case.get("steps", [case]):
            await self._step(step)
        if "then" in case:
            answer = await self._send({"send": f"GET {endpoint}/{{id}}"})
            self._compare(200, answer.status, "the status")
            self._compare(case["then"], answer.body, "the resource afterwards")

    async def _given(self, role: str, endpoint: str, values: dict[str, Any]) -> None:
        required: dict[str, Any] = {"schemas": [USER], "userName": "{userName}"}
        if endpoint == "/Groups":
            required = {"schemas": [GROUP]}
        answer = await self._send({"send": f"POST {endpoint}", "body": {**required, **values}})
        self._compare(201, answer.status, "the status")
        self.names[f"{{{role}id}}"] = answer.body["id"]
        self.names[f"{{{role}etag}}"] = answer.headers.get("ETag", "")
        if role:
            self.names[f"{{{role}userName}}"] = answer.body["userName"]

    async def _step(self, step: Case) -> None:
        answer = await self._send(step)
        allowed = step["status"] if isinstance(step["status"], list) else [step["status"]]
        self._require(answer.status in allowed, f"the status should be {allowed}")
        if answer.status == 201 and "{id}" not in self.names:
            self.names["{id}"] = answer.body["id"]
        if "scimType" in step:
            types = step["scimType"] if isinstance(step["scimType"], list) else [step["scimType"]]
            actual = answer.body.get("scimType")
            self._require(actual in types, f"scimType should be {types}, not {actual!r}")
        for name, expected in step.get("headers_answered", {}).items():
            self._compare(expected, answer.headers.get(name), f"the header {name}")
        if "answer" in step:
            self._compare(step["answer"], answer.body, "the answer")

    async def _send(self, step: Case) -> Answer:
        """One request exactly as recorded, and what is true of every answer."""
        method, target = self.filled(step["send"]).split(" ", 1)
        content = self._content(step)
        headers = {"Authorization": "Bearer {token}"}
        if content is not None:
            headers["Content-Type"] = f"{MEDIA_TYPE}; charset=utf-8"
        headers |= step.get("headers", {})
        sent = {name: self.filled(value) for name, value in headers.items() if value is not None}
        self._tell(f"> {method} {target}", sent, content or b"")
        async with self.session.request(
            method,
            URL(self.url + target, encoded=True),
            headers=sent,
            data=content,
            skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
            allow_redirects=False,
        ) as response:
            received = await response.read()
            self._tell(f"< {response.status}", dict(response.headers), received)
            return self._checked(response, received)

    def _content(self, step: Case) -> bytes | None:
        if "raw_base64" in step:
            return base64.b64decode(step["raw_base64"])
        if "raw" in step:
            return bytes(self.filled(step["raw"]), "utf-8")
        body = step.get("body")
        if "operations" in step:
            body = {"schemas": [PATCH_OP], "Operations": step["operations"]}
        return None if body is None else json.dumps(self._filled_in(body)).encode()

    def _checked(self, response: aiohttp.ClientResponse, content: bytes) -> Answer:
        self._require(response.content_type == MEDIA_TYPE, f"the media type should be {MEDIA_TYPE}")
        if response.status == 204:
            self._require(content == b"", "a 204 has no body")
            return Answer(204, response.headers, {})
        body = json.loads(content)
        if response.status >= 400:
            self._compare({"schemas": [ERROR], "detail": "{any}"}, body, "the error")
            self._compare(str(response.status), body.get("status"), "the status in the error")
        return Answer(response.status, response.headers, body)

    def filled(self, text: str) -> str:
        """The text with its placeholders replaced."""
        for placeholder, value in self.names.items():
            text = text.replace(placeholder, value)
        return text

    def _filled_in(self, value: Any) -> Any:
        match value:
            case str():
                return self.filled(value)
            case dict():
                return {self.filled(key): self._filled_in(each) for key, each in value.items()}
            case list():
                return [self._filled_in(each) for each in value]
        return value

    def _compare(self, expected: Any, actual: Any, what: str) -> None:
        problem = difference(self._filled_in(expected), actual)
        self._require(problem is None, f"{what}: {problem}")

    def _require(self, holds: bool, message: str) -> None:
        if not holds:
            pytest.fail("\n".join([message, "", *self.lines]), pytrace=False)

    def _tell(self, first: str, headers: dict[str, str], content: bytes) -> None:
        self.lines += [first, *(f"    {name}: {value}" for name, value in headers.items())]
        self.lines += [f"    {content[:SHOWN].decode(errors='replace')}", ""]
        self.lines = [line.replace(self.token, "TOKEN") for line in self.lines]


MISSING = object()
MARKERS: dict[str, Callable[[Any], bool]] = {
    "{any}": lambda actual: actual != "",
    "{bool}": lambda actual: isinstance(actual, bool),
    "{empty}": lambda actual: actual in (False, "", []),
}


def difference(expected: Any, actual: Any, where: str = "") -> str | None:
    """What keeps the actual value from being the expected one, None when nothing does.

    Objects may have more members than expected; arrays are compared without regard to order.
    """
    if isinstance(expected, dict):
        return _object_difference(expected, actual, where)
    if isinstance(expected, list):
        return _array_difference(expected, actual, where)
    if isinstance(expected, str) and _marker_holds(expected, actual):
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
    among_others = "{among others}" in expected
    wanted = [each for each in expected if each != "{among others}"]
    if not among_others and len(wanted) != len(actual):
        return f"{where} should have {len(wanted)} elements, has {len(actual)}"
    left = list(actual)
    for each in wanted:
        fitting = [other for other in left if difference(each, other) is None]
        if not fitting:
            closest = difference(each, left[0], where) if len(left) == 1 else None
            return closest or f"{where} lacks {json.dumps(each, ensure_ascii=False)}"
        left.remove(fitting[0])
    return None


def _marker_holds(expected: str, actual: Any) -> bool:
    """Whether the value satisfies a marker; False for every text that is none."""
    if actual is MISSING or actual is None:
        return expected == "{empty}" or (expected == "{absent}" and actual is MISSING)
    if expected.startswith("{not:"):
        return bool(actual != expected[5:-1])
    if expected in MARKERS:
        return MARKERS[expected](actual)
    if "…" not in expected or not isinstance(actual, str):
        return False
    return re.fullmatch(".*".join(map(re.escape, expected.split("…"))), actual) is not None
