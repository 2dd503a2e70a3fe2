"""The identity providers that pages describe."""

import pytest

from gateway.portal.models.providers import (
    ENTRA,
    OKTA,
    OTHER,
    PROVIDERS,
    of_client,
    of_clients,
    of_path,
)
from gateway.provisioning_log import clients


def test_entra_is_first_and_keeps_its_path():
    assert [each.path for each in PROVIDERS] == [
        "/settings/integrations/entra/",
        "/settings/integrations/okta/",
        "/settings/integrations/scim/",
    ]


@pytest.mark.parametrize(
    ("path", "provider"),
    [
        ("/settings/integrations/okta/", OKTA),
        ("/settings/integrations/okta/log/entries/1", OKTA),
        ("/settings/integrations/entra/log", ENTRA),
        ("/settings/integrations/", None),
        ("/settings/integrations/sso/", None),
        ("/dashboard/", None),
    ],
)
def test_path_of_a_page_determines_its_provider(path: str, provider: object):
    assert of_path(path) is provider


@pytest.mark.parametrize(
    ("newest_first", "provider"),
    [
        ([], None),
        (["", ""], None),
        (["", clients.OKTA, clients.ENTRA], OKTA),
        ([clients.OTHER, clients.ENTRA], ENTRA),
        ([clients.OTHER, ""], OTHER),
        (["a name of a later release"], OTHER),
    ],
)
def test_newest_known_client_is_the_provider(newest_first: list[str], provider: object):
    assert of_clients(newest_first) is provider


def test_texts_use_the_name_of_a_client_without_own_pages():
    provider = of_client(clients.ONELOGIN)
    assert provider is not None
    assert (provider.path, provider.name) == (OTHER.path, "OneLogin")
    assert "OneLogin" in provider.retry
    assert "your identity provider" not in repr(provider)
