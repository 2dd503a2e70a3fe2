"""Inserts as many custom schemas as an organization may have."""

import json
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

SCHEMAS, ATTRIBUTES = 20, 100
"""The most schemas of an organization, and the most attributes of a schema."""


async def fill(db: asyncpg.Connection, ids: Sequence[UUID]) -> None:
    """Insert the schemas of organizations."""
    attributes = json.dumps([_attribute(number) for number in range(ATTRIBUTES)])
    await db.execute(_INSERT, ids, SCHEMAS, attributes)


def _attribute(number: int) -> dict[str, object]:
    """An attribute as usersvc stores it."""
    return {
        "name": f"attribute{number}",
        "type": "STRING",
        "multi_valued": False,
        "required": False,
        "case_exact": False,
        "mutability": "READ_WRITE",
        "returned": "DEFAULT",
        "canonical_values": [],
        "description": f"The value number {number} of the person in the customer's own system.",
        "sub_attributes": [],
    }


_INSERT: Final = """
    INSERT INTO schemas (organization_id, urn, name, attributes, create_time)
    SELECT organization_id, 'urn:customer:schema' || n, 'Schema ' || n, $3::text::jsonb, now()
      FROM unnest($1::uuid[]) AS organization_id
     CROSS JOIN generate_series(1, $2::integer) AS n
"""
