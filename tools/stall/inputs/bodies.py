"""Hostile JSON bodies: each is a function from a size to a body of about that many bytes."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from tools.stall.inputs.texts import UNASSIGNED

Body = Callable[[int], bytes]

ID: Final = "0190a5b4-4c7e-7d3a-9a53-%012x"
"""A UUIDv7 that contains a number."""
DEPTH: Final = 30
"""Slightly less than the maximum nesting of a SCIM body."""


def _json(document: Any) -> bytes:
    return json.dumps(document).encode()


def _raw(unit: bytes, before: bytes, after: bytes) -> Body:
    return lambda size: before + unit * max(1, size // len(unit)) + after


def _many(unit: bytes, before: bytes, after: bytes) -> Body:
    """Array elements separated by commas."""
    return lambda size: before + b",".join([unit] * max(1, size // (len(unit) + 1))) + after


def _numbered(unit: str, before: str, after: str, most: int = 1_000_000) -> Body:
    """Numbered units separated by commas."""

    def body(size: int) -> bytes:
        count = max(1, min(most, size // (len(unit % 0) + 5)))
        return (before + ",".join(unit % number for number in range(count)) + after).encode()

    return body


def _members(size: int, **more: Any) -> bytes:
    count = max(1, size // 50)
    return _json({"displayName": "a", "members": [{"value": ID % n} for n in range(count)], **more})


def _nested_password(size: int) -> bytes:
    """As many levels as the size allows: bodies rejected for their depth are also redacted."""
    levels = max(1, size // 9)
    return b'{"password":1,"path":' + b'{"path":' * levels + b"1" + b"}" * levels + b"}"


def _deep_password(size: int) -> bytes:
    """The maximum depth around a string that is slow to check."""
    inner = b'"' + UNASSIGNED.encode() * max(1, size // 2) + b'"'
    return b'{"password":1,"path":' + b'{"path":' * DEPTH + inner + b"}" * DEPTH + b"}"


STRINGS: Final[Mapping[str, bytes]] = {
    "escaped quotes": b'\\"',
    "backslashes": b"\\\\",
    "unicode escapes": b"\\u0378",
    "surrogate pairs": b"\\ud83d\\ude00",
    "lone surrogates": b"\\ud800",
    "unassigned": UNASSIGNED.encode(),
    "sharp s": "ß".encode(),
    "dotted I": "İ".encode(),
    "letters": b"a",
    "slashes": b"/bulkId:",
    "not UTF-8": b"\xff",
}

RESOURCES: Final[Mapping[str, Body]] = {
    **{
        f"an unclosed string of {name}": _raw(each, b'{"a":"', b"")
        for name, each in STRINGS.items()
    },
    **{
        f"a userName of {name}": _raw(each, b'{"userName":"', b'"}')
        for name, each in STRINGS.items()
    },
    **{
        f"an unknown text of {name}": _raw(each, b'{"a":"', b'"}') for name, each in STRINGS.items()
    },
    "only quotes": _raw(b'"', b"", b""),
    "only backslashes": _raw(b"\\", b'{"userName":"', b""),
    "strings without commas between them": _raw(b'"a"', b'{"a":', b"}"),
    "unclosed arrays": _raw(b"[", b"", b""),
    "nested objects": _raw(b'{"a":', b"", b"1}"),
    "empty objects": _many(b"{}", b'{"userName":"a","emails":[', b"]}"),
    "empty arrays": _many(b"[]", b'{"userName":"a","emails":[', b"]}"),
    "numbers": _many(b"1", b'{"userName":"a","emails":[', b"]}"),
    "nulls": _many(b"null", b'{"userName":"a","emails":[', b"]}"),
    "empty strings": _many(b'""', b'{"userName":"a","emails":[', b"]}"),
    "a number of many digits": _raw(b"9", b'{"userName":', b"}"),
    "a fraction of many digits": _raw(b"9", b'{"userName":"a","a":0.', b"}"),
    "an exponent of many digits": _raw(b"9", b'{"userName":1e', b"}"),
    "blanks": _raw(b" ", b'{"userName":', b'"a"}'),
    "unknown members": _numbered('"k%d":1', "{", "}"),
    "members of an extension": _numbered(
        '"k%d":1',
        '{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{',
        "}}",
    ),
    "a repeated unknown member": _many(b'"a":1', b"{", b"}"),
    "a repeated known member": _many(b'"userName":"a"', b"{", b"}"),
    "schemas": _many(b'"a"', b'{"userName":"a","schemas":[', b"]}"),
    "emails": _numbered('{"value":"a%d@b.test","type":"work"}', '{"userName":"a","emails":[', "]}"),
    "members of a group": _members,
    "members of a group that are strings": _many(b'"a"', b'{"displayName":"a","members":[', b"]}"),
    "a deep password around unassigned text": _deep_password,
    "a password in nested objects": _nested_password,
    "passwords": _many(b'"password"', b'{"password":"a","x":[', b"]}"),
    "paths that are arrays": _many(b'{"path":[[]],"value":1}', b'{"password":1,"a":[', b"]}"),
}
"""Bodies of POST and PUT."""

OPERATIONS: Final[Mapping[str, str]] = {
    "add a title": '{"op":"add","path":"title","value":"%d"}',
    "add a value": '{"op":"add","path":"emails","value":[{"value":"%d"}]}',
    "add without a path": '{"op":"add","value":{"title":"%d","emails":[{"value":"a"}]}}',
    "replace values by a filter": (
        '{"op":"replace","path":"emails[value eq \\"%d\\"].display","value":"a"}'
    ),
    "add by a filter of two conditions": (
        '{"op":"add","path":"emails[type eq \\"work\\" and value sw \\"%d\\"].display","value":"a"}'
    ),
    "remove values by a filter": '{"op":"remove","path":"emails[value co \\"%d\\"]"}',
    "remove by value": '{"op":"remove","path":"emails","value":[{"value":"%d"}]}',
    "replace all values": '{"op":"replace","path":"emails","value":[{"value":"%d"}]}',
    "add members": '{"op":"add","path":"members","value":[{"value":"%d"}]}',
    "remove members": '{"op":"remove","path":"members[value eq \\"%d\\"]"}',
    "an unknown path": '{"op":"add","path":"a%d","value":"a"}',
    "an unknown op": '{"op":"a%d","path":"title","value":"a"}',
}

PATCHES: Final[Mapping[str, Body]] = {
    name: _numbered(each, '{"Operations":[', "]}", most=1_000) for name, each in OPERATIONS.items()
}
"""Bodies of PATCH."""

LONG_PATCHES: Final[Mapping[str, Body]] = {
    "a path of dots": _raw(b"a.", b'{"Operations":[{"op":"add","path":"', b'","value":1}]}'),
    "a filter of backslashes": _raw(
        b"\\\\", b'{"Operations":[{"op":"remove","path":"emails[value eq \\"', b'"}]}'
    ),
    "a filter of parentheses": _raw(
        b"(", b'{"Operations":[{"op":"remove","path":"emails[', b'"}]}'
    ),
    "one add of many values": _numbered(
        '{"value":"%d"}', '{"Operations":[{"op":"add","path":"emails","value":[', "]}]}"
    ),
    "one add of many members": _numbered(
        '{"value":"%d"}', '{"Operations":[{"op":"add","path":"members","value":[', "]}]}"
    ),
    "one removal of many members": _numbered(
        '{"value":"%d"}', '{"Operations":[{"op":"remove","path":"members","value":[', "]}]}"
    ),
}
"""Bodies of PATCH with one large operation."""


def _bulk(unit: str) -> Body:
    """Operations that contain their own and the next number; at most 1,000, the limit."""

    def body(size: int) -> bytes:
        count = max(1, min(1_000, size // (len(unit) + 8)))
        each = (unit % {"n": n, "next": (n + 1) % count} for n in range(count))
        return ('{"Operations":[' + ",".join(each) + "]}").encode()

    return body


def _bulk_of_references_to_all(size: int) -> bytes:
    """Every group has all groups as members: the number of references is quadratic."""
    count = max(1, int((size / 24) ** 0.5))
    members = [{"value": f"bulkId:{n}"} for n in range(count)]
    operations = [
        {
            "method": "POST",
            "path": "/Groups",
            "bulkId": str(n),
            "data": {"displayName": "a", "members": members},
        }
        for n in range(count)
    ]
    return _json({"Operations": operations})


_USER = '{"method":"POST","path":"/Users","bulkId":"%(n)d","data":'
_GROUP = '{"method":"POST","path":"/Groups","bulkId":"%(n)d","data":{"displayName":"a",'

BULKS: Final[Mapping[str, Body]] = {
    "creations that are refused": _bulk(_USER + "{}}"),
    "deletions of unknown users": _bulk('{"method":"DELETE","path":"/Users/%(n)d"}'),
    "a cycle of groups": _bulk(_GROUP + '"members":[{"value":"bulkId:%(next)d"}]}}'),
    "groups that contain themselves": _bulk(_GROUP + '"members":[{"value":"bulkId:%(n)d"}]}}'),
    "groups that contain the first": _bulk(_GROUP + '"members":[{"value":"bulkId:0"}]}}'),
    "groups that contain the next and themselves": _bulk(
        _GROUP + '"members":[{"value":"bulkId:%(next)d"},{"value":"bulkId:%(n)d"}]}}'
    ),
    "groups that contain all groups": _bulk_of_references_to_all,
    "references to unknown bulkIds": _bulk(_USER + '{"x":"bulkId:a%(n)d"}}'),
    "the same bulkId": _bulk('{"method":"POST","path":"/Users","bulkId":"a","data":{}}'),
    "empty operations": _bulk("{}"),
    "one operation with a long string": _raw(
        b"/bulkId:",
        b'{"Operations":[{"method":"PATCH","path":"/Users/1","data":{"$ref":"',
        b'"}}]}',
    ),
    "one operation with a long path": _raw(
        b"/bulkId:", b'{"Operations":[{"method":"PUT","data":{},"path":"', b'"}]}'
    ),
}
"""Bodies of bulk requests."""


def _search(name: str, unit: bytes, before: bytes = b"", after: bytes = b"") -> Body:
    opening = b'{"' + name.encode() + b'":"' + before
    return lambda size: opening + unit * max(1, size // len(unit)) + after + b'"}'


SEARCHES: Final[Mapping[str, Body]] = {
    "attributes that are unknown": _numbered('"a%d"', '{"attributes":[', "]}"),
    "attributes that are known": _many(b'"emails.value"', b'{"attributes":[', b"]}"),
    "a count of many digits": _search("count", b"9"),
    "a count without quotes": _raw(b"9", b'{"count":', b"}"),
    "a startIndex of many digits": _search("startIndex", b"9"),
    "a cursor": _search("cursor", b"QUFB"),
    "a sortBy of dots": _search("sortBy", b"a."),
    "a sortOrder": _search("sortOrder", "İ".encode()),
}
"""Bodies of `/.search`, except filters."""
