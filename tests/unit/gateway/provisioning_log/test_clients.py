"""The names of client applications in the provisioning log."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.portal.models import providers
from gateway.provisioning_log import clients
from gateway.provisioning_log.clients import client_name

NAMES = {
    clients.ENTRA,
    clients.OKTA,
    clients.ONELOGIN,
    clients.JUMPCLOUD,
    clients.GOOGLE,
    clients.PINGFEDERATE,
    clients.SAILPOINT,
    clients.OTHER,
}
USERS = "/webhooks/ad/v1/scim/Users"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        # Recorded, or prescribed by the client's documents.
        ("Okta SCIM Client 1.0.0", clients.OKTA),
        ("Okta SCIM client 1.2.3", clients.OKTA),
        ("OKTA SCIM Integration", clients.OKTA),
        ("Microsoft Azure AD SCIM provisioning 1.0.0", clients.ENTRA),
        ("OneLogin SCIM", clients.ONELOGIN),
        ("Google-Auto-Provisioning", clients.GOOGLE),
        # Each product by its own name.
        ("JumpCloud/2.0", clients.JUMPCLOUD),
        ("PingFederate/12.1", clients.PINGFEDERATE),
        ("SailPoint IdentityNow", clients.SAILPOINT),
        # Programs of customers, and libraries that many clients use.
        ("curl/8.5.0", clients.OTHER),
        ("Python/3.11 aiohttp/3.14.5", clients.OTHER),
        ("Go-http-client/1.1", clients.OTHER),
        ("Apache-HttpClient/4.5.14 (Java/11.0.20)", clients.OTHER),
        ("okta-user-exporter/0.1.0", clients.OTHER),
        ("google-api-nodejs-client/9.0", clients.OTHER),
    ],
)
def test_user_agent_names_the_client(user_agent: str, name: str):
    assert client_name(user_agent, USERS) == name


@pytest.mark.parametrize(
    ("user_agent", "target", "name"),
    [
        (None, USERS, clients.ENTRA),
        (None, f"{USERS}?filter=userName+eq+%22a%22", clients.ENTRA),
        ("", USERS, clients.ONELOGIN),
        (" ", USERS, clients.ONELOGIN),
        (None, f"{USERS}?filter=userName%20eq%20%22a%22&", clients.ONELOGIN),
        (None, f"{USERS}/1?", clients.ONELOGIN),
        ("curl/8.5.0", f"{USERS}/1?", clients.OTHER),
    ],
)
def test_request_without_user_agent_is_named_by_habits(
    user_agent: str | None, target: str, name: str
):
    assert client_name(user_agent, target) == name


@given(st.none() | st.text(max_size=500), st.text(max_size=100))
def test_every_user_agent_gets_one_of_the_names(user_agent: str | None, target: str):
    assert client_name(user_agent, target) in NAMES


def test_only_the_beginning_of_a_user_agent_is_read():
    assert client_name("x" * clients.MAX_USER_AGENT + "Okta SCIM", USERS) == clients.OTHER


def test_names_can_be_sent_as_metadata_and_stored():
    assert all(re.fullmatch(r"[A-Za-z ]{1,40}", name) for name in NAMES)


def test_pages_have_words_for_every_name():
    assert {name for name in NAMES if providers.of_client(name) is not None} == NAMES
