"""Concurrent operations of bulk requests have the results of sequential ones."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings

from tests.support.bulk_requests import bulk, created_id
from tests.support.operators import operator
from tests.support.random_bulk_requests import (
    GROUPS,
    MEMBERS,
    USER_NAMES,
    USERS,
    Document,
    group,
    operations,
    user,
)
from tests.support.scim import Client
from tests.support.stack import Stack

REQUESTS = 30
MANY = 10**6
"""As failOnErrors this stops nothing, but operations run one after another."""


@dataclass(frozen=True, slots=True)
class Organization:
    """A new organization with the users and groups that random operations concern."""

    scim: Client
    ids: dict[str, str]
    """The ids of its resources by the texts that stand for them."""

    @classmethod
    async def create(cls, stack: Stack, session: aiohttp.ClientSession) -> "Organization":
        async with operator(stack) as services:
            token = (await services.generate_key(await services.create_organization())).token
        created = cls(Client(session, stack.url, token), {})
        for label, name in zip(USERS, USER_NAMES, strict=True):
            await created._add("/Users", label, user(name))
        for label in reversed(GROUPS):  # g-2 before g-1, which contains it
            members = [created.ids[each] for each in MEMBERS[label]]
            await created._add("/Groups", label, group(label, members))
        return created

    async def _add(self, path: str, label: str, data: Document) -> None:
        self.ids[label] = (await self.scim("POST", path, data)).document["id"]

    async def run(self, documents: list[Document], **members: object) -> Any:
        """The results of a bulk request and all resources after it, with labels for ids."""
        text = json.dumps(documents)
        for label, known_id in self.ids.items():
            text = text.replace(f'"{label}"', f'"{known_id}"').replace(f"/{label}", f"/{known_id}")
        results = await bulk(self.scim, *json.loads(text), **members)
        for each in results:
            if each["status"] == "201":
                self.ids[each["bulkId"]] = created_id(each)
        return self._labelled([results, *[await self._read(each) for each in ("User", "Group")]])

    async def _read(self, kind: str) -> list[Any]:
        reply = await self.scim("GET", f"/{kind}s?attributes=userName,title,displayName,members")
        found = [(await self._whole(kind, each["id"])) for each in reply.document["Resources"]]
        return sorted(found, key=lambda each: self._labelled(each["id"]))

    async def _whole(self, kind: str, resource_id: str) -> Any:
        document = (await self.scim("GET", f"/{kind}s/{resource_id}")).document
        for name in ("created", "lastModified"):
            del document["meta"][name]
        for name in ("members", "groups"):
            if name in document:
                document[name] = sorted(document[name], key=lambda m: self._labelled(m["value"]))
        return document

    def _labelled(self, value: Any) -> Any:
        text = json.dumps(value)
        for label, known_id in self.ids.items():
            text = text.replace(known_id, label)
        return json.loads(text)


@pytest.mark.timeout(600)
def test_concurrent_operations_have_the_results_of_sequential_ones(tenant: Stack):
    async def compare(documents: list[Document]) -> None:
        async with aiohttp.ClientSession() as session:
            concurrent, sequential = [await Organization.create(tenant, session) for _ in range(2)]
            found = await concurrent.run(documents)
            assert found == await sequential.run(documents, failOnErrors=MANY)

    @settings(max_examples=REQUESTS)
    @given(operations(most=12))
    def run(documents: list[Document]) -> None:
        asyncio.run(compare(documents))

    run()
