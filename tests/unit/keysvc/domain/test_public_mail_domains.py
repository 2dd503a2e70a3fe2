"""The list of public mail providers."""

import pytest

from keysvc.domain.public_mail_domains import is_public_mail


@pytest.mark.parametrize(
    "domain",
    [
        *("gmail.com", "googlemail.com", "outlook.com", "outlook.de", "hotmail.com", "live.com"),
        *("hotmail.co.uk", "yahoo.com", "yahoo.fr", "yahoo.com.br", "yahoo.co.jp", "ymail.com"),
        *("icloud.com", "me.com", "gmx.de", "gmx.net", "gmx.ch", "web.de", "proton.me", "qq.com"),
        *("163.com", "mail.ru", "yandex.ru", "aol.com", "naver.com", "t-online.de", "in.gmail.com"),
    ],
)
def test_domain_of_a_public_mail_provider_is_recognized(domain: str):
    assert is_public_mail(domain)


@pytest.mark.parametrize(
    "domain",
    [
        *("acme.com", "gmail.acme.com", "notgmail.com", "yahoo.acme.com", "gmail.com.acme.org"),
        *("google.com", "microsoft.com", "gmx.acme.co.uk", "outlook-group.com", "yahooinc.com"),
    ],
)
def test_domain_of_an_organization_is_not_public(domain: str):
    assert not is_public_mail(domain)
