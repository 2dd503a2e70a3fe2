"""HTTP requests that two parsers could interpret differently."""

PATH = b"/webhooks/ad/v1/scim"
QUIET_SECONDS = 0.3
"""A response counts as the last one after this time without another."""

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
    "Content-Length and chunked": with_headers(b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n"),
    "chunked and Content-Length": with_headers(CHUNKED + b"Content-Length: 4\r\n", CHUNKS),
    "space before the colon of Transfer-Encoding": with_headers(
        b"Transfer-Encoding : chunked\r\n", CHUNKS
    ),
    "unknown transfer coding": with_headers(b"Transfer-Encoding: xchunked\r\n", CHUNKS),
    "chunked, then identity": with_headers(CHUNKED + b"Transfer-Encoding: identity\r\n", CHUNKS),
    "identity, then chunked": with_headers(b"Transfer-Encoding: identity\r\n" + CHUNKED, CHUNKS),
    "chunked twice": with_headers(b"Transfer-Encoding: chunked, chunked\r\n", CHUNKS),
    "chunked after a vertical tab": with_headers(b"Transfer-Encoding: \x0bchunked\r\n", CHUNKS),
    "chunked in quotes": with_headers(b'Transfer-Encoding: "chunked"\r\n', CHUNKS),
    "folded Transfer-Encoding": with_headers(b"Transfer-Encoding:\r\n chunked\r\n", CHUNKS),
    "chunked in HTTP/1.0": with_headers(CHUNKED, CHUNKS, LINE.replace(b"1.1", b"1.0")),
    "two different Content-Lengths": with_headers(LENGTH + b"Content-Length: 0\r\n"),
    "the same Content-Length twice": with_headers(LENGTH * 2),
    "Content-Length as a list": with_headers(b"Content-Length: %d, %d\r\n" % (SIZE, SIZE)),
    "Content-Length with a plus sign": with_headers(b"Content-Length: +%d\r\n" % SIZE),
    "negative Content-Length": with_headers(b"Content-Length: -1\r\n"),
    "Content-Length with an underscore": with_headers(b"Content-Length: 3_4\r\n"),
    "hexadecimal Content-Length": with_headers(b"Content-Length: 0x22\r\n"),
    "Content-Length with a space": with_headers(b"Content-Length: 3 4\r\n"),
    "space before the colon of Content-Length": with_headers(b"Content-Length : %d\r\n" % SIZE),
    "Content-Length with 23 digits": with_headers(b"Content-Length: 99999999999999999999999\r\n"),
    "Content-Length in Arabic digits": with_headers("Content-Length: ٣٤\r\n".encode()),
    "request line that ends with LF": with_line(LINE.replace(b"\r\n", b"\n")),
    "header that ends with LF": with_headers(b"X: y\n" + LENGTH),
    "head that ends with LF": LINE + HEAD + LENGTH + b"\n" + BODY,
    "CR in a header": with_headers(b"X: y\r" + LENGTH),
    "folded header": with_headers(LENGTH + b"X: a\r\n b\r\n"),
    "folded first header": with_line(LINE + b" X: y\r\n"),
    "header without a colon": with_headers(LENGTH + b"abc\r\n"),
    "header without a name": with_headers(LENGTH + b": abc\r\n"),
    "NUL in a header name": with_headers(LENGTH + b"X\0: y\r\n"),
    "NUL in a header value": with_headers(LENGTH + b"X: \0\r\n"),
    "NUL in the path": with_line(LINE.replace(b"/Users", b"/Users\0")),
    "chunk size with 17 digits": with_chunks(b"ffffffffffffffff1\r\n%s\r\n0\r\n\r\n" % BODY),
    "chunk size with a plus sign": with_chunks(b"+" + CHUNKS),
    "chunk size with 0x": with_chunks(b"0x" + CHUNKS),
    "chunk size with an underscore": with_chunks(b"2_2" + CHUNKS[2:]),
    "chunk size with a space": with_chunks(CHUNKS.replace(b"\r\n", b" \r\n", 1)),
    "negative chunk size": with_chunks(b"-1\r\n%s\r\n0\r\n\r\n" % BODY),
    "chunk without a size": with_chunks(b"\r\n%s\r\n0\r\n\r\n" % BODY),
    "chunks that end with LF": with_chunks(CHUNKS.replace(b"\r\n", b"\n")),
    "chunk longer than its size": with_chunks(b"%x\r\n%sXX0\r\n\r\n" % (SIZE, BODY)),
    "LF in a chunk extension": with_chunks(CHUNKS.replace(b"\r\n", b";a\nb\r\n", 1)),
    "Content-Length in the trailers": with_chunks(CHUNKS[:-2] + b"Content-Length: 5\r\n\r\n"),
    "no Host": with_line(LINE).replace(b"Host: a\r\n", b""),
    "two Hosts": with_headers(LENGTH + b"Host: b\r\n"),
    "space in the path": with_line(LINE.replace(b"/Users", b"/Users /x")),
    "HTTP version in lower case": with_line(LINE.replace(b"HTTP", b"http")),
    "unknown HTTP version": with_line(LINE.replace(b"1.1", b"1.2")),
    "HTTP/2.0 in a request line": with_line(LINE.replace(b"1.1", b"2.0")),
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no HTTP version": b"GET /\r\n",
}


GET = b"GET %s/ServiceProviderConfig HTTP/1.1\r\nHost: a\r\n" % PATH


# Unambiguous requests, each with the statuses of the responses to it and to the second request.
ACCEPTED = {
    "pipelined requests": (GET + b"\r\n" + SECOND, [200, 200, 200]),
    "request inside a body": (GET + b"Content-Length: %d\r\n\r\n" % len(SECOND), [200]),
    "chunk with an extension": (with_chunks(CHUNKS.replace(b"\r\n", b";a=b\r\n", 1)), [401, 200]),
    "transfer coding in upper case": (with_headers(CHUNKED.upper(), CHUNKS), [401, 200]),
    "absolute target of another host": (GET.replace(b" /", b" http://b/") + b"\r\n", [200, 200]),
    "CONNECT": (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", [404]),
    "CONNECT with a body": (
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(SECOND) + SECOND,
        [404],
    ),
    "empty line before the request": (b"\r\n" + GET + b"\r\n", [200, 200]),
    "Expect: 100-continue": (with_headers(LENGTH + b"Expect: 100-continue\r\n"), [100, 401, 200]),
    "unknown Expect": (with_headers(LENGTH + b"Expect: a\r\n"), [417, 200]),
    "Upgrade without a body": (GET + b"Upgrade: websocket\r\n\r\n", [200]),
    "Upgrade with a body": (
        with_headers(LENGTH + b"Upgrade: h2c\r\nConnection: Upgrade\r\n"),
        [401],
    ),
}
