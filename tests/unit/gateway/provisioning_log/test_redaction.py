"""Passwords and API keys are redacted from rejected requests, in linear time."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.provisioning_log.redaction import (
    BODY_CHARACTERS,
    HIDDEN,
    body_text,
    detail_text,
    target_text,
)
from gateway.scim import resource
from gateway.scim.errors import ScimError
from tests.support.growth import FACTOR, LIMIT, ratio

SECRET = "hunter2"
KEY = "cak_us_" + "A1b2" * 17 + "abc"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
MEBIBYTE = 1024 * 1024


def redacted(body: bytes) -> str:
    """The redacted text of a body; it is parsed first if it is valid."""
    try:
        document = resource.loads(body)
    except ScimError:
        document = None
    return body_text(body, document)


def operation(**members: object) -> bytes:
    return json.dumps({"Operations": [{"op": "replace", **members}]}).encode()


def nested(depth: int) -> bytes:
    opening, closing = b'{"password":1,"path":', b"}"
    return opening * depth + b'"%s"' % SECRET.encode() + closing * depth


@pytest.mark.parametrize(
    "body",
    [
        rb'{"p\u0061ssword": "hunter2"}',
        rb'{"\u0050\u0041SSWORD": {"value": ["hunter2"]}}',
        rb'{"Operations": [{"op": "add", "path": "pass\u0077ord", "value": "hunter2"}]}',
        rb'{"Operations": [{"op": "add", "p\u0061th": "pass\u0077ord", "v\u0061lue": "hunter2"}]}',
        '{"pa\N{LATIN SMALL LETTER LONG S}sword": "hunter2"}'.encode(),
        '{"PA\N{LATIN CAPITAL LETTER SHARP S}WORD": "hunter2"}'.encode(),
        b'{"\xef\xbb\xbfpassword": "hunter2"}',
        b'\xef\xbb\xbf{"password": "hunter2"}',
        '{"password": "hunter2"}'.encode("utf-16"),
        '{"password": "hunter2"}'.encode("utf-32"),
        b'{"password": "hunter2"',
        b"{'password': 'hunter2'}",
        rb'{"p\u0061ssword": "hunter2"',
        b'[{"password": "hunter2"}]',
        rb'"{\"password\": \"hunter2\"}"',
        b'{"password": "hunter2", "password": 1}',
        rb'{"p\u0061ssword": "hunter2", "password": 1}',
        rb'{"a": {"p\u0061ssword": "hunter2"}, "a": 1}',
        operation(path="password", value="hunter2"),
        operation(path="PassWord", value={"a": ["hunter2"]}),
        operation(path=f"{USER}:password", value=["hunter2"]),
        operation(path=f"{USER}.password", vlaue="hunter2"),
        operation(path="password", value=None, values={"b": "hunter2"}),
        operation(Path="password", VALUE="hunter2"),
        operation(path=["password"], value="hunter2"),
        operation(path={"name": "password"}, value="hunter2"),
        operation(path='password[value eq "hunter2"]', value=1),
        operation(path=USER, value={"password": "hunter2"}),
        operation(value={f"{USER}:password": "hunter2"}),
        operation(value={USER: {"password": "hunter2"}}),
        operation(value=[{"password": "hunter2"}]),
        operation(attribute="password", value="hunter2"),
        operation(value=["password", "hunter2"]),
        operation(value='{"password": "hunter2"}'),
        operation(value=r'{"p\u0061ssword": "hunter2"}'),
        json.dumps({"Operations": [{"data": {"password": "hunter2"}}]}).encode(),
        json.dumps({"Operations": [{"data": '{"password": "hunter2"}'}]}).encode(),
        json.dumps({"a": "b" * BODY_CHARACTERS + "é", "password": SECRET}).encode(),
        nested(31),
        *map(nested, (32, 33, 240, 300, 900, 5_000, 40_000)),
    ],
)
def test_password_is_redacted_however_it_is_spelt(body: bytes):
    assert SECRET in json.dumps(body.replace(b"\0", b"").decode(errors="replace"))
    text = redacted(body)
    assert SECRET not in text.replace("\N{REPLACEMENT CHARACTER}", "")
    assert HIDDEN in text


def test_rest_of_a_document_with_a_password_is_kept():
    body = (
        rb'{ "userName" : "\u0061nn", "n": [1, 2.5, null, true], "PassWord": "x", "a": {"b": []}}'
    )
    assert redacted(body) == (
        '{"userName":"ann","n":[1,2.5,null,true],"PassWord":"not kept","a":{"b":[]}}'
    )
    assert redacted(operation(path="password", value="x")) == (
        '{"Operations":[{"op":"replace","path":"password","value":"not kept"}]}'
    )


@pytest.mark.parametrize(
    "body",
    [
        f'{{"userName": "{KEY}"}}'.encode(),
        rb'{"userName": "\t%s"}' % KEY.encode(),
        rb'{"userName": "\u0063%s"}' % KEY[1:].encode(),
        f'{{"userName": "a{KEY}b"}}'.encode(),
        f'{{"userName": "{KEY}"}}'.encode("utf-16"),
        (f'{{"a": "{"b" * (BODY_CHARACTERS - 40)}{KEY}"}}').encode(),
        (f'{{"a": "{KEY * 400}"}}').encode(),
        f"not JSON {KEY}".encode(),
    ],
)
def test_api_key_is_redacted_however_it_is_spelt(body: bytes):
    assert KEY[10:25] not in redacted(body)


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("/Users?filter=a", "/Users?filter=a"),
        (f"/Users?a={KEY}", "/Users?a=cak_us_…"),
        (f"/Users?a=%63{KEY[1:]}", "/Users?not kept"),
        (f"/Users/%63{KEY[1:]}?a=1", HIDDEN),
        ("/Users?password=hunter2", "/Users?not kept"),
        ("/Users?p%61ssWord=hunter2", "/Users?not kept"),
        ("/password/hunter2", HIDDEN),
        ("/Users?filter=" + "%20" * 2_000, ("/Users?filter=" + "%20" * 2_000)[:2_000]),
    ],
)
def test_target_is_kept_without_passwords_and_api_keys(target: str, text: str):
    assert target_text(target) == text


def test_detail_that_quotes_a_password_is_not_kept():
    assert detail_text('urn:a:password cannot be "hunter2"; send a number.') == HIDDEN
    assert detail_text("userName is required.") == "userName is required."


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4) | st.just("password"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["a", "path", "value", "op", "password", "xPASSWORD", "Path"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["password", "a", "Operations"]), JSON, max_size=3))
def test_redacted_document_is_json_with_the_same_members(document: dict[str, object]):
    text = redacted(orjson.dumps(document | {"password": SECRET}))
    assert SECRET not in text
    assert list(json.loads(text)) == list(document | {"password": SECRET})


def long_string(size: int) -> bytes:
    return b'{"password":1,"a":"%s"}' % (b"a" * size)


INPUTS = {
    "plain": lambda n: b'{"a":"%s"}' % (b"a" * n),
    "long ASCII string": long_string,
    "long non-ASCII string": lambda n: '{"password":1,"a":"%s"}' % ("\u0378" * (n // 2)),
    "nested around a string": lambda n: nested(240).replace(
        SECRET.encode(), "\u0378".encode() * (n // 2)
    ),
    "prefixes of a name": lambda n: b'{"a":"%s"}' % (b"passwor" * (n // 7)),
    "escapes": lambda n: b'{"a":"%s"}' % (rb"\u0061" * (n // 6)),
    "numbers": lambda n: b'{"password":1,"a":[%s1]}' % (b"1," * (n // 2)),
    "objects": lambda n: b'{"password":1,"a":[%s1]}' % (b'{"path":1},' * (n // 11)),
    "members": lambda n: orjson.dumps({f"a{i}": 1 for i in range(n // 12)} | {"password": 1}),
    "prefixes of a key": lambda n: b"cak_us_" * (n // 7),
    "NULs": lambda n: b"\0" * n,
}


@pytest.mark.parametrize("make_body", INPUTS.values(), ids=INPUTS)
def test_redaction_takes_linear_time(make_body):
    small, large = (make_body(size) for size in (2 * MEBIBYTE // FACTOR, 2 * MEBIBYTE))
    small, large = (body.encode() if isinstance(body, str) else body for body in (small, large))
    documents = {id(body): _document(body) for body in (small, large)}
    assert ratio(lambda body: body_text(body, documents[id(body)]), small, large) < LIMIT


def _document(body: bytes) -> dict[str, object] | None:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def test_only_the_kept_part_of_a_document_is_serialized():
    class CountedObject(dict):
        reads = 0

        def items(self):
            CountedObject.reads += 1
            return super().items()

    document = {"password": 1, "a": [CountedObject(b=1) for _ in range(100_000)]}
    text = body_text(b"password", document)
    assert len(text) == BODY_CHARACTERS
    assert CountedObject.reads < 2 * BODY_CHARACTERS
