"""Rules of single sign-on connections."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import InvalidField
from keysvc.domain import sso
from keysvc.domain.errors import SSO_NOT_TESTED
from keysvc.domain.sso import SsoConnection, SsoSetup
from tests.support.refusals import raises_refusal

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SETUP = SsoSetup("https://login.example/saml2", "urn:idp", ("PEM",), False, ("acme.test",))
LIMITED = ("sso_url", "idp_entity_id", "certificates", "domains")


def refused_field(setup: SsoSetup) -> str:
    with pytest.raises(InvalidField) as caught:
        sso.normalize_setup(setup)
    return caught.value.metadata["field"]


@pytest.mark.parametrize(
    "url",
    [
        "https://login.microsoftonline.com/8a1b0c4e-0000-4000-8000-000000000001/saml2",
        "https://login.example:8443/sso?tenant=acme&x=%20",
        "https://[2001:db8::1]/sso",
        "http://localhost:8080/sso",
        "http://127.9.9.9/",
        "http://[::1]:8080/",
    ],
)
def test_https_or_loopback_sso_url_is_accepted(url: str):
    assert sso.normalize_setup(replace(SETUP, sso_url=url)).sso_url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "login.example",
        "//login.example/",
        "https:///saml2",
        "http://login.example/",
        "http://127.0.0.1.login.example/",
        "http://localhost.login.example/",
        "ftp://login.example/",
        "javascript://login.example/%0aalert(1)",
        "https://ann@login.example/",
        "https://login.example:0x50/",
        "https://login.example/a b",
        "https://login.example/\n",
        "https://lögin.example/",
        "https://login.example/#top",
        "https://login.example/\\evil",
    ],
)
def test_invalid_sso_url_is_refused(url: str):
    assert refused_field(replace(SETUP, sso_url=url)) == "connection.sso_url"


@given(st.text(max_size=50))
def test_accepted_sso_url_is_printable_ascii(text: str):
    try:
        accepted_url = sso.normalize_setup(
            replace(SETUP, sso_url=f"https://login.example/{text}")
        ).sso_url
    except InvalidField:
        return
    assert accepted_url.isascii()
    assert accepted_url.isprintable()


def test_domains_are_lower_case_unique_and_sorted():
    domains = ("Initech.test", " acme.test ", "ACME.test", "xn--bcher-kva.example")
    assert sso.normalize_setup(replace(SETUP, domains=domains)).domains == (
        "acme.test",
        "initech.test",
        "xn--bcher-kva.example",
    )


@pytest.mark.parametrize(
    "domain",
    ["", "acme", "acme.", ".test", "a..test", "acme-.test", "ann@acme.test", "bücher.example",
     f"{'x' * 64}.test", ".".join(["x" * 60] * 5), "acme.test\nx"],
)  # fmt: skip
def test_invalid_domain_is_refused(domain: str):
    assert refused_field(replace(SETUP, domains=(domain,))) == "connection.domains"


def test_sso_fields_above_their_maximum_are_refused():
    maximal = replace(
        SETUP,
        sso_url="https://login.example/".ljust(2_000, "x"),
        idp_entity_id="x" * 1_024,
        certificates=("PEM",) * 5,
        domains=tuple(f"{number}.test" for number in range(5)),
    )
    assert sso.normalize_setup(maximal) == maximal
    assert [
        refused_field(replace(maximal, **{name: value}))
        for name, value in (
            ("sso_url", maximal.sso_url + "x"),
            ("idp_entity_id", maximal.idp_entity_id + "x"),
            ("certificates", ("PEM",) * 6),
            ("domains", (*maximal.domains, "5.test")),
        )
    ] == [f"connection.{name}" for name in LIMITED]


@pytest.mark.parametrize(
    ("change", "needs_test"),
    [
        ({"sso_url": "https://other.example/"}, True),
        ({"idp_entity_id": "urn:other"}, True),
        ({"certificates": ("PEM", "NEW")}, True),
        ({"create_missing_users": True}, False),
        ({"domains": ()}, False),
    ],
)
def test_only_a_change_of_the_identity_provider_needs_a_new_test(
    change: dict[str, object], needs_test: bool
):
    changed = sso.changed_fields(SETUP, replace(SETUP, **change))
    assert changed == list(change)
    assert sso.invalidates_test(changed) is needs_test


def test_untested_connection_is_refused():
    untested = SsoConnection(UUID(int=1), 1, False, None, NOW, SETUP)
    with raises_refusal(SSO_NOT_TESTED):
        sso.check_tested(untested)
    sso.check_tested(replace(untested, test_time=NOW))


@pytest.mark.parametrize(
    ("email", "domain"),
    [
        ("ann@acme.test", "acme.test"),
        (" Ann@ACME.test ", "acme.test"),
        ('"odd@name"@acme.test', "acme.test"),
        ("acme.test", ""),
        ("ann@", ""),
        ("", ""),
    ],
)
def test_domain_of_an_email_follows_its_last_at(email: str, domain: str):
    assert sso.domain_of(email) == domain
