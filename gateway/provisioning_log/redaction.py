"""The text of a refused request without the secrets in it. Pure: no clock, no I/O.

No resource of this service has a password, yet some identity providers send one, and people
paste API keys where none belong. JSON lets a client spell a name in many ways ("p\\u0061ssword"),
so a text that may hold a password is serialized again from the parsed document, or not kept.

All work is linear in the request, and small: only the beginning of a text is kept, and no more of
a document is written than that.
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
"""An object with more members cannot be a resource or an operation; it is not kept."""
_PASSWORD: Final = "password"  # noqa: S105 - the name of the attribute
_UTF8_BYTES: Final = 4
"""The most bytes of a character in UTF-8."""
_API_KEY: Final = re.compile(r"(cak_(?:us|eu)_)[0-9A-Za-z_]++")
_ESCAPED: Final = "\\u"
# Any letter may be written as an escape (RFC 8259 section 7).
_ASCII_SPELLINGS: Final = (_PASSWORD.encode(), _ESCAPED.encode())
_OTHER_SPELLINGS: Final = tuple(each.encode() for each in "ſßẞ")
"""These are s or ss when case is folded."""


def body_text(body: bytes, document: Mapping[str, Any] | None) -> str:
    """The beginning of a body: as it was sent, or as JSON without the passwords in it.

    `document` is the parsed body, None if it could not be parsed; then a text that may hold a
    password is not kept.
    """
    # JSON has no NUL. A client that sends UTF-16 would hide names between them.
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
    """The path and query; a part that names a password or has an encoded API key is not kept."""
    kept = clean(target[:TARGET_CHARACTERS], TARGET_CHARACTERS)
    if not _hides_secret(kept):
        return kept
    path = kept.partition("?")[0]
    return HIDDEN if _hides_secret(path) else f"{path}?{HIDDEN}"


def detail_text(detail: str) -> str:
    """The `detail` that the client got, unless it names a password, whose value it may quote."""
    kept = clean(detail[:DETAIL_CHARACTERS], DETAIL_CHARACTERS)
    return HIDDEN if _mentions_password(kept) else kept


def clean(text: str, limit: int) -> str:
    """The beginning of a text as a database can keep it, without API keys."""
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
    """Whether a text names a password, or may: in escapes of JSON within JSON."""
    if len(text) > BODY_CHARACTERS and not text.isascii():
        return True  # to fold the case of a long one would take long
    return _PASSWORD in text.casefold() or _ESCAPED in text


def _is_password(path: str) -> bool:
    """Whether a text is the path of a password and nothing else."""
    lowered = path.lower()
    return lowered == _PASSWORD or (lowered.startswith("urn:") and lowered.endswith(":password"))


class _Writer:
    """Writes a document as compact JSON, until there is as much of it as is kept."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._left = BODY_CHARACTERS

    def text(self) -> str:
        """What has been written."""
        return "".join(self._parts)

    def write(self, value: object, depth: int = 1) -> None:
        """Write a value; with HIDDEN in the place of what may be a password."""
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
    """The names of the members whose values may be a password, or hold one."""
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
