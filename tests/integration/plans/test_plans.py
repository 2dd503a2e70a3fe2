"""The plan of each statement, with thousands of small organizations beside a large one.

A prepared statement is planned once, for an organization of average size. So a plan that suits
that size can read the whole of a large organization. Every statement has a case in
`tests/support/plans`, which says how many pages it may read, or is an exception with a reason.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from tests.support.plans import cases, keysvc_cases, usersvc_cases
from tests.support.plans.cases import Case, Organization, buffers_read
from tests.support.plans.statements import statements
from tests.support.postgres import Template

ROWS = Path(cases.__file__).parent
TABLES = """
    SELECT attrelid::regclass::text
      FROM pg_attribute
      JOIN pg_class ON pg_class.oid = attrelid
     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
       AND attname = 'organization_id'
"""
WITH_SEVERAL_ORGANIZATIONS = {
    "changes._CHANGES_AFTER": "reads the changes of all organizations if it expects only one",
    "activities.page_sql.page_statement": "reads the log of all organizations, likewise",
    "activities.counts._COUNT": "reads the new refusals of all organizations, likewise",
    "activities.counts._CYCLES": "reads the new refusals of all organizations, likewise",
}
"""Statements whose plan is good only if the planner expects several organizations."""

SOURCE = '''
"""SELECT in a docstring's text is no statement."""

ONE = "SELECT 1"
TITLE = "Two"
BY = {"name": "SELECT 3"}


class Store:
    async def read(self, db, table):
        """Read."""
        await db.fetch("SELECT 4")
        await db.fetch(f"SELECT 5 FROM {table}")
        await db.fetch(f"{ONE} FROM {table}")
'''


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    cases: Sequence[Case]
    exceptions: Mapping[str, str]
    organizations: Sequence[Organization]


SERVICES = (
    Service(
        "usersvc",
        usersvc_cases.CASES,
        usersvc_cases.EXCEPTIONS,
        (cases.LARGE, cases.SMALL),
    ),
    Service(
        "keysvc",
        keysvc_cases.CASES,
        keysvc_cases.EXCEPTIONS,
        (keysvc_cases.LARGE, keysvc_cases.SMALL),
    ),
)


@pytest.fixture(params=SERVICES, ids=lambda service: service.name)
def service(request: pytest.FixtureRequest) -> Service:
    found: Service = request.param
    return found


@pytest.fixture
def url(service: Service, templates: Mapping[str, Template]) -> Iterator[str]:
    with templates[service.name].database() as url:
        yield url


def test_every_statement_has_a_case_or_a_reason(service: Service):
    names = {statement.name for statement in statements(f"{service.name}.store")}
    with_case = {case.name for case in service.cases}

    assert with_case & service.exceptions.keys() == set()
    assert with_case | service.exceptions.keys() == names


async def test_statement_reads_only_the_pages_of_its_rows(service: Service, url: str):
    """One test for all statements, because filling the database takes seconds."""
    db = await asyncpg.connect(url)
    await fill(db, service)
    excessive = await excessive_reads(db, service, service.cases)
    # Then as if one organization had all rows, which is how a region begins.
    await expect_one_organization(db)
    excessive += await excessive_reads(
        db, service, [case for case in service.cases if case.name not in WITH_SEVERAL_ORGANIZATIONS]
    )
    await db.close()

    assert not excessive, "\n".join(excessive)


async def excessive_reads(
    db: asyncpg.Connection, service: Service, some: Iterable[Case]
) -> list[str]:
    """The cases that read more pages than they may, with the tables and indexes."""
    texts = {each.name: each.text or "" for each in statements(f"{service.name}.store")}
    excessive = []
    for case in some:
        for organization in service.organizations:
            text = case.text(organization) if case.text else texts[case.name]
            found = await buffers_read(db, case, text, organization)
            if (read := sum(found.values())) > case.buffers:
                excessive.append(f"{case.title}: {read} pages, not {case.buffers}: {found}")
    return excessive


def test_walk_finds_constants_mappings_and_texts_in_functions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    package = tmp_path / "invented_store"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "people.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))

    assert [(each.name, each.text) for each in statements("invented_store")] == [
        ("people.ONE", "SELECT 1"),
        ("people.BY[name]", "SELECT 3"),
        ("people.Store.read", "SELECT 4"),
        ("people.Store.read 2", None),
        ("people.Store.read 3", None),
    ]


async def fill(db: asyncpg.Connection, service: Service) -> None:
    rows = await asyncio.to_thread((ROWS / f"{service.name}_rows.sql").read_text)
    async with db.transaction():
        await db.execute(rows)
    tables = [table for (table,) in await db.fetch(TABLES)]
    await db.execute(f"VACUUM (ANALYZE) {', '.join(tables)}")


async def expect_one_organization(db: asyncpg.Connection) -> None:
    """Make the planner expect that every row belongs to the same organization."""
    tables = [table for (table,) in await db.fetch(TABLES)]
    one = "n_distinct = 1, n_distinct_inherited = 1"
    for table in tables:
        await db.execute(f"ALTER TABLE {table} ALTER organization_id SET ({one})")
    await db.execute(f"ANALYZE {', '.join(tables)}")
