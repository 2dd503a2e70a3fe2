"""Hostile text is never interpreted: in SQL, headers, logs, CSV files and pages."""

import asyncio
import csv
import io
import json
import re
from html.parser import HTMLParser
from urllib.parse import quote
from uuid import uuid4

import pytest
from cloudacademy.users.v1 import users_pb2
from multidict import CIMultiDict

from gateway.portal.routes import all_routes
from tests.support import raw_http
from tests.support.browser import Browser
from tests.support.operators import Operator
from tests.support.portal_organization import LOG, PortalOrganization, create_portal_organization
from tests.support.scim import Client
from tests.support.stack import Stack
from tests.support.waiting import pace

ESCAPE = "\x1b[31m"
HOSTILE = [
    "' OR '1'='1",
    "'; DROP TABLE users; --",
    '" OR ""="',
    "\\'; SELECT pg_sleep(60); --",
    "$1",
    "$$; SELECT 1; $$",
    "%",
    "_",
    "a%b_c\\d",
    "*",
    "{0} %s :name @name",
    "/* */ --",
    "${jndi:ldap://x}",
    "a\r\nX-Injected: 1\r\n\r\n",
    f'a\n{{"event":"forged"}}\n{ESCAPE}',
    "\u202egnp.exe",
    "<zz-mark>",
]


@pytest.fixture
async def portal_org(operate: Operator, tenant: Stack) -> PortalOrganization:
    return await create_portal_organization(operate, tenant)


@pytest.fixture
async def own_client(operate: Operator, portal_org: PortalOrganization, scim: Client) -> Client:
    """A client of a new organization, whose only user is the administrator."""
    key = await operate.generate_key(portal_org.organization_id)
    return Client(scim._session, scim.url, key.token)


def filter_path(path: str, operator: str, value: str) -> str:
    text = json.dumps(value)
    return f"/Users?filter={quote(f'{path} {operator} {text}')}&attributes={path}"


# SQL


@pytest.mark.parametrize("path", ["externalId", "title"])
async def test_filter_finds_only_matching_hostile_text(own_client: Client, path: str):
    for value in HOSTILE:
        body = {"userName": f"{uuid4().hex}@corp.test", path: value}
        assert (await own_client("POST", "/Users", body)).status == 201
    for value in HOSTILE:
        for operator in ("eq", "co", "sw", "ew"):
            reply = await own_client("GET", filter_path(path, operator, value))
            found = [each[path] for each in reply.document["Resources"]]
            holds = {"eq": str.__eq__, "co": str.__contains__, "sw": str.startswith}
            expected = [
                each
                for each in HOSTILE
                if holds.get(operator, str.endswith)(each.lower(), value.lower())
            ]
            assert sorted(found) == sorted(expected), (operator, value)


@pytest.mark.parametrize("value", HOSTILE)
async def test_hostile_names_and_ids_are_not_executed_as_sql(own_client: Client, value: str):
    text = quote(value, safe="")
    replies = {
        path: (await own_client("GET", path)).status
        for path in (
            f"/Users/{text}",
            f"/Groups/{text}",
            f"/Users?sortBy={text}",
            f"/Users?sortBy=title&sortOrder={text}",
            f"/Users?startIndex={text}",
            f"/Users?count={text}",
            f"/Users?cursor={text}",
            f"/Users?filter={text}",
            f"/Users?filter={quote(f'{value} pr')}",
            f"/Users?attributes={text}",
        )
    }
    assert {status for path, status in replies.items() if "attributes" not in path} <= {400, 404}
    removed = await own_client(
        "PATCH", f"/Users/{text}", {"Operations": [{"op": "remove", "path": value}]}
    )
    assert removed.status in {400, 404}
    assert (await own_client("GET", "/Users?count=0")).document["totalResults"] == 1


# Headers


async def raw_head(stack: Stack, request: bytes) -> tuple[int, CIMultiDict[str]]:
    """The status and the headers of the response to raw bytes."""
    connection = await raw_http.connect(raw_http.address_of(stack.base_url))
    connection.send(request)
    head = await connection.head()
    connection.close()
    return head


@pytest.mark.parametrize(
    "path",
    [
        "/webhooks/ad/v1/scim/Users/a%0d%0aX-Injected:%201",
        "/webhooks/ad/v1/scim/Users?filter=a%0d%0aX-Injected:%201",
        "/people/a%0d%0aX-Injected:%201",
        "/people/?q=%0d%0aX-Injected:%201",
        "/people%0d%0aX-Injected:%201",
        "/login/?next=/people/%0d%0aX-Injected:%201",
        "/login/enterprise/?organization=%0d%0aX-Injected:%201",
        "/portal/assets/%0d%0aX-Injected:%201",
    ],
)
async def test_url_injects_no_response_header(tenant: Stack, path: str):
    request = f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {tenant.token}\r\n\r\n"

    _, headers = await raw_head(tenant, request.encode())

    assert not [name for name in headers if name.lower().startswith("x-injected")]
    assert not any(re.search(r"[\r\n\0]", text) for field in headers.items() for text in field)


async def test_request_headers_are_not_echoed_in_response_headers(tenant: Stack):
    names = ("X-Request-Id", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "Via", "Origin")
    request = "GET /webhooks/ad/v1/scim/Users?count=0 HTTP/1.1\r\nHost: zz-echo\r\n"
    request += "".join(f"{name}: zz-echo\r\n" for name in names)
    request += f"Authorization: Bearer {tenant.token}\r\n\r\n"

    status, headers = await raw_head(tenant, request.encode())

    assert status == 200
    assert "zz-echo" not in str(headers)


async def test_bulk_path_is_not_echoed_in_response_headers(own_client: Client):
    path = "/Users/a\r\nX-Injected: 1"
    reply = await own_client("POST", "/Bulk", {"Operations": [{"method": "DELETE", "path": path}]})

    assert "X-Injected" not in reply.headers
    (result,) = reply.document["Operations"]
    assert result["status"] == "404"


# Logs


async def send_goaway(port: int) -> None:
    """Close an HTTP/2 connection with an error, which gRPC's core would log in its own format."""

    def frame(kind: int, payload: bytes) -> bytes:
        return len(payload).to_bytes(3) + bytes([kind, 0]) + bytes(4) + payload

    settings, goaway = 4, 7
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    error = bytes(4) + (11).to_bytes(4) + b"forged"
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    writer.write(preface + frame(settings, b"") + frame(goaway, error))
    await pace(0.2)  # gRPC reads the frames before the connection ends
    writer.close()


async def test_hostile_input_leaves_each_log_line_one_json_document(
    tenant: Stack, own_client: Client
):
    for value in HOSTILE:
        text = quote(value, safe="")
        await own_client("POST", "/Users", {"userName": value, "displayName": value})
        await own_client("POST", "/Users", {"userName": value, "active": value})
        await own_client("GET", f"/Users/{text}?filter={text}")
        await own_client("GET", f"/{text}/{text}")
        await own_client("POST", "/Bulk", {"Operations": [{"method": value, "path": f"/{value}"}]})
        await own_client("GET", "/Users", User_Agent="forged", Authorization="Bearer forged")

    for service in ("usersvc", "keysvc"):
        await send_goaway(tenant.service_port(service))

    for process in ("gateway", "usersvc", "keysvc"):
        lines = [
            line for line in tenant.log(process).splitlines() if not line.startswith("applied")
        ]
        assert len(lines) > 1
        events = [json.loads(line)["event"] for line in lines if "applied" not in line]
        assert "forged" not in events
        assert ESCAPE[0] not in "".join(lines)
        assert own_client.token not in "".join(lines)
        assert own_client.token[8:40] not in "".join(lines)


# Files


async def test_csv_export_cells_are_not_formulas(browser: Browser, portal_org: PortalOrganization):
    for start in ("=", ";=", "; +", "\t-", "a;@", "a\n=", " @"):
        name = f"{start}cmd|' /C calc'!A0"
        await portal_org.create_person(
            user_name=f"{name}{uuid4().hex}", display_name=name, title=name
        )
    await portal_org.sign_in(browser)

    page = await browser.get(f"{LOG}.csv")

    cells = [cell for row in csv.reader(io.StringIO(page.text)) for cell in row]
    assert sum("cmd|" in cell for cell in cells) > 10
    # Spreadsheets separate cells by commas, semicolons or tabs, depending on the locale.
    parts = [part for cell in cells for part in (cell, *re.split(r"[;\t\r\n]", cell)[1:])]
    assert [each for each in parts if each.lstrip(" ").startswith(tuple("=+-@"))] == []


# Pages

MARK, ATTRIBUTE = "zz-mark", "zz-attribute"
BREAKOUT = f"'\"></script></title></textarea><{MARK}><img src=x {ATTRIBUTE}=1 \" {ATTRIBUTE}=1 '"


class _Elements(HTMLParser):
    """Collects the elements and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


async def test_hostile_names_add_no_markup_to_pages(
    browser: Browser, operate: Operator, tenant: Stack, scim: Client
):
    portal_org = await create_portal_organization(operate, tenant, BREAKOUT)
    own_client = Client(
        scim._session, scim.url, (await operate.generate_key(portal_org.organization_id)).token
    )
    link = f"javascript:alert('{MARK}')"
    person = await portal_org.create_person(
        user_name=BREAKOUT,
        display_name=BREAKOUT,
        title=BREAKOUT,
        profile_url=link,
        name=users_pb2.Name(given_name=BREAKOUT, family_name=BREAKOUT),
        emails=[users_pb2.TypedValue(value=BREAKOUT, type=BREAKOUT)],
        photos=[users_pb2.TypedValue(value=link)],
        roles=[users_pb2.TypedValue(value="Administrator"), users_pb2.TypedValue(value=BREAKOUT)],
    )
    group = await own_client(
        "POST", "/Groups", {"displayName": BREAKOUT, "members": [{"value": person.id}]}
    )
    await own_client("POST", "/Users", {"userName": BREAKOUT, "active": BREAKOUT})
    await own_client("PATCH", f"/Users/{person.id}", {"Operations": [{"op": BREAKOUT}]})
    await portal_org.sign_in(browser, person)
    ids = {"person": person.id, "group": group.document["id"]}
    refused = ""
    while not refused:  # the log is written in the background
        refused = (await browser.get(f"{LOG}.ndjson?result=failure")).text
    entries = re.findall(rf"{LOG}/entries/([\w-]+)", (await browser.get(LOG)).text)
    assert entries

    pages_with_mark = 0
    for route in [each for each in all_routes() if each.method == "GET"]:
        names = ids.values() if "{id}" in route.path and "entries" not in route.path else entries
        for each in [*names] if "{" in route.path else [""]:
            path = re.sub(r"{\w+}", each, route.path)
            for query in (
                "",
                f"?q={quote(BREAKOUT)}&next={quote(BREAKOUT)}&page={quote(BREAKOUT)}",
            ):
                page = await browser.get(path + query)
                if "html" not in page.headers["Content-Type"]:
                    continue
                elements = _Elements()
                elements.feed(page.text)
                pages_with_mark += "zz-mark" in page.text
                assert MARK not in elements.tags, path
                for name, value in elements.attributes:
                    assert name != ATTRIBUTE, path
                    assert not name.startswith("on"), path
                    assert not value.strip().lower().startswith("javascript:"), path
    assert pages_with_mark > 10
