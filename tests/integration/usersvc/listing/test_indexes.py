"""Frequent queries use an index, with custom plans and with generic plans."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.support.postgres import Template
from tests.support.usersvc.user_calls import ACME
from usersvc.domain.filters import (
    AllOf,
    AnyOf,
    Comparison,
    ElementMatch,
    Moment,
    Operator,
    Order,
    Position,
    Query,
)
from usersvc.domain.lookups import KeyKind
from usersvc.store.listing.filter_sql import Where
from usersvc.store.listing.list_sql import page_statement
from usersvc.store.listing.user_fields import USERS
from usersvc.store.lookups import BY_IDS, BY_KEYS

USER_ID = UUID("018f6d2e-0000-7000-8000-000000020000")
LATE = datetime(2026, 1, 1, 5, 33, tzinfo=UTC)

# One organization with 20,000 users and 100 others with 100 each. One hour of the large
# organization's history has 3,600 changes.
FILL = f"""
INSERT INTO users (organization_id, user_id, create_time, update_time, user_name, external_id,
                   active, display_name, emails, employee_number)
SELECT CASE WHEN n <= 20000 THEN '{ACME}' ELSE lpad((n % 100)::text, 32, '0') END::uuid,
       ('018f6d2e-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid,
       '2026-01-01Z'::timestamptz + n * interval '1 s',
       '2026-01-01Z'::timestamptz + n * interval '1 s',
       'User' || n || '@acme.test', 'external-' || n, n % 10 > 0, 'Person ' || n,
       jsonb_build_array(jsonb_build_object('value', 'User' || n || '@acme.test', 'type', 'work')),
       CASE WHEN n % 2 = 1 THEN 'E' || n END
  FROM generate_series(1, 30000) AS n
"""


@pytest.fixture(scope="module")
def crowded_url(users_template: Template) -> Iterator[str]:
    with users_template.database() as url:
        asyncio.run(_fill(url))
        yield url


async def _fill(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(FILL)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


def equal(field: str, value: str) -> Comparison:
    return Comparison(field, Operator.EQUAL, value)


def time_range() -> AllOf:
    return AllOf(
        (
            Comparison("update_time", Operator.GREATER_OR_EQUAL, Moment(LATE)),
            Comparison("update_time", Operator.LESS_THAN, Moment(LATE.replace(minute=34))),
        )
    )


EMAIL = equal("emails.value", "USER77@acme.test")
WORK_EMAIL = ElementMatch(
    "emails", AllOf((equal("type", "work"), equal("value", "user77@acme.test")))
)
USER_NAME = equal("user_name", "uSER77@ACME.TEST")
PREFIX = Comparison("user_name", Operator.STARTS_WITH, "user777")

SERVED = {
    "id": (equal("id", str(USER_ID)), Order(), "users_pkey"),
    "user name": (USER_NAME, Order(), "users_user_name_key"),
    "external id": (equal("external_id", "external-77"), Order(), "users_external_id_idx"),
    "display name": (equal("display_name", "pERSON 77"), Order(), "users_display_name_idx"),
    "employee number": (
        equal("enterprise.employee_number", "e77"),
        Order(),
        "users_employee_number_idx",
    ),
    "e-mail": (EMAIL, Order(), "user_email_pkey"),
    "e-mail of one type": (WORK_EMAIL, Order(), "user_email_pkey"),
    "active user name": (
        AllOf((Comparison("active", Operator.EQUAL, True), USER_NAME)),
        Order(),
        "users_user_name_key",
    ),
    "user name or e-mail": (AnyOf((EMAIL, USER_NAME)), Order(), "users_user_name_key"),
    "user name prefix": (PREFIX, Order(), "users_user_name_key"),
    "user name prefix in order": (PREFIX, Order("user_name"), "users_user_name_key"),
    "update time": (time_range(), Order("update_time"), "users_update_time_idx"),
    "last changes": (None, Order("update_time", descending=True), "users_update_time_idx"),
    "all by id": (None, Order(), "users_pkey"),
    "all by user name": (None, Order("user_name"), "users_user_name_key"),
}


@pytest.mark.parametrize("plan", ["custom", "generic"])
@pytest.mark.parametrize("name", SERVED)
async def test_frequent_query_is_served_by_index(crowded_url, name, plan):
    filter_, order, index = SERVED[name]
    query = Query(UUID(ACME), 100, filter=filter_, order=order)
    nodes = await explain(crowded_url, query, plan)
    assert not [node for node in nodes if node["Node Type"] == "Seq Scan"]
    assert index in {node.get("Index Name") for node in nodes}
    conditions = [node["Index Cond"] for node in nodes if "Index Name" in node]
    assert all("organization_id" in condition for condition in conditions)


@pytest.mark.parametrize("plan", ["custom", "generic"])
@pytest.mark.parametrize(
    ("order", "key"),
    [
        (Order(), None),
        (Order("user_name"), "user5@acme.test"),
        (Order("update_time"), LATE),
        (Order("update_time", descending=True), LATE),
    ],
)
async def test_page_in_the_middle_starts_from_an_index_condition(crowded_url, order, key, plan):
    query = Query(UUID(ACME), 100, order=order, after=Position(key, USER_ID))
    nodes = await explain(crowded_url, query, plan)
    scans = [node for node in nodes if "Index Name" in node]
    wanted = {"id": "user_id", "user_name": "fold", "update_time": "update_time"}[order.field]
    wanted = wanted.replace("fold", "casefold")
    assert [wanted in node["Index Cond"] for node in scans] == [True]
    assert "Sort" not in {node["Node Type"] for node in nodes}


async def test_email_filter_reads_few_rows(crowded_url):
    nodes = await explain(crowded_url, Query(UUID(ACME), 100, filter=EMAIL), "analyze")
    assert max(node["Actual Rows"] for node in nodes) == 1


@pytest.mark.parametrize("number", [0, 10_000, 19_800])
async def test_page_reads_the_same_number_of_rows_at_any_position(crowded_url, number):
    after = Position(None, UUID(f"018f6d2e-0000-7000-8000-{number:012}"))
    nodes = await explain(crowded_url, Query(UUID(ACME), 100, after=after), "analyze")
    assert {node["Actual Rows"] for node in nodes} == {101}


@pytest.mark.parametrize("plan", ["custom", "generic"])
@pytest.mark.parametrize(
    ("kind", "texts", "index"),
    [
        (KeyKind.USER_NAME, [f"uSER{n}@acme.test" for n in range(1000)], "users_user_name_key"),
        (KeyKind.EXTERNAL_ID, [f"external-{n}" for n in range(1000)], "users_external_id_idx"),
    ],
)
async def test_each_lookup_key_uses_an_index(crowded_url, kind, texts, index, plan):
    nodes = await explain_statement(crowded_url, BY_KEYS[kind], [UUID(ACME), texts, 11], plan)
    conditions = {node["Index Name"]: node["Index Cond"] for node in nodes if "Index Name" in node}
    assert conditions.keys() == {index}
    assert "organization_id" in conditions[index]
    assert "wanted.key" in conditions[index]


@pytest.mark.parametrize("plan", ["custom", "generic"])
async def test_each_id_of_a_batch_read_uses_an_index(crowded_url, plan):
    ids = [UUID(f"018f6d2e-0000-7000-8000-{n:012}") for n in range(1000)]
    nodes = await explain_statement(crowded_url, BY_IDS, [UUID(ACME), ids], plan)
    (condition,) = [node["Index Cond"] for node in nodes if "Index Name" in node]
    assert "user_id = ANY" in condition


async def explain(url: str, query: Query, plan: str) -> list[dict[str, Any]]:
    """The plan nodes of a list query."""
    where = Where(query.organization_id)
    statement = page_statement(where, query, USERS)
    return await explain_statement(url, statement, where.arguments, plan)


async def explain_statement(
    url: str, statement: str, arguments: list[Any], plan: str
) -> list[dict[str, Any]]:
    """The plan nodes of a statement."""
    options = {"generic": "GENERIC_PLAN, ", "analyze": "ANALYZE, "}.get(plan, "")
    connection = await asyncpg.connect(url)
    try:
        explained = f"EXPLAIN ({options}FORMAT JSON) {statement}"
        if plan == "generic":
            # Without arguments, because asyncpg would ask for their values.
            rows = await explain_generic(connection, explained)
        else:
            rows = await connection.fetchval(explained, *arguments)
    finally:
        await connection.close()
    return list(nodes_of(json.loads(rows)[0]["Plan"]))


async def explain_generic(connection: asyncpg.Connection, explained: str) -> str:
    """Explain inside a function, because the protocol would ask for argument values."""
    await connection.execute("CREATE TEMP TABLE plan (text json)")
    quoted = await connection.fetchval("SELECT quote_literal($1)", explained)
    await connection.execute(
        f"DO $do$ DECLARE found json; BEGIN EXECUTE {quoted} INTO found;"
        " INSERT INTO plan VALUES (found); END $do$"
    )
    return await connection.fetchval("SELECT text FROM plan")


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes_of(inner)


async def test_keyed_query_is_planned_once(crowded_url: str):
    """Planning costs more than running, but PostgreSQL would replan at each call by default."""
    connection = await asyncpg.connect(crowded_url)
    try:
        for _ in range(7):
            await connection.fetch(BY_IDS, UUID(ACME), [USER_ID])
        plans = await connection.fetchrow(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = $1",
            BY_IDS,
        )
    finally:
        await connection.close()
    assert tuple(plans) == (7, 0)


async def test_plan_made_for_empty_table_stays_an_index_scan(users_url: str):
    connection = await asyncpg.connect(users_url)
    try:
        await connection.execute(
            "PREPARE watermark (bigint) AS SELECT max(number) FROM changes WHERE number <= $1"
        )
        plan = await connection.fetchval("EXPLAIN (FORMAT json) EXECUTE watermark (7)")
    finally:
        await connection.close()
    assert "number_idx" in plan
    assert "Seq Scan" not in plan
