"""Removes secrets from the text of a refused request. Pure: no clock, no I/O.

No resource of this service has a password, yet some identity providers send one, and people
paste API keys in the wrong places. JSON lets a client spell a name in many ways ("p\\u0061ssword"),
so a body that may contain a password is serialized again from the parsed document, or not kept.

The work is linear in the size of the request. Only the beginning of a text is kept, and no more
of a document than that is serialized.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final
from urllib.parse import unquote

import orjson

from gateway.scim.resource import MAX_DEPTH

BODY_CHARACTERS: Final = 4_096
TARGET_CHARACTERS: Final = 2_000
DETAIL_CHARACTERS: Final = 4_000
HIDDEN: Final = "not kept"

_MAX_MEMBERS: Final = 1_000
"""An object with more members is no valid resource or operation; it is not kept."""
_PASSWORD: Final = "password"  # noqa: S105 - the name of the attribute
_UTF8_BYTES: Final = 4
"""The largest number of bytes of a character in UTF-8."""
_API_KEY: Final = re.compile(r"(cak_(?:us|eu)_)[0-9A-Za-z_]++")
_ESCAPED: Final = "\\u"
# Any letter may be written as an escape (RFC 8259 section 7).
_ASCII_SPELLINGS: Final = (_PASSWORD.encode(), _ESCAPED.encode())
_OTHER_SPELLINGS: Final = tuple(each.encode() for each in "ſßẞ")
"""Case folding turns these into s or ss."""


def body_text(body: bytes, document: Mapping[str, Any] | None) -> str:
    """The beginning of a body: as it was sent, or as JSON with its passwords replaced.

    `document` is the parsed body, or None if it could not be parsed; then a body that may contain
    a password is not kept.
    """
    # JSON contains no NUL. UTF-16 puts one between the letters of a name and would hide it.
    body = body.translate(None, b"\0") if b"\0" in body else body
    if not _may_hold_password(body):
        return clean(
            body[: BODY_CHARACTERS * _UTF8_BYTES].decode(errors="replace"), BODY_CHARACTERS
        )
    if document is None:
        return HIDDEN
    writer = _Writer()
    writer.write(document)
    return clean(writer.text(), BODY_CHARACTERS)


def target_text(target: str) -> str:
    """The path and query; a part with the word password or an encoded API key is not kept."""
    kept = clean(target[:TARGET_CHARACTERS], TARGET_CHARACTERS)
    if not _hides_secret(kept):
        return kept
    path = kept.partition("?")[0]
    return HIDDEN if _hides_secret(path) else f"{path}?{HIDDEN}"


def detail_text(detail: str) -> str:
    """The error `detail`; not kept if it names a password, because it may quote the value."""
    kept = clean(detail[:DETAIL_CHARACTERS], DETAIL_CHARACTERS)
    return HIDDEN if _mentions_password(kept) else kept


def clean(text: str, limit: int) -> str:
    """The first `limit` characters, without API keys and what PostgreSQL cannot store."""
    kept = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
    return _API_KEY.sub(r"\1…", kept)[:limit]


def _may_hold_password(body: bytes) -> bool:
    lowered = body.lower()
    if any(each in lowered for each in _ASCII_SPELLINGS):
        return True
    return not body.isascii() and any(each in body for each in _OTHER_SPELLINGS)


def _hides_secret(text: str) -> bool:
    decoded = unquote(text)
    return _mentions_password(decoded) or _API_KEY.search(decoded) is not None


def _mentions_password(text: str) -> bool:
    """Whether a text contains the word password, or may hide it in escapes of nested JSON."""
    if len(text) > BODY_CHARACTERS and not text.isascii():
        return True  # folding the case of a long text would take too long
    return _PASSWORD in text.casefold() or _ESCAPED in text


def _is_password(path: str) -> bool:
    """Whether a text is exactly the attribute path of a password."""
    lowered = path.lower()
    return lowered == _PASSWORD or (lowered.startswith("urn:") and lowered.endswith(":password"))


class _Writer:
    """Serializes a document as compact JSON, up to BODY_CHARACTERS."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._left = BODY_CHARACTERS

    def text(self) -> str:
        """The JSON so far."""
        return "".join(self._parts)

    def write(self, value: object, depth: int = 1) -> None:
        """Write a value, with HIDDEN in place of anything that may be a password."""
        if depth > MAX_DEPTH:
            self._put_text(HIDDEN)
        elif isinstance(value, dict):
            self._write_object(value, depth)
        elif isinstance(value, list):
            self._write_array(value, depth)
        elif isinstance(value, str):
            self._put_text(HIDDEN if _mentions_password(value) else value)
        else:
            self._put(orjson.dumps(value).decode())

    def _write_object(self, members: Mapping[str, Any], depth: int) -> None:
        if len(members) > _MAX_MEMBERS:
            self._put_text(HIDDEN)
            return
        hidden = _hidden_members(members)
        self._put("{")
        for index, (name, value) in enumerate(members.items()):
            if self._left <= 0:
                return
            self._put("," if index else "")
            self._put_text(name if _is_password(name) or not _mentions_password(name) else HIDDEN)
            self._put(":")
            if name not in hidden:
                self.write(value, depth + 1)
            else:
                is_path = isinstance(value, str) and name.lower() == "path" and _is_password(value)
                self._put_text(value if is_path else HIDDEN)
        self._put("}")

    def _write_array(self, values: Iterable[object], depth: int) -> None:
        texts = (value for value in islice(values, BODY_CHARACTERS) if isinstance(value, str))
        if any(map(_mentions_password, texts)):
            self._put_text(HIDDEN)
            return
        self._put("[")
        for index, value in enumerate(values):
            if self._left <= 0:
                return
            self._put("," if index else "")
            self.write(value, depth + 1)
        self._put("]")

    def _put_text(self, text: str) -> None:
        self._put(orjson.dumps(text[: self._left]).decode())

    def _put(self, text: str) -> None:
        self._parts.append(text)
        self._left -= len(text)


def _hidden_members(members: Mapping[str, Any]) -> frozenset[str]:
    """The names of the members whose values may be or contain a password."""
    paths = [value for name, value in members.items() if name.lower() == "path"]
    if any(value is not None and _may_lead_to_password(value) for value in paths):
        # Hide all but `op`: a malformed PATCH operation may hold the password in any member.
        return frozenset(name for name in members if name.lower() != "op")
    named = any(isinstance(value, str) and _mentions_password(value) for value in members.values())
    return frozenset(
        name for name in members if _mentions_password(name) or (named and name.lower() == "value")
    )


def _may_lead_to_password(path: object) -> bool:
    return not isinstance(path, str) or _mentions_password(path)
