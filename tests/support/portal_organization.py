"""An organization with an administrator who uses the portal."""

from dataclasses import dataclass
from uuid import uuid4

from cloudacademy.users.v1 import sessions_pb2, users_pb2

from tests.support.browser import Browser, Page
from tests.support.operators import Operator
from tests.support.stack import Stack

ENTRA = "/settings/integrations/entra/"
LOG = f"{ENTRA}log"


@dataclass(frozen=True, slots=True)
class PortalOrganization:
    """The organization, its administrator, and sign-in by link."""

    operate: Operator
    tenant: Stack
    organization_id: str
    administrator: users_pb2.User

    async def create_person(self, **fields: object) -> users_pb2.User:
        """Create a person."""
        user = users_pb2.User(**({"user_name": f"{uuid4().hex}@corp.test"} | fields))
        request = users_pb2.CreateUserRequest(organization_id=self.organization_id, user=user)
        return (await self.operate.users.CreateUser(request)).user

    async def create_link_token(self, user: users_pb2.User | None = None) -> str:
        """The token of a new sign-in link for a user, by default the administrator."""
        recipient = user or self.administrator
        request = sessions_pb2.CreateSignInLinkRequest(
            organization_id=self.organization_id, user_id=recipient.id
        )
        return (await self.operate.sessions.CreateSignInLink(request)).token

    async def sign_in(self, browser: Browser, user: users_pb2.User | None = None) -> Page:
        """Sign a user in with a link, and return the response. The default is the administrator."""
        return await follow_link(browser, await self.create_link_token(user))


async def follow_link(browser: Browser, token: str) -> Page:
    """Send the token of a sign-in link, and confirm; the response to the first step refused."""
    action, fields = (await browser.get("/login/link")).form()
    page = await browser.post(action, fields | {"token": token})
    if page.status != 200:
        return page
    action, fields = page.form()
    return await browser.post(action, fields)


async def create_portal_organization(
    operate: Operator, tenant: Stack, name: str = "Initech"
) -> PortalOrganization:
    """Create an organization with an active integration and an administrator."""
    return await create_administrator(operate, tenant, await operate.create_organization(name))


async def create_administrator(
    operate: Operator, tenant: Stack, organization_id: str
) -> PortalOrganization:
    """Create an administrator in an organization."""
    user = users_pb2.User(
        user_name="ada@corp.test",
        display_name="Ada Min",
        roles=[users_pb2.TypedValue(value="Administrator")],
    )
    request = users_pb2.CreateUserRequest(organization_id=organization_id, user=user)
    ada = (await operate.users.CreateUser(request)).user
    return PortalOrganization(operate, tenant, organization_id, ada)
