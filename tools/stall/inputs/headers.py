"""Headers and paths at the parser's limits: 100 fields of 8 KiB, and a request line of 32 KiB."""

from collections.abc import Callable, Mapping
from typing import Final

from tools.stall.inputs.attack import Header
from tools.stall.inputs.texts import Text, repeated

Headers = Callable[[int], tuple[Header, ...]]

HEAD_BYTES: Final = 48 * 1024
HEADER_BYTES: Final = 7_500
SCIM: Final = "application/scim+json"


def _field(name: str, text: Text) -> Headers:
    def make(size: int) -> tuple[Header, ...]:
        value = text(min(size, HEADER_BYTES)).encode(errors="surrogateescape")
        return ((name, value[:HEADER_BYTES]),)

    return make


def _fields(name: Callable[[int], str], value: str) -> Headers:
    def make(size: int) -> tuple[Header, ...]:
        count = min(90, size // (len(value) + 10))
        return tuple((name(n), value.encode()) for n in range(count))

    return make


HEADERS: Final = {
    "Authorization: repeated Bearer": _field("Authorization", repeated("Bearer ")),
    "Authorization: a long made-up key": _field("Authorization", lambda n: "Bearer " + "a" * n),
    "Authorization: a key with its prefix": _field(
        "Authorization", lambda n: "Bearer " + "cak_us_" * (n // 7)
    ),
    "Authorization: not ASCII": _field("Authorization", lambda n: "Bearer " + "ß" * (n // 2)),
    "Cookie: many": _field("Cookie", repeated("a=b; ")),
    "Cookie: many quotes": _field("Cookie", lambda n: 'a="' + '\\"' * (n // 2)),
    "Cookie: octal escapes": _field("Cookie", lambda n: 'a="' + "\\101" * (n // 4) + '"'),
    "Cookie: a long session": _field("Cookie", lambda n: "session-us=" + "a." * (n // 2)),
    "If-Match: many": _field("If-Match", repeated('"a",')),
    "If-None-Match: spaces": _field("If-None-Match", lambda n: '"a"' + " ," * (n // 2)),
    "Accept: many": _field("Accept", repeated("text/html;q=0.1,")),
    "Content-Type: many parameters": _field("Content-Type", lambda n: SCIM + ";a=b" * (n // 4)),
    "Forwarded: many": _field("Forwarded", repeated("for=1.1.1.1,")),
    "X-Forwarded-For: many": _field("X-Forwarded-For", repeated("1.1.1.1, ")),
    "Origin: brackets": _field("Origin", lambda n: "http://" + "[" * n),
    "many headers": _fields(lambda n: f"X-{n}", "y" * 500),
    "many Cookie headers": _fields(lambda _: "Cookie", "; ".join(f"c{n}=1" for n in range(80))),
    "many Accept headers": _fields(lambda _: "Accept", "text/html;q=0.1," * 30),
}
"""Headers sent to every route."""

PATHS: Final[Mapping[str, Text]] = {
    "slashes": repeated("/"),
    "escaped slashes": repeated("%2F"),
    "escapes": repeated("%41"),
    "segments": repeated("/a"),
    "dot segments": repeated("/.."),
}
