"""HTTP requests that two parsers could interpret differently."""

PATH = b"/webhooks/ad/v1/scim"
QUIET_SECONDS = 0.3
"""Silence after which a response counts as the last one."""


BODY = b'{"userName": "smuggler@corp.test"}'
SIZE = len(BODY)
SECOND = b"GET %s/ServiceProviderConfig HTTP/1.1\r\nHost: a\r\n\r\n" % PATH
LINE = b"POST %s/Users HTTP/1.1\r\n" % PATH
HEAD = b"Host: a\r\nAuthorization: Bearer KEY\r\nContent-Type: application/scim+json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
LENGTH = b"Content-Length: %d\r\n" % SIZE
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (SIZE, BODY)


def with_headers(headers: bytes, body: bytes = BODY, line: bytes = LINE) -> bytes:
    return line + HEAD + headers + b"\r\n" + body


def with_chunks(chunks: bytes) -> bytes:
    return with_headers(CHUNKED, chunks)


def with_line(line: bytes) -> bytes:
    return with_headers(LENGTH, line=line)


REJECTED = {
    "a length and chunks": with_headers(b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n"),
    "chunks and a length": with_headers(CHUNKED + b"Content-Length: 4\r\n", CHUNKS),
    "a blank before the colon": with_headers(b"Transfer-Encoding : chunked\r\n", CHUNKS),
    "an unknown coding": with_headers(b"Transfer-Encoding: xchunked\r\n", CHUNKS),
    "chunks, then identity": with_headers(CHUNKED + b"Transfer-Encoding: identity\r\n", CHUNKS),
    "identity, then chunks": with_headers(b"Transfer-Encoding: identity\r\n" + CHUNKED, CHUNKS),
    "chunks twice": with_headers(b"Transfer-Encoding: chunked, chunked\r\n", CHUNKS),
    "chunks behind a vertical tab": with_headers(b"Transfer-Encoding: \x0bchunked\r\n", CHUNKS),
    "chunks in quotes": with_headers(b'Transfer-Encoding: "chunked"\r\n', CHUNKS),
    "a folded coding": with_headers(b"Transfer-Encoding:\r\n chunked\r\n", CHUNKS),
    "chunks in HTTP/1.0": with_headers(CHUNKED, CHUNKS, LINE.replace(b"1.1", b"1.0")),
    "two lengths": with_headers(LENGTH + b"Content-Length: 0\r\n"),
    "the same length twice": with_headers(LENGTH * 2),
    "a list of lengths": with_headers(b"Content-Length: %d, %d\r\n" % (SIZE, SIZE)),
    "a length with plus": with_headers(b"Content-Length: +%d\r\n" % SIZE),
    "a negative length": with_headers(b"Content-Length: -1\r\n"),
    "a length with underscore": with_headers(b"Content-Length: 3_4\r\n"),
    "a length in hexadecimal": with_headers(b"Content-Length: 0x22\r\n"),
    "a length with a blank": with_headers(b"Content-Length: 3 4\r\n"),
    "a blank before the length's colon": with_headers(b"Content-Length : %d\r\n" % SIZE),
    "an endless length": with_headers(b"Content-Length: 99999999999999999999999\r\n"),
    "a length in other digits": with_headers("Content-Length: ٣٤\r\n".encode()),
    "a line that ends with LF": with_line(LINE.replace(b"\r\n", b"\n")),
    "a header that ends with LF": with_headers(b"X: y\n" + LENGTH),
    "a head that ends with LF": LINE + HEAD + LENGTH + b"\n" + BODY,
    "a CR in a header": with_headers(b"X: y\r" + LENGTH),
    "a folded header": with_headers(LENGTH + b"X: a\r\n b\r\n"),
    "a first header that is folded": with_line(LINE + b" X: y\r\n"),
    "a header without a colon": with_headers(LENGTH + b"abc\r\n"),
    "a header without a name": with_headers(LENGTH + b": abc\r\n"),
    "NUL in a name": with_headers(LENGTH + b"X\0: y\r\n"),
    "NUL in a value": with_headers(LENGTH + b"X: \0\r\n"),
    "NUL in the path": with_line(LINE.replace(b"/Users", b"/Users\0")),
    "a chunk of endless size": with_chunks(b"ffffffffffffffff1\r\n%s\r\n0\r\n\r\n" % BODY),
    "a chunk's size with plus": with_chunks(b"+" + CHUNKS),
    "a chunk's size with 0x": with_chunks(b"0x" + CHUNKS),
    "a chunk's size with underscore": with_chunks(b"2_2" + CHUNKS[2:]),
    "a chunk's size with a blank": with_chunks(CHUNKS.replace(b"\r\n", b" \r\n", 1)),
    "a negative chunk": with_chunks(b"-1\r\n%s\r\n0\r\n\r\n" % BODY),
    "a chunk without a size": with_chunks(b"\r\n%s\r\n0\r\n\r\n" % BODY),
    "chunks that end with LF": with_chunks(CHUNKS.replace(b"\r\n", b"\n")),
    "a chunk that is longer than its size": with_chunks(b"%x\r\n%sXX0\r\n\r\n" % (SIZE, BODY)),
    "LF in a chunk's extension": with_chunks(CHUNKS.replace(b"\r\n", b";a\nb\r\n", 1)),
    "a length behind the chunks": with_chunks(CHUNKS[:-2] + b"Content-Length: 5\r\n\r\n"),
    "no host": with_line(LINE).replace(b"Host: a\r\n", b""),
    "two hosts": with_headers(LENGTH + b"Host: b\r\n"),
    "a blank in the path": with_line(LINE.replace(b"/Users", b"/Users /x")),
    "a version in lower case": with_line(LINE.replace(b"HTTP", b"http")),
    "a version that there is not": with_line(LINE.replace(b"1.1", b"1.2")),
    "a version of frames": with_line(LINE.replace(b"1.1", b"2.0")),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no version": b"GET /\r\n",
}


GET = b"GET %s/ServiceProviderConfig HTTP/1.1\r\nHost: a\r\n" % PATH


# Unambiguous requests, with the responses to them and to the second request.
ACCEPTED = {
    "one after the other": (GET + b"\r\n" + SECOND, [200, 200, 200]),
    "a request in a body": (GET + b"Content-Length: %d\r\n\r\n" % len(SECOND), [200]),
    "a chunk with an extension": (with_chunks(CHUNKS.replace(b"\r\n", b";a=b\r\n", 1)), [401, 200]),
    "a coding in upper case": (with_headers(CHUNKED.upper(), CHUNKS), [401, 200]),
    "an address of another host": (GET.replace(b" /", b" http://b/") + b"\r\n", [200, 200]),
    "a tunnel": (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", [404]),
    "a tunnel with content": (
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(SECOND) + SECOND,
        [404],
    ),
    "an empty line before": (b"\r\n" + GET + b"\r\n", [200, 200]),
    "an expectation": (with_headers(LENGTH + b"Expect: 100-continue\r\n"), [100, 401, 200]),
    "another expectation": (with_headers(LENGTH + b"Expect: a\r\n"), [417, 200]),
    "another protocol, without a body": (GET + b"Upgrade: websocket\r\n\r\n", [200]),
    "another protocol": (
        with_headers(LENGTH + b"Upgrade: h2c\r\nConnection: Upgrade\r\n"),
        [401],
    ),
}
