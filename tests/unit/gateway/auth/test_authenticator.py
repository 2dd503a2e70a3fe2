"""The token of an Authorization header."""

import pytest

from gateway.auth.authenticator import UnauthorizedError, bearer_token


@pytest.mark.parametrize(
    "header",
    ["Bearer key", "bearer key", "BEARER  key", " Bearer key ", "Bearer Bearer key"],
)
def test_the_token_is_what_follows_bearer_however_often_and_in_whatever_case(header):
    assert bearer_token(header) == "key"


@pytest.mark.parametrize("header", [None, "", "   ", "key", "Basic key", "Bearer Basic key"])
def test_a_header_without_a_bearer_token_is_refused_with_where_to_get_one(header):
    with pytest.raises(UnauthorizedError, match="Settings & Integrations") as refused:
        bearer_token(header)

    assert (refused.value.status, refused.value.headers) == (401, {"WWW-Authenticate": "Bearer"})


@pytest.mark.parametrize("header", ["Bearer clé", "Bearer \udce9"])
def test_a_token_that_no_key_can_be_is_an_invalid_one(header):
    with pytest.raises(UnauthorizedError) as refused:
        bearer_token(header)

    assert refused.value.headers == {"WWW-Authenticate": 'Bearer error="invalid_token"'}
