"""The identity providers that the pages describe, in the words of each one's user interface.

An organization has one integration, with one Tenant URL and one list of API keys. The provider
decides only the labels and steps of a page. Each provider has pages below its own path.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gateway.provisioning_log import clients

ROOT: Final = "/settings/integrations/"


@dataclass(frozen=True, slots=True)
class Provider:
    """An identity provider, with the phrases by which texts refer to its user interface."""

    slug: str
    """The segment of its pages' paths."""
    title: str
    name: str
    """The name within a sentence."""
    url_label: str
    secret_label: str
    where: str
    """The place of the URL and the key."""
    test: str
    """The step that tests both."""
    mappings: str
    """The place of the attribute mappings."""
    user_name: str
    """The provider's attribute that it sends as userName."""
    retry: str
    """The step that repeats a failed change."""
    rematch: str
    """The step that creates a resource again after it was deleted in Cloud Academy."""
    create_only: str
    """The step that sends an attribute only when it creates a person."""
    next_time: str
    """The time of its next request about the same resource."""
    after_error: str
    """A sentence about what happens to a change that failed through no fault of the provider."""
    interval_minutes: int | None = None
    """The time between two cycles; None if it sends changes when they happen."""
    quarantines: bool = False
    """Whether it stops provisioning after many failures, or if its key is refused."""

    @property
    def path(self) -> str:
        """The path of its setup page; its other pages are below."""
        return f"{ROOT}{self.slug}/"

    @property
    def subject(self) -> str:
        """The name at the beginning of a sentence."""
        return self.name[:1].upper() + self.name[1:]


ENTRA: Final = Provider(
    slug="entra",
    title="Microsoft Entra ID",
    name="Entra",
    url_label="Tenant URL",
    secret_label="Secret Token",  # noqa: S106 - a label
    where="under Provisioning → Admin Credentials in Entra",
    test="select “Test Connection”",
    mappings="under Mappings in Entra",
    user_name="userPrincipalName",
    retry="select “Provision on demand” in Entra",
    rematch="select “Restart provisioning” in Entra, which matches everybody again",
    create_only=(
        "In Entra, under Mappings, set “Apply this mapping” to “Only during object creation”."
    ),
    next_time="in the next cycle, in about 40 minutes",
    after_error=(
        "You don't need to do anything: Entra tries again in its next cycle, in about 40 minutes."
    ),
    interval_minutes=40,
    quarantines=True,
)
OKTA: Final = Provider(
    slug="okta",
    title="Okta",
    name="Okta",
    url_label="SCIM connector base URL",
    secret_label="Bearer token",  # noqa: S106 - a label
    where="under Provisioning → Integration in Okta",
    test="select “Test Connector Configuration”",
    mappings="under Provisioning → To App in Okta",
    user_name="Application username",
    retry="retry the failed task under Dashboard → Tasks in Okta",
    rematch="remove the assignment in Okta and assign again",
    create_only=(
        "In Okta, under Provisioning → To App, set the attribute mapping to apply on “Create”."
    ),
    next_time="with the next push of the group",
    after_error="If the change is missing, retry the failed task under Dashboard → Tasks in Okta.",
)


def _generic(name: str) -> Provider:
    """A provider whose user interface is not known."""
    return Provider(
        slug="scim",
        title="Another identity provider (SCIM 2.0)",
        name=name,
        url_label="SCIM base URL",
        secret_label="Bearer token",  # noqa: S106 - a label
        where=f"in {name}",
        test="test the connection",
        mappings=f"in the attribute mappings of {name}",
        user_name="user name",
        retry=f"repeat the change in {name}",
        rematch=f"remove the assignment in {name} and assign again",
        create_only=f"In {name}, send this attribute only when a person is created.",
        next_time="with the next change of the group",
        after_error=f"If the change is missing, repeat it in {name}.",
    )


OTHER: Final = _generic("your identity provider")
PROVIDERS: Final = (ENTRA, OKTA, OTHER)
_BY_CLIENT: Final = {
    clients.ENTRA: ENTRA,
    clients.OKTA: OKTA,
    clients.OTHER: OTHER,
    **{
        name: _generic(name)
        for name in (
            clients.ONELOGIN,
            clients.JUMPCLOUD,
            clients.GOOGLE,
            clients.PINGFEDERATE,
            clients.SAILPOINT,
        )
    },
}


def of_path(path: str) -> Provider | None:
    """The provider to which a page belongs; None for a page of all providers."""
    return next((each for each in PROVIDERS if path.startswith(each.path)), None)


def of_client(client: str) -> Provider | None:
    """The provider with this name in the log; None for an entry without a client."""
    return _BY_CLIENT.get(client, OTHER) if client else None


def of_clients(newest_first: Iterable[str]) -> Provider | None:
    """The provider that sends an organization's changes, from the clients of its newest entries.

    None if no entry has a client. Another client, such as a tool that somebody tries once, counts
    only if there is no known one.
    """
    names = [each for each in newest_first if each]
    known = [each for each in names if each != clients.OTHER]
    return of_client((known or names or [""])[0])
