"""The attacking organization and the one that it must not delay."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import asyncpg
import grpc
from cloudacademy.users.v1 import groups_pb2, groups_pb2_grpc, schemas_pb2

from gateway.web.csrf import CSRF_FIELD
from tests.support.browser import open_browser
from tests.support.operators import Operator, operator
from tests.support.portal_organization import create_portal_organization
from tests.support.single_sign_on import ACS_PATH, SsoOrganization
from tests.support.stack import Stack
from tools.benchmarks.service import INSERT_USERS
from tools.overload.tenants import tenants
from tools.stall.prober import HttpProbe
from tools.stall.routes import Kind, Route

PEOPLE: Final = 30_000
MEMBERS: Final = 25_000
SCHEMAS: Final = 4
ATTRIBUTES: Final = 100
_HARMFUL: Final = ("deactivate", "logout")
"""Routes that would end the session or integration that later attacks need."""
UNKNOWN_ID: Final = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11"


@dataclass(frozen=True, slots=True)
class Attacker:
    """An organization with the credentials of a hostile customer."""

    organization_id: str
    token: str
    user_ids: Sequence[str]
    group_id: str
    session: str
    form: str
    form_cookie: str
    link_form: str
    pending: str

    def path(self, route: Route) -> str:
        """The path with an id; an unknown one for DELETE, as later attacks need the resource."""
        resource_id = self.group_id if "/Groups" in route.path else self.user_ids[0]
        if route.method == "DELETE" or "keys/" in route.path:
            resource_id = UNKNOWN_ID
        for name in ("id", "key_id", "name", "rest", "path"):
            path = route.path.replace(f"{{{name}}}", resource_id)
            if path != route.path:
                return path
        return route.path

    def headers(self, route: Route) -> Sequence[tuple[str, bytes]]:
        """The API key, or the cookies of a signed-in user."""
        if route.kind is Kind.SCIM:
            return (("Authorization", f"Bearer {self.token}".encode()),)
        if route.path == "/login/link":
            return (("Cookie", f"form-us={self.form_cookie}".encode()),)
        if route.path == ACS_PATH:
            return (("Cookie", f"sign-in-us={self.pending}".encode()),)
        return (("Cookie", f"session-us={self.session}".encode()),)

    def form_token(self, route: Route) -> str:
        """The CSRF token of a form."""
        return self.link_form if route.path == "/login/link" else self.form

    @staticmethod
    def is_harmless(route: Route) -> bool:
        """Whether an accepted form leaves the session and the integration unchanged."""
        return not route.path.endswith(_HARMFUL)


@dataclass(frozen=True, slots=True)
class Victim:
    """The organization whose requests are measured."""

    organization_id: str
    user_id: str
    probe: HttpProbe


@asynccontextmanager
async def parties(stack: Stack) -> AsyncIterator[tuple[Attacker, Victim, Operator]]:
    """Both organizations, and the operator that created them."""
    async with operator(stack) as services:
        yield await _attacker(services, stack), await victim(stack), services


async def victim(stack: Stack) -> Victim:
    """A small organization."""
    (work,) = await tenants(stack, 1, people=10)
    parts = urlsplit(stack.url)
    user_id = work.people[0][0]
    connection = await asyncpg.connect(stack.database_url("users"))
    try:
        organization_id = await connection.fetchval(
            "SELECT organization_id FROM users WHERE user_id = $1", user_id
        )
    finally:
        await connection.close()
    path = f"{parts.path}/Users/{user_id}"
    probe = HttpProbe(parts.hostname or "", parts.port or 0, path, work.token)
    return Victim(str(organization_id), user_id, probe)


async def _attacker(services: Operator, stack: Stack) -> Attacker:
    organization = await create_portal_organization(services, stack, "Attacker")
    organization_id = organization.organization_id
    key = await services.generate_key(organization_id)
    sso_org = SsoOrganization(services, organization_id)
    await sso_org.activate()
    for number in range(SCHEMAS):
        await services.register(organization_id, _schema(number))
    user_ids = await _people(stack, organization_id)
    group_id = await _group(stack, organization_id, user_ids)
    async with open_browser(stack.base_url) as anonymous:
        page = await anonymous.get("/login/link")
        _, fields = page.form()
        form_cookie, link_form = anonymous.cookie("form-us") or "", fields[CSRF_FIELD]
        await sso_org.start_sign_in(anonymous)
        pending = anonymous.cookie("sign-in-us", ACS_PATH) or ""
    async with open_browser(stack.base_url) as signed_in:
        await organization.sign_in(signed_in)
        page = await signed_in.get("/settings/integrations/sso/")
        session, form = signed_in.cookie("session-us") or "", _token(page.text)
    assert all((session, form, form_cookie, link_form, pending))
    return Attacker(
        organization_id,
        key.token,
        user_ids,
        group_id,
        session,
        form,
        form_cookie,
        link_form,
        pending,
    )


def _token(text: str) -> str:
    """The CSRF token of a page; it is the same for all forms of a session."""
    return text.split(f'name="{CSRF_FIELD}" value="', 1)[1].split('"', 1)[0]


async def _people(stack: Stack, organization_id: str) -> list[str]:
    connection = await asyncpg.connect(stack.database_url("users"))
    try:
        await connection.execute(INSERT_USERS, organization_id, 1, PEOPLE, timeout=300)
        await connection.execute("VACUUM ANALYZE users", timeout=300)
        rows = await connection.fetch(
            "SELECT user_id FROM users WHERE organization_id = $1", organization_id
        )
    finally:
        await connection.close()
    return [str(each["user_id"]) for each in rows]


async def _group(stack: Stack, organization_id: str, user_ids: Sequence[str]) -> str:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stack.service_port('usersvc')}") as channel:
        created = await groups_pb2_grpc.GroupServiceStub(channel).CreateGroup(
            groups_pb2.CreateGroupRequest(
                organization_id=organization_id,
                group=groups_pb2.Group(display_name="Large"),
                member_ids=user_ids[:MEMBERS],
            )
        )
    return created.group.id


def _schema(number: int) -> schemas_pb2.Schema:
    """A schema with the maximum number of attributes."""
    return schemas_pb2.Schema(
        urn=f"urn:attacker:{number}",
        name="Attacker",
        attributes=[
            schemas_pb2.Attribute(
                name=f"a{each}",
                type=schemas_pb2.Attribute.TYPE_STRING,
                multi_valued=True,
                description="d" * 1_000,
            )
            for each in range(ATTRIBUTES)
        ],
    )
