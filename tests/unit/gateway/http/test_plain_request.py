"""Plain requests: the pattern agrees with the HTTP parser or does not match."""

import asyncio
from dataclasses import dataclass

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.http.plain_request import MAX_BYTES, PlainRequests
from gateway.http.server import MAX_FIELD_BYTES, MAX_HEADERS, MAX_LINE_BYTES

USERS, GROUPS = "/scim/Users", "/scim/Groups"
REQUESTS = PlainRequests((USERS, GROUPS))
KEY = "Authorization: Bearer abc"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
FIRST = f"GET {USERS} HTTP/1.1"


def request(*headers: str, first: str = FIRST, host: str = "Host: a", body: str = "") -> bytes:
    lines = [first, *([host] if host else []), *headers, "", body]
    return "\r\n".join(lines).encode("latin-1")


@pytest.mark.parametrize(
    "data",
    [
        request(KEY),
        request("Accept: */*", KEY, "User-Agent: a"),
        request("Accept: */*", "authorization: Bearer abc", "x-request-id: 1"),
        request("AUTHORIZATION:Bearer abc"),
        request(KEY, "Content-Length: 2", body="{}"),
        request("content-length:2", KEY, body="{}"),
        request(KEY, "Content-Length: 0"),
        request(KEY, "Connection: keep-alive", "Connection: Keep-Alive"),
        request(KEY, "X-Empty:", 'X-Odd: \t"quoted" '),
        request(KEY, first=f"GET {USERS}?filter=userName+eq+%22a%22 HTTP/1.1"),
        request(KEY, first=f"DELETE {GROUPS}/1 HTTP/1.1"),
        request(KEY, "Content-Length: 12", body="\r\n\r\nGET / HT"),
        request("Content-Type: a", "User-Agent: b", KEY),
        request(KEY, "X-Long: " + "a" * 7_800),
        request(KEY, *["X: a"] * 90),
        request(KEY, "Content-Length: 16000", body="a" * 16_000),
    ],
)
def test_usual_client_requests_are_plain(data: bytes):
    assert REQUESTS.authorization(data) == "Bearer abc"
    assert parse(data) is not None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        request(),
        request(KEY)[:-1],
        request(KEY) + b"G",
        request(KEY) * 2,
        request(KEY, KEY),
        request(KEY, "Content-Length: 2", body="{"),
        request(KEY, "Content-Length: 2", body="{}}"),
        request(KEY, "Content-Length: 2", "Content-Length: 2", body="{}"),
        request("Content-Length: 2", KEY, "Content-Length: 2", body="{}"),
        request(KEY, "Content-Length: +2", body="{}"),
        request(KEY, "Content-Length: 2, 2", body="{}"),
        request(KEY, "Content-Length : 2", body="{}"),
        request(KEY, "Transfer-Encoding: chunked", body="0\r\n\r\n"),
        request(KEY, "transfer-encoding: identity"),
        request(KEY, "Connection: close"),
        request(KEY, "Connection: upgrade", "Upgrade: websocket"),
        request(KEY, "Upgrade: h2c"),
        request(KEY, "Proxy-Connection: close"),
        request(KEY, "Expect: 100-continue"),
        request(KEY, " folded: b"),
        request("Authorization: Bearer abc\r\n def"),
        request("Authorization : Bearer abc"),
        request("Authorization: Bearer  abc"),
        request("Authorization: abc"),
        request(KEY, "X-Latin: ü"),
        request(KEY, "X-Zero: \0"),
        request(KEY, "X-Bare: a\rb"),
        request(KEY, "X-Bare: a\nb"),
        request(KEY, ": nameless"),
        request(KEY, "X(odd): a"),
        request(KEY, first=f"GET {USERS} HTTP/1.0"),
        request(KEY, first=f"GET {USERS} HTTP/1.1 "),
        request(KEY, first=f"GET  {USERS} HTTP/1.1"),
        request(KEY, first=f"HEAD {USERS} HTTP/1.1"),
        request(KEY, first=f"get {USERS} HTTP/1.1"),
        request(KEY, first="GET /scim/Schemas HTTP/1.1"),
        request(KEY, first=f"GET http://a{USERS} HTTP/1.1"),
        request(KEY, first=f"GET {USERS}ü HTTP/1.1"),
        b"\r\n" + request(KEY),
        request(KEY, host=""),
        request(KEY, "HOST: b"),
        *[
            request(KEY, f"{name}: a", f"{name.lower()}: a")
            for name in ("Content-Type", "User-Agent", "ETag", "Server", "Max-Forwards")
        ],
        request(KEY, "Sec-WebSocket-Key1: a"),
        request(KEY, "X-Long: " + "a" * 8_200),
        request(KEY, "X-" + "a" * 8_200 + ": a"),
        request(KEY, *["X: a"] * 100),
        request(KEY).replace(b"\r\n", b"\n"),
        request(KEY, "X-Long: " + "a" * MAX_BYTES),
    ],
)
def test_unusual_requests_are_not_plain(data: bytes):
    assert REQUESTS.authorization(data) is None


@dataclass(frozen=True)
class ParsedRequest:
    """A request as aiohttp's parser reads it."""

    method: str
    path: str
    authorization: list[str]
    body: bytes
    keeps_connection: bool


def parse(data: bytes) -> ParsedRequest | None:
    """The request, if the data is exactly one request and the next one can follow it."""
    loop = asyncio.new_event_loop()
    try:
        protocol = BaseProtocol(loop)
        parser = HttpRequestParser(
            protocol,
            loop,
            2**16,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_FIELD_BYTES,
            max_headers=MAX_HEADERS,
            auto_decompress=False,
        )
        protocol._parser = parser
        try:
            found, upgraded, rest = parser.feed_data(data)
            after, _, _ = parser.feed_data(NEXT)
        except HttpProcessingError:
            return None
        if len(found) != 1 or upgraded or rest or [each.path for each, _ in after] != ["/next"]:
            return None
        message, payload = found[0]
        body = b"" if not payload.total_bytes else payload.read_nowait(-1)
        keys = message.headers.getall("Authorization", [])
        keeps_connection = not message.should_close and not message.chunked and payload.is_eof()
        return ParsedRequest(message.method, message.path, keys, body, keeps_connection)
    finally:
        loop.close()


PIECES = st.sampled_from(
    [
        *[
            "a",
            "b ",
            " ",
            "\t",
            "\r",
            "\n",
            "\r\n",
            "\0",
            "ü",
            ":",
            ",",
            "2",
            "0",
            "+",
            "{}",
            "%20",
        ],
        *["chunked", "close", "keep-alive", "Bearer", "abc", "HTTP/1.1", USERS, ";q=1", "GET"],
    ]
)
TEXTS = st.lists(PIECES, max_size=4).map("".join)
NAMES = st.sampled_from(
    [
        *["Authorization", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade"],
        *["Host", "Content-Type", "User-Agent", "ETag", "Server", "Sec-WebSocket-Version"],
        *["Expect", "Accept", "content-length ", "Proxy-Connection", "TE", "Trailer", "X-\x7f"],
    ]
)
USUAL = st.sampled_from(
    [KEY, "Content-Length: 2", "Content-Length: 0", "Accept: b", "Content-Type: c", "host: d"]
)
HEADERS = USUAL | st.builds("{}:{}".format, NAMES, TEXTS) | TEXTS
FIRST_LINES = st.just(FIRST) | st.builds(
    "{} {}{} {}".format,
    st.sampled_from(["GET", "POST", "CONNECT", "PRI"]),
    st.sampled_from([USERS, GROUPS, "*"]),
    TEXTS,
    st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", ""]),
)


@settings(max_examples=500)
@given(FIRST_LINES, st.sampled_from(["Host: a"] * 3 + [""]), st.lists(HEADERS, max_size=5), TEXTS)
@example(FIRST, "Host: a", [KEY, "Content-Length: 2"], "{}")
def test_plain_request_is_read_as_the_http_parser_reads_it(
    first: str, host: str, headers: list[str], body: str
):
    data = request(*headers, first=first, host=host, body=body)
    authorization = REQUESTS.authorization(data)
    if authorization is None:
        return
    parsed = parse(data)
    assert parsed is not None
    assert parsed.authorization == [authorization]
    assert parsed.keeps_connection
    assert parsed.path.startswith((USERS, GROUPS))
    assert data.endswith(parsed.body)
