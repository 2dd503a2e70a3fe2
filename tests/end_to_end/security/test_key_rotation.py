"""Keys are rotated over two gateways, which are restarted one after the other."""

import re
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest
import xmlsec

from deploy.local.setup.key_pair import create_key_pair
from gateway.signing.region_keys import settings_digest
from tests.support.browser import Browser, open_browser
from tests.support.gateways import Gateway, running_gateway
from tests.support.operators import Operator
from tests.support.saml.requests import check_signature
from tests.support.scim import Client
from tests.support.single_sign_on import (
    ACS_PATH,
    Person,
    SsoOrganization,
    StartedSignIn,
    confirm,
    sign_in_by_link,
)
from tests.support.stack import Stack

OLD, NEW = secrets.token_hex(32), secrets.token_hex(32)
STEPS = ((OLD,), (OLD, NEW), (NEW, OLD), (NEW,))
"""The values of the setting in the order of the procedure in docs/operations.md."""
KEYS = "/settings/integrations/entra/"


class Replicas:
    """Two gateways of one region."""

    def __init__(self, tenant: Stack, settings: Mapping[str, object]) -> None:
        self._tenant = tenant
        self._stacks = [ExitStack(), ExitStack()]
        self.gateways: list[Gateway] = []
        for stack in self._stacks:
            self.gateways.append(stack.enter_context(self._gateway(settings)))

    def restart(self, index: int, settings: Mapping[str, object]) -> None:
        """Start one gateway with other settings, then end the one that it replaces."""
        old, self._stacks[index] = self._stacks[index], ExitStack()
        self.gateways[index] = self._stacks[index].enter_context(self._gateway(settings))
        old.close()

    def close(self) -> None:
        for stack in self._stacks:
            stack.close()

    @contextmanager
    def _gateway(self, settings: Mapping[str, object]) -> Iterator[Gateway]:
        paths = self._tenant.paths
        values = {
            "tenant_urls": f"us={self._tenant.url},eu={self._tenant.url}",
            "cursor_secret": OLD,
            "saml_key": paths.saml_key,
            "saml_certificate": paths.saml_certificate,
            **settings,
        }
        with running_gateway(self._tenant, **values) as gateway:
            yield gateway


@asynccontextmanager
async def browser_with(gateway: Gateway, cookies: dict[str, str]) -> AsyncIterator[Browser]:
    async with open_browser(gateway.base_url) as browser:
        for name, value in cookies.items():
            browser.put_cookie(name, value)
        yield browser


@dataclass
class Issued:
    """What a gateway has signed: a cursor, a form of a session, and a started sign-in."""

    cursor: str
    session: str
    form: dict[str, str]
    sign_in: StartedSignIn
    sign_in_cookie: str


@dataclass
class Customer:
    """An organization whose client and users reach both gateways."""

    tenant: Stack
    http: aiohttp.ClientSession
    operate: Operator
    sso_org: SsoOrganization
    administrator: Person

    async def issued_by(self, gateway: Gateway) -> Issued:
        """Let a gateway sign everything that it can sign."""
        scim = gateway.client(self.http, self.tenant.token)
        cursor = (await self._page(scim, "")).document["nextCursor"]
        async with open_browser(gateway.base_url) as browser:
            await sign_in_by_link(self.operate, browser, self.sso_org, self.administrator)
            page = await browser.get(KEYS)
            token = re.findall(r'name="form_token" value="([^"]+)"', page.text)[0]
            session = browser.cookie("session-us") or ""
        async with open_browser(gateway.base_url) as browser:
            sign_in = await self.sso_org.start_sign_in(browser)
            cookie = browser.cookie("sign-in-us", ACS_PATH) or ""
        return Issued(cursor, session, {"form_token": token}, sign_in, cookie)

    async def statuses_at(self, gateway: Gateway, issued: Issued) -> list[int]:
        """The statuses with which a gateway accepts or refuses what was signed."""
        scim = gateway.client(self.http, self.tenant.token)
        listed = await self._page(scim, issued.cursor)
        async with browser_with(gateway, {"session-us": issued.session}) as browser:
            signed_out = await browser.post("/logout", issued.form)
        async with browser_with(gateway, {"sign-in-us": issued.sign_in_cookie}) as browser:
            statement = issued.sign_in.signed_response(
                self.administrator, acs_url=self.tenant.base_url + ACS_PATH
            )
            signed_in = await issued.sign_in.finish(statement, browser=browser)
        return [listed.status, signed_out.status, signed_in.status]

    async def _page(self, scim: Client, cursor: str):
        return await scim("GET", f"/Users?count=1&cursor={cursor}")


@pytest.fixture
async def customer(
    tenant: Stack, scim: Client, operate: Operator, sso_org: SsoOrganization
) -> AsyncIterator[Customer]:
    for _ in range(2):
        await scim("POST", "/Users", {"userName": f"{uuid4().hex}@corp.test"})
    administrator = await sso_org.create_person(administrator=True)
    async with aiohttp.ClientSession() as http:
        yield Customer(tenant, http, operate, sso_org, administrator)


@contextmanager
def replicas_of(tenant: Stack, settings: Mapping[str, object]) -> Iterator[Replicas]:
    replicas = Replicas(tenant, settings)
    try:
        yield replicas
    finally:
        replicas.close()


def secret_settings(secrets: Sequence[str]) -> Mapping[str, object]:
    """The setting with these secrets."""
    return {"cursor_secret": ",".join(secrets)}


ACCEPTED = [200, 303, 303]


@pytest.mark.parametrize(
    ("step", "next_step"), list(pairwise(STEPS)), ids=["add", "sign", "remove"]
)
async def test_step_of_a_rotation_refuses_no_cursor_form_or_sign_in(
    tenant: Stack, customer: Customer, step: Sequence[str], next_step: Sequence[str]
):
    with replicas_of(tenant, secret_settings(step)) as replicas:
        before = [await customer.issued_by(each) for each in replicas.gateways]
        replicas.restart(0, secret_settings(next_step))
        first, second = replicas.gateways
        # Each signature is used at the gateway that did not issue it.
        assert await customer.statuses_at(second, before[0]) == ACCEPTED
        assert await customer.statuses_at(first, before[1]) == ACCEPTED
        assert await customer.statuses_at(second, await customer.issued_by(first)) == ACCEPTED


async def test_secret_that_signs_before_all_accept_it_is_refused_and_reported(
    tenant: Stack, customer: Customer
):
    with replicas_of(tenant, secret_settings(STEPS[0])) as replicas:
        replicas.restart(1, secret_settings(STEPS[2]))
        old, new = replicas.gateways

        issued = await customer.issued_by(new)
        assert await customer.statuses_at(old, issued) == [400, 403, 403]
        assert await customer.statuses_at(new, await customer.issued_by(old)) == ACCEPTED
        assert await fingerprints(customer, old) == {("signing", settings_digest(OLD))}
        assert await fingerprints(customer, new) == {
            ("signing", settings_digest(NEW)),
            ("accepted", settings_digest(OLD)),
        }
        for gateway in replicas.gateways:
            assert OLD not in str(gateway.log)
            assert NEW not in str(gateway.log)


async def fingerprints(customer: Customer, gateway: Gateway) -> set[tuple[str, str]]:
    """The state and the fingerprint of each shared secret, from the metrics."""
    async with customer.http.get(gateway.metrics_url) as response:
        text = await response.text()
    rows = re.findall(r"^signing_key_info\{(.*)\} 1\.0$", text, re.MULTILINE)
    labels = [dict(re.findall(r'(\w+)="([^"]*)"', row)) for row in rows]
    assert {each["kind"] for each in labels} == {"shared_secret", "saml_certificate"}
    return {
        (each["state"], each["fingerprint"]) for each in labels if each["kind"] == "shared_secret"
    }


def saml_settings(folder: Path, signing: str, *others: str) -> Mapping[str, object]:
    """The settings with the key `signing`, and with its certificate and those of other keys."""
    file = folder / "-".join((signing, *others))
    file.write_text("".join((folder / f"{each}.crt").read_text() for each in (signing, *others)))
    return {"saml_key": folder / f"{signing}.key", "saml_certificate": file}


async def signing_certificate(gateway: Gateway, sso_org: SsoOrganization, folder: Path) -> str:
    """Which certificate verifies a request of a gateway to the identity provider."""
    async with open_browser(gateway.base_url) as browser:
        named = await browser.get(f"/login/enterprise/?organization={sso_org.organization_id}")
        page = await confirm(browser, named)
    return next(
        each
        for each in ("old", "new")
        if _verifies(page.location, (folder / f"{each}.crt").read_text())
    )


def _verifies(url: str, certificate: str) -> bool:
    try:
        check_signature(url, certificate)
    except xmlsec.Error:
        return False
    return True


async def published_certificates(gateway: Gateway, folder: Path) -> set[str]:
    """The certificates in the metadata of a gateway."""
    async with open_browser(gateway.base_url) as browser:
        metadata = (await browser.get("/login/enterprise/metadata.xml")).text
    return {
        name
        for name in ("old", "new")
        if "".join((folder / f"{name}.crt").read_text().splitlines()[1:-1])
        in re.sub(r"\s", "", metadata)
    }


async def test_saml_key_signs_only_after_all_gateways_publish_its_certificate(
    tenant: Stack, sso_org: SsoOrganization, tmp_path: Path
):
    for name in ("old", "new"):
        create_key_pair(tmp_path / f"{name}.key", tmp_path / f"{name}.crt", f"development-{name}")
    both, old, new = {"old", "new"}, {"old"}, {"new"}
    steps = (
        (("old", "new"), [(old, "old"), (both, "old")]),
        (("new", "old"), [(both, "old"), (both, "new")]),
        (("new",), [(both, "new"), (new, "new")]),
    )
    with replicas_of(tenant, saml_settings(tmp_path, "old")) as replicas:
        for names, (former, latter) in steps:
            replicas.restart(0, saml_settings(tmp_path, *names))
            for gateway, expected in zip(replicas.gateways, (latter, former), strict=True):
                found = await published_certificates(gateway, tmp_path)
                assert (found, await signing_certificate(gateway, sso_org, tmp_path)) == expected
            replicas.restart(1, saml_settings(tmp_path, *names))
