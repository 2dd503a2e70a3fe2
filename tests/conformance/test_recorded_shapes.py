"""Requests that clients are known to send, and many that they should not. See README.md."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from cloudacademy.users.v1 import schemas_pb2
from google.protobuf.json_format import ParseDict

from tests.conformance.transcript import Case, Transcript, has_bulk_form
from tests.support.operators import operator
from tests.support.stack import Stack

FOLDER = Path(__file__).parent
SCHEMA = FOLDER / "custom_schema" / "schema.proto.json"


def recorded(*folders: str) -> Iterator[tuple[str, Case]]:
    """The cases of folders, each with its name."""
    for folder in folders:
        for file in sorted((FOLDER / folder).glob("*.json")):
            for case in json.loads(file.read_text()) if file != SCHEMA else ():
                yield f"{file.stem}: {case['name']}", case


def parameters(*folders: str, in_bulk: bool = False) -> list[object]:
    return [
        pytest.param(case, id=name)
        for name, case in recorded(*folders)
        if not in_bulk or has_bulk_form(case)
    ]


@pytest.fixture(scope="module")
def customized(tenant: Stack) -> Stack:
    """The region with the key of an organization that has a schema of its own."""
    return asyncio.run(with_custom_schema(tenant))


async def with_custom_schema(tenant: Stack) -> Stack:
    schema = ParseDict(json.loads(SCHEMA.read_text()), schemas_pb2.Schema())
    async with operator(tenant) as operate:
        organization_id = await operate.create_organization()
        await operate.register(organization_id, schema)
        key = await operate.generate_key(organization_id)
    return replace(tenant, token=key.token)


async def play(case: Case, tenant: Stack, *, in_bulk: bool = False) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        await Transcript(session, tenant.url, tenant.token, in_bulk=in_bulk).play(case)


@pytest.mark.parametrize("case", parameters("entra", "clients", "public_suites"))
async def test_recorded_case(case: Case, tenant: Stack) -> None:
    await play(case, tenant)


@pytest.mark.parametrize("case", parameters("entra", "clients", in_bulk=True))
async def test_recorded_change_in_a_bulk_request(case: Case, tenant: Stack) -> None:
    await play(case, tenant, in_bulk=True)


@pytest.mark.parametrize("case", parameters("custom_schema"))
async def test_recorded_case_with_a_custom_schema(case: Case, customized: Stack) -> None:
    await play(case, customized)


@pytest.mark.parametrize("case", parameters("custom_schema", in_bulk=True))
async def test_change_with_a_custom_schema_in_bulk(case: Case, customized: Stack) -> None:
    await play(case, customized, in_bulk=True)
