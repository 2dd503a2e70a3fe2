"""The text form of API keys."""

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Refusal
from keysvc.domain import key_token
from keysvc.domain.errors import KEY_MALFORMED
from keysvc.domain.key_token import ALPHABET, LENGTH, Token
from keysvc.domain.organizations import Region
from tests.support.refusals import raises_refusal

TOKENS = st.builds(Token, st.sampled_from(Region), st.uuids(), st.binary(min_size=32, max_size=32))
POSITIONS = st.integers(0, LENGTH - 1)
EXAMPLE = Token(Region.US, UUID(int=1), bytes(31) + b"\x01")


def refused(text: str) -> bool:
    try:
        key_token.parse(text)
    except Refusal:
        return True
    return False


@given(TOKENS)
def test_parsed_token_equals_the_original(token: Token):
    assert key_token.parse(token.text) == token


@given(TOKENS)
def test_token_matches_the_pattern_for_secret_scanners(token: Token):
    expression = next(line.strip() for line in key_token.__doc__.splitlines() if "(us|eu)" in line)
    assert re.findall(expression, f"token={token.text},") == [token.text[4:6]]
    assert re.fullmatch(expression, token.text)
    assert len(token.text) == LENGTH < 200


@given(TOKENS, POSITIONS, st.sampled_from(ALPHABET + "_-. \x00é"))
def test_a_token_with_one_changed_character_is_refused(token: Token, position: int, other: str):
    changed = token.text[:position] + other + token.text[position + 1 :]
    assert refused(changed) == (changed != token.text)


@given(TOKENS, st.integers(0, LENGTH - 2))
def test_token_with_two_adjacent_characters_swapped_is_refused(token: Token, position: int):
    text = token.text
    swapped = text[:position] + text[position + 1] + text[position] + text[position + 2 :]
    assert refused(swapped) == (swapped != text)


@given(TOKENS, POSITIONS)
def test_token_without_one_character_is_refused(token: Token, position: int):
    assert refused(token.text[:position] + token.text[position + 1 :])


@given(TOKENS, st.text(min_size=1), st.booleans())
def test_token_with_surrounding_text_is_refused(token: Token, extra: str, before: bool):
    assert refused(extra + token.text if before else token.text + extra)


@given(st.text(max_size=200))
def test_text_that_is_not_a_token_is_refused(text: str):
    assert refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        EXAMPLE.text * 100_000,
        "é" * LENGTH,
        EXAMPLE.text.replace("us", "US"),
        EXAMPLE.text.lower(),
        "\u017f".join(EXAMPLE.text.rsplit("s", 1)),  # long s; case folding makes it an s
        EXAMPLE.text + "\n",
    ],
    ids=[
        "empty",
        "very long",
        "not ASCII",
        "region in capitals",
        "lower case",
        "long s",
        "newline",
    ],
)
def test_text_that_only_resembles_a_token_is_refused(text: str):
    assert refused(text)


def test_number_overflow_is_refused_despite_a_valid_checksum():
    for key_id, secret in (("z" * 22, "0" * 43), ("0" * 22, "z" * 43)):
        body = f"cak_us_{key_id}{secret}"
        assert refused(body + key_token._checksum(body))


def test_unknown_region_is_refused_despite_a_valid_checksum():
    body = EXAMPLE.text.replace("us", "zz")[:-6]
    assert refused(body + key_token._checksum(body))


def test_format_of_a_token_is_stable():
    assert EXAMPLE.text == "cak_us_" + "0" * 21 + "1" + "0" * 42 + "1" + "0RbYBQ"


def test_repr_of_a_token_hides_its_secret():
    assert repr(EXAMPLE) == (
        "Token(region=<Region.US: 'us'>, key_id=UUID('00000000-0000-0000-0000-000000000001'))"
    )
    assert str(EXAMPLE) == repr(EXAMPLE)


def test_refusal_of_a_token_does_not_quote_it():
    with raises_refusal(KEY_MALFORMED) as caught:
        key_token.parse(EXAMPLE.text[:-1])
    assert "cak_" not in caught.value.detail
    assert caught.value.metadata == {}


def test_new_token_consists_of_the_given_random_bytes():
    random_bytes = {16: bytes(range(16)), 32: bytes(range(32))}

    token = key_token.generate(Region.EU, random_bytes.__getitem__)

    assert token == Token(Region.EU, UUID("00010203-0405-4607-8809-0a0b0c0d0e0f"), random_bytes[32])
