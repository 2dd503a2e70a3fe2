"""The service provider: key pair, metadata, settings, and requests to identity providers."""

from dataclasses import replace
from pathlib import Path

import pytest

from chassis.config.database_url import DEVELOPMENT
from chassis.config.settings import SettingsError
from chassis.startup import StartError
from deploy.local.setup.key_pair import create_key_pair
from gateway import settings as gateway_settings
from gateway.backend.errors import HTTP_ERRORS
from gateway.sso.authn_request import authn_request
from gateway.sso.provider import read_service_provider
from gateway.sso.refusals import EXPLANATIONS, SIGN_IN_REASONS
from tests.support.saml.idp import key_pair
from tests.support.saml.parties import IDP, US
from tests.support.saml.requests import check_signature, read_authn_request

CURRENT, NEXT = key_pair("current"), key_pair("next")


def read(tmp_path, key: str, certificate: str):
    (tmp_path / "key").write_text(key)
    (tmp_path / "certificate").write_text(certificate)
    return read_service_provider(US.base_url, tmp_path / "key", tmp_path / "certificate")


def test_second_certificate_is_in_the_metadata_before_its_key(tmp_path):
    sp = read(tmp_path, CURRENT.key, CURRENT.certificate + NEXT.certificate)
    metadata = sp.metadata().decode()
    for pair in (CURRENT, NEXT):
        assert "".join(pair.certificate.splitlines()[1:-1]) in metadata
    check_signature(authn_request(sp, IDP, "relay").url, CURRENT.certificate)


@pytest.mark.parametrize(
    ("key", "certificate", "words"),
    [
        (NEXT.key, CURRENT.certificate, "does not match"),
        ("no key", CURRENT.certificate, "does not match"),
        (CURRENT.key, "no certificate", "contains 0 certificates"),
        (CURRENT.key, CURRENT.certificate * 3, "contains 3 certificates"),
    ],
)
def test_key_and_certificate_that_do_not_match_are_refused(tmp_path, key, certificate, words):
    with pytest.raises(StartError, match=words):
        read(tmp_path, key, certificate)


def test_development_key_pair_is_refused_at_a_public_url(tmp_path):
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    create_key_pair(key, certificate, f"{DEVELOPMENT}anything")
    assert read_service_provider("http://127.0.0.1:1", key, certificate).certificate
    with pytest.raises(StartError, match="is for development only"):
        read_service_provider(US.base_url, key, certificate)


def test_missing_key_file_is_refused(tmp_path):
    with pytest.raises(StartError, match="cannot read the SAML key: No such"):
        read_service_provider(US.base_url, tmp_path / "key", tmp_path / "certificate")


def test_key_given_instead_of_its_path_is_not_in_the_error(tmp_path):
    (body,) = CURRENT.key.splitlines()[1:2]
    variables = {"GATEWAY_SAML_KEY": CURRENT.key, "GATEWAY_SAML_CERTIFICATE": "/saml.crt"}
    with pytest.raises(SettingsError) as failure:
        gateway_settings.read(variables)
    assert "GATEWAY_SAML_KEY is the content of a file: give its path" in str(failure.value)
    assert body not in str(failure.value)
    with pytest.raises(StartError) as refused:
        read_service_provider(US.base_url, Path(body), tmp_path / "certificate")
    assert str(refused.value).endswith(": (not shown: it may be a secret)")


def test_content_of_a_binary_key_file_is_not_in_the_error(tmp_path):
    (tmp_path / "key").write_bytes(b"\xff")
    with pytest.raises(StartError, match=r"is not text$"):
        read_service_provider(US.base_url, tmp_path / "key", tmp_path / "certificate")


def test_settings_refuse_a_key_without_its_certificate():
    variables = {
        "GATEWAY_REGION": "us",
        "GATEWAY_CURSOR_SECRET": bytes(range(32)).hex(),
        "GATEWAY_SAML_KEY": "/saml.key",
    }
    with pytest.raises(SettingsError, match="GATEWAY_SAML_CERTIFICATE is not set"):
        gateway_settings.read(variables)
    del variables["GATEWAY_SAML_KEY"]
    settings = gateway_settings.read(variables)
    assert (settings.keys.saml, settings.public_url) == (None, "https://cloudacademy.com")


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
def test_authn_request_goes_to_any_sso_url(sso_url):
    request = authn_request(US, replace(IDP, sso_url=sso_url), "relay")
    assert request.url.startswith(sso_url + ("&" if "?" in sso_url else "?") + "SAMLRequest=")
    assert read_authn_request(request.url).destination == sso_url
    assert read_authn_request(request.url).id == request.id


def test_authn_requests_have_unique_ids():
    assert len({authn_request(US, IDP, "relay").id for _ in range(20)}) == 20


def test_repr_does_not_contain_the_key():
    assert "PRIVATE KEY" not in repr(US)


def test_every_sign_in_reason_has_an_explanation():
    assert set(SIGN_IN_REASONS) <= set(HTTP_ERRORS)
    assert set(SIGN_IN_REASONS.values()) <= set(EXPLANATIONS)
    assert all(400 <= each.status < 600 for each in EXPLANATIONS.values())
