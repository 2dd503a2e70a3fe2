"""Parsing of JSON bodies: no character in a string is mistaken for structure."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.scim.errors import ScimError
from gateway.scim.resource import loads

TEXTS = st.text(st.sampled_from('"\\{}[]:,au/ \n\u00e9'), max_size=8)
VALUES = st.recursive(
    TEXTS | st.integers(0, 9) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(TEXTS, VALUES, max_size=4)


@given(DOCUMENTS, st.booleans())
def test_document_is_parsed_whatever_its_strings_contain(document, ascii_only):
    body = json.dumps(document, ensure_ascii=ascii_only).encode()
    assert loads(body) == document


@given(DOCUMENTS, TEXTS)
def test_duplicate_member_is_refused_whatever_its_name_contains(document, name):
    member = f"{json.dumps(name)}:1"
    rest = "".join(f",{json.dumps(key)}:{json.dumps(value)}" for key, value in document.items())
    body = f"{{{member},{member}{rest}}}".encode()
    with pytest.raises(ScimError) as refused:
        loads(body)
    assert refused.value.scim_type == "invalidSyntax"
    assert "same member twice" in refused.value.detail
