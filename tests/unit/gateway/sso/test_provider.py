"""Our own side: the key pair, the metadata, and what is asked of identity providers."""

from dataclasses import replace
from pathlib import Path

import pytest

from chassis.config.database_url import DEVELOPMENT
from chassis.config.settings import SettingsError
from chassis.startup import StartError
from deploy.local.setup.key_pair import make_key_pair
from gateway import settings as gateway_settings
from gateway.backend.errors import ANSWERS
from gateway.sso.authn_request import authn_request
from gateway.sso.provider import read_service_provider
from gateway.sso.refusals import EXPLANATIONS, SIGN_IN_REASONS
from tests.support.saml.idp import key_pair
from tests.support.saml.parties import IDP, US
from tests.support.saml.requests import check_signature, read_authn_request

OURS, COMING = key_pair("ours"), key_pair("coming")


def read(tmp_path, key: str, certificate: str):
    (tmp_path / "key").write_text(key)
    (tmp_path / "certificate").write_text(certificate)
    return read_service_provider(US.base_url, tmp_path / "key", tmp_path / "certificate")


def test_a_second_certificate_is_announced_ahead_of_its_key(tmp_path):
    sp = read(tmp_path, OURS.key, OURS.certificate + COMING.certificate)
    metadata = sp.metadata().decode()
    for pair in (OURS, COMING):
        assert "".join(pair.certificate.splitlines()[1:-1]) in metadata
    check_signature(authn_request(sp, IDP, "relay").url, OURS.certificate)


@pytest.mark.parametrize(
    ("key", "certificate", "words"),
    [
        (COMING.key, OURS.certificate, "no pair"),
        ("no key", OURS.certificate, "no pair"),
        (OURS.key, "no certificate", "holds 0 certificates"),
        (OURS.key, OURS.certificate * 3, "holds 3 certificates"),
    ],
)
def test_what_is_no_key_pair_is_refused_at_the_start(tmp_path, key, certificate, words):
    with pytest.raises(StartError, match=words):
        read(tmp_path, key, certificate)


def test_a_key_pair_of_development_is_refused_where_the_public_comes(tmp_path):
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    make_key_pair(key, certificate, f"{DEVELOPMENT}anything")
    assert read_service_provider("http://127.0.0.1:1", key, certificate).certificate
    with pytest.raises(StartError, match="was made for development"):
        read_service_provider(US.base_url, key, certificate)


def test_files_that_are_not_there_are_refused_at_the_start(tmp_path):
    with pytest.raises(StartError, match="cannot read the key pair for SAML, its key: No such"):
        read_service_provider(US.base_url, tmp_path / "key", tmp_path / "certificate")


def test_nothing_of_a_key_is_told_that_is_given_instead_of_its_path(tmp_path):
    (body,) = OURS.key.splitlines()[1:2]
    variables = {"GATEWAY_SAML_KEY": OURS.key, "GATEWAY_SAML_CERTIFICATE": "/saml.crt"}
    with pytest.raises(SettingsError) as said:
        gateway_settings.read(variables)
    assert "GATEWAY_SAML_KEY is the content of a file: give its path" in str(said.value)
    assert body not in str(said.value)
    with pytest.raises(StartError) as refused:
        read_service_provider(US.base_url, Path(body), tmp_path / "certificate")
    assert str(refused.value).endswith(": (not shown: it may be a secret)")


def test_nothing_of_a_key_file_that_is_no_text_is_told(tmp_path):
    (tmp_path / "key").write_bytes(b"\xff")
    with pytest.raises(StartError, match=r"is not text$"):
        read_service_provider(US.base_url, tmp_path / "key", tmp_path / "certificate")


def test_a_key_without_its_certificate_is_refused_by_the_settings():
    variables = {
        "GATEWAY_REGION": "us",
        "GATEWAY_CURSOR_SECRET": bytes(range(32)).hex(),
        "GATEWAY_SAML_KEY": "/saml.key",
    }
    with pytest.raises(SettingsError, match="GATEWAY_SAML_CERTIFICATE is not set"):
        gateway_settings.read(variables)
    del variables["GATEWAY_SAML_KEY"]
    settings = gateway_settings.read(variables)
    assert (settings.saml, settings.public_url) == (None, "https://cloudacademy.com")


@pytest.mark.parametrize(
    "sso_url",
    [
        "https://login.microsoftonline.com/3a0b/saml2",
        "https://idp.test/sso?a=1&b='2'",
        "http://127.0.0.1:7000/sso",
        "http://localhost:7000/sso",
        "https://adfs/adfs/ls/",
    ],
)
def test_requests_go_to_any_address_that_an_identity_provider_may_have(sso_url):
    request = authn_request(US, replace(IDP, sso_url=sso_url), "relay")
    assert request.url.startswith(sso_url + ("&" if "?" in sso_url else "?") + "SAMLRequest=")
    assert read_authn_request(request.url).destination == sso_url
    assert read_authn_request(request.url).id == request.id


def test_each_request_has_an_id_of_its_own():
    assert len({authn_request(US, IDP, "relay").id for _ in range(20)}) == 20


def test_the_key_is_in_no_representation():
    assert "PRIVATE KEY" not in repr(US)


def test_what_services_refuse_has_an_explanation():
    assert set(SIGN_IN_REASONS) <= set(ANSWERS)
    assert set(SIGN_IN_REASONS.values()) <= set(EXPLANATIONS)
    assert all(400 <= each.status < 600 for each in EXPLANATIONS.values())
