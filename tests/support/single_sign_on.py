"""Organizations with single sign-on and a simulated identity provider."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from cloudacademy.keys.v1 import audit_pb2, domains_pb2, sso_pb2
from cloudacademy.users.v1 import sessions_pb2, users_pb2

from tests.support.browser import Browser, Page
from tests.support.operators import Operator
from tests.support.saml.idp import (
    Element,
    KeyPair,
    Statement,
    ann_claims,
    encoded,
    key_pair,
    signed,
)
from tests.support.saml.requests import AuthnRequest, read_authn_request

ACS_PATH = "/labs/social/complete/saml/"


@dataclass(slots=True)
class SsoOrganization:
    """An organization, and the key pair of its simulated identity provider."""

    operate: Operator
    organization_id: str
    domain: str = field(default_factory=lambda: f"{uuid4().hex[:12]}.test")
    pair: KeyPair = field(default_factory=lambda: key_pair("an identity provider"))

    @property
    def entity_id(self) -> str:
        return f"https://idp.{self.domain}/"

    async def set_up(self, *, prove: bool = True, **changes: Any) -> sso_pb2.SsoConnection:
        """Save the settings of the connection; this does not activate it.

        Its domains are proven by an operator's override, unless `prove` is false.
        """
        connection = sso_pb2.SsoConnection(
            **{
                "sso_url": f"https://idp.{self.domain}/sso?tenant=1",
                "idp_entity_id": self.entity_id,
                "certificates": [self.pair.certificate],
                "domains": [self.domain],
                **changes,
            }
        )
        updated = await self.operate.sso.UpdateSsoConnection(
            sso_pb2.UpdateSsoConnectionRequest(
                organization_id=self.organization_id, connection=connection
            )
        )
        if prove:
            await self.prove_domains(updated.connection)
        return updated.connection

    async def prove_domains(self, connection: sso_pb2.SsoConnection) -> None:
        """Prove the domains of the connection by an operator's override."""
        for domain in connection.domains:
            await self.operate.domains.VerifyDomain(
                domains_pb2.VerifyDomainRequest(
                    organization_id=self.organization_id,
                    domain=domain,
                    reason="a test",
                    actor=audit_pb2.Actor(id="operator", display_name="operator"),
                )
            )

    async def activate(self, *, prove: bool = True, **changes: Any) -> None:
        """Save the settings, record a test, and activate the connection."""
        connection = await self.set_up(prove=prove, **changes)
        await self.operate.sso.RecordSsoTest(
            sso_pb2.RecordSsoTestRequest(organization_id=self.organization_id, etag=connection.etag)
        )
        await self.operate.sso.ActivateSsoConnection(
            sso_pb2.ActivateSsoConnectionRequest(organization_id=self.organization_id)
        )

    async def connection(self) -> sso_pb2.SsoConnection:
        """Read the connection."""
        request = sso_pb2.GetSsoConnectionRequest(organization_id=self.organization_id)
        return (await self.operate.sso.GetSsoConnection(request)).connection

    async def create_person(self, name: str = "", *, administrator: bool = False) -> "Person":
        """Create a provisioned person."""
        object_identifier = str(uuid4())
        user = users_pb2.User(
            user_name=f"{name or uuid4().hex}@{self.domain}",
            external_id=object_identifier,
            roles=[users_pb2.TypedValue(value="Administrator")] if administrator else [],
        )
        request = users_pb2.CreateUserRequest(organization_id=self.organization_id, user=user)
        created = (await self.operate.users.CreateUser(request)).user
        return Person(created.id, created.user_name, object_identifier)

    async def start_sign_in(self, browser: Browser, query: str = "") -> "StartedSignIn":
        """Start a sign-in in a browser, up to the redirect to the identity provider."""
        page = await browser.get(f"/login/enterprise/?organization={self.organization_id}{query}")
        return started_sign_in(self, browser, await confirm(browser, page))


@dataclass(frozen=True, slots=True)
class Person:
    """A user, and the user's object identifier at the identity provider."""

    user_id: str
    email: str
    object_identifier: str

    def claims(self, **changes: Sequence[str] | None) -> dict[str, Sequence[str]]:
        return ann_claims(
            **{
                "object_identifier": [self.object_identifier],
                "email": [self.email],
                **changes,
            }
        )


@dataclass(frozen=True, slots=True)
class StartedSignIn:
    """A sign-in that waits for the identity provider's response."""

    sso_org: SsoOrganization
    browser: Browser
    request: AuthnRequest
    relay_state: str

    def statement(self, person: Person, **changes: Any) -> Statement:
        """A valid statement of the identity provider about a person, with changes."""
        return Statement(
            acs_url=self.browser.base_url + ACS_PATH,
            request_id=self.request.id,
            issuer=self.sso_org.entity_id,
            claims=person.claims(),
            name_id=person.email,
        ).with_changes(**changes)

    def signed_response(self, person: Person, **changes: Any) -> Element:
        """A response with a signed assertion of that statement."""
        return signed(self.statement(person, **changes), self.sso_org.pair)

    async def finish(self, response: Element | bytes | str, **changes: Any) -> Page:
        """Post a response, optionally with another `relay_state` or `browser`."""
        browser = changes.get("browser", self.browser)
        fields = {
            "SAMLResponse": encoded(response),
            "RelayState": changes.get("relay_state", self.relay_state),
        }
        return await browser.post(ACS_PATH, fields, Origin="https://idp.test")


async def confirm(browser: Browser, page: Page) -> Page:
    """Confirm the organization that a page names."""
    assert page.status == 200, page.text
    action, fields = page.form()
    assert fields.keys() >= {"organization", "replaces"}, page.text
    return await browser.post(action, fields)


def started_sign_in(sso_org: SsoOrganization, browser: Browser, page: Page) -> StartedSignIn:
    """Parse the redirect to the identity provider, which started a sign-in."""
    assert page.status == 303, page.text
    query = parse_qs(urlsplit(page.location).query, strict_parsing=True)
    request = read_authn_request(page.location)
    return StartedSignIn(sso_org, browser, request, query["RelayState"][0])


async def current_session(operate: Operator, browser: Browser) -> sessions_pb2.Session:
    """The session of a browser."""
    token = browser.cookie("session-us") or ""
    request = sessions_pb2.GetSessionRequest(session_token=token)
    return (await operate.sessions.GetSession(request)).session


async def sign_in_by_link(
    operate: Operator, browser: Browser, sso_org: SsoOrganization, person: Person
):
    """Sign a person in with a link."""
    link = await operate.sessions.CreateSignInLink(
        sessions_pb2.CreateSignInLinkRequest(
            organization_id=sso_org.organization_id, user_id=person.user_id
        )
    )
    signed_in = await operate.sessions.SignInWithLink(
        sessions_pb2.SignInWithLinkRequest(token=link.token)
    )
    browser.put_cookie("session-us", signed_in.session_token)


def refusal(page: Page) -> tuple[int, str]:
    """The status of an error page, and the reason on it."""
    assert "Sign-in failed" in page.text, page.text
    return page.status, page.text.split("Reason <code>")[1].split("<")[0]
