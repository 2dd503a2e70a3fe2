"""The text form of an API key, without anything around it."""

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
from tests.support.error_forms import refusing

TOKENS = st.builds(Token, st.sampled_from(Region), st.uuids(), st.binary(min_size=32, max_size=32))
PLACES = st.integers(0, LENGTH - 1)
EXAMPLE = Token(Region.US, UUID(int=1), bytes(31) + b"\x01")


def refused(text: str) -> bool:
    try:
        key_token.parse(text)
    except Refusal:
        return True
    return False


@given(TOKENS)
def test_a_token_reads_back_as_what_it_was_made_of(made: Token):
    assert key_token.parse(made.text) == made


@given(TOKENS)
def test_a_token_has_the_form_that_secret_scanners_look_for(made: Token):
    expression = next(line.strip() for line in key_token.__doc__.splitlines() if "(us|eu)" in line)
    assert re.findall(expression, f"token={made.text},") == [made.text[4:6]]
    assert re.fullmatch(expression, made.text)
    assert len(made.text) == LENGTH < 200


@given(TOKENS, PLACES, st.sampled_from(ALPHABET + "_-. \x00é"))
def test_a_token_with_one_changed_character_is_refused(made: Token, place: int, other: str):
    changed = made.text[:place] + other + made.text[place + 1 :]
    assert refused(changed) == (changed != made.text)


@given(TOKENS, st.integers(0, LENGTH - 2))
def test_a_token_with_two_neighbours_swapped_is_refused(made: Token, place: int):
    text = made.text
    swapped = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    assert refused(swapped) == (swapped != text)


@given(TOKENS, PLACES)
def test_a_token_that_lost_a_character_is_refused(made: Token, place: int):
    assert refused(made.text[:place] + made.text[place + 1 :])


@given(TOKENS, st.text(min_size=1), st.booleans())
def test_a_token_with_anything_around_it_is_refused(made: Token, extra: str, before: bool):
    assert refused(extra + made.text if before else made.text + extra)


@given(st.text(max_size=200))
def test_text_that_is_no_token_is_refused(text: str):
    assert refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        EXAMPLE.text * 100_000,
        "é" * LENGTH,
        EXAMPLE.text.replace("us", "US"),
        EXAMPLE.text.lower(),
        "\u017f".join(EXAMPLE.text.rsplit("s", 1)),  # a letter that case folding makes an s
        EXAMPLE.text + "\n",
    ],
    ids=["empty", "endless", "not ASCII", "region in capitals", "lower case", "long s", "newline"],
)
def test_text_that_only_resembles_a_token_is_refused(text: str):
    assert refused(text)


def test_numbers_beyond_their_bits_are_refused_even_with_the_right_checksum():
    for key_id, secret in (("z" * 22, "0" * 43), ("0" * 22, "z" * 43)):
        body = f"cak_us_{key_id}{secret}"
        assert refused(body + key_token._checksum(body))


def test_a_region_that_is_none_of_ours_is_refused_even_with_the_right_checksum():
    body = EXAMPLE.text.replace("us", "zz")[:-6]
    assert refused(body + key_token._checksum(body))


def test_the_form_of_a_token_never_changes():
    assert EXAMPLE.text == "cak_us_" + "0" * 21 + "1" + "0" * 42 + "1" + "0RbYBQ"


def test_a_token_shows_its_secret_nowhere_but_in_its_text():
    assert repr(EXAMPLE) == (
        "Token(region=<Region.US: 'us'>, key_id=UUID('00000000-0000-0000-0000-000000000001'))"
    )
    assert str(EXAMPLE) == repr(EXAMPLE)


def test_a_refused_token_is_not_in_the_refusal():
    with refusing(KEY_MALFORMED) as caught:
        key_token.parse(EXAMPLE.text[:-1])
    assert "cak_" not in caught.value.detail
    assert caught.value.metadata == {}


def test_a_new_token_has_the_random_bytes_that_it_was_given():
    given_bytes = {16: bytes(range(16)), 32: bytes(range(32))}

    made = key_token.generate(Region.EU, given_bytes.__getitem__)

    assert made == Token(Region.EU, UUID("00010203-0405-4607-8809-0a0b0c0d0e0f"), given_bytes[32])
