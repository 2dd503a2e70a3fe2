"""The table of schemas. Each statement is limited to one organization."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from chassis.database.pool import Database
from chassis.errors import Refusal
from usersvc.domain import schemas
from usersvc.domain.errors import SCHEMA_IN_USE, SCHEMA_NOT_FOUND
from usersvc.domain.schemas import Attribute, Mutability, OwnedSchema, Returned, Schema, Type

CHANNEL: Final = "usersvc_schema"
"""The NOTIFY channel of changes of schemas, for all replicas of this service."""

Row = Any  # asyncpg is untyped


class SchemaStore:
    """Reads and writes schemas. Each statement is limited to one organization."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, organization_id: UUID, schema: Schema, now: datetime) -> OwnedSchema:
        """Add a schema. Refuses SCHEMA_EXISTS and InvalidField."""
        async with self._database.transaction() as db:
            await db.execute(_LOCK_ORGANIZATION, organization_id)
            others = [_schema(row) for row in await db.fetch(_SELECT_ALL, organization_id)]
            schemas.check_with_others(schema, others)
            await db.execute(
                """
                INSERT INTO schemas
                       (organization_id, urn, name, description, attributes, create_time)
                VALUES ($1, $2, $3, $4, $5, $6)
                """,
                organization_id, schema.urn, schema.name, schema.description or None,
                _attributes_json(schema.attributes), now,
            )  # fmt: skip
            await _announce_change(db, organization_id)
        return OwnedSchema(organization_id, schema, now)

    async def get(self, organization_id: UUID, urn: str) -> OwnedSchema:
        """Read a schema. Refuses SCHEMA_NOT_FOUND."""
        async with self._database.connection() as db:
            row = await db.fetchrow(_SELECT_ONE, organization_id, urn)
        if row is None:
            raise Refusal(SCHEMA_NOT_FOUND, urn)
        return _owned_schema(row)

    async def list(self, organization_id: UUID) -> list[OwnedSchema]:
        """Read all schemas of an organization in the order of their creation."""
        async with self._database.connection() as db:
            return [_owned_schema(row) for row in await db.fetch(_SELECT_ALL, organization_id)]

    async def delete(self, organization_id: UUID, urn: str) -> None:
        """Delete a schema. Refuses SCHEMA_NOT_FOUND and SCHEMA_IN_USE."""
        async with self._database.transaction() as db:
            # The lock waits for running transactions that write values. Later ones find no schema.
            row = await db.fetchrow(f"{_SELECT_ONE} FOR UPDATE", organization_id, urn)
            if row is None:
                raise Refusal(SCHEMA_NOT_FOUND, urn)
            known = _schema(row).urn
            if await db.fetchval(_IS_IN_USE, organization_id, known):
                raise Refusal(SCHEMA_IN_USE, known)
            await db.execute(
                "DELETE FROM schemas WHERE organization_id = $1 AND urn = $2",
                organization_id, known,
            )  # fmt: skip
            await _announce_change(db, organization_id)


async def _announce_change(db: asyncpg.Connection, organization_id: UUID) -> None:
    """Notify every replica when the transaction is committed.

    NOTIFY serializes commits, which is acceptable for these rare writes.
    """
    await db.execute("SELECT pg_notify($1, $2)", CHANNEL, str(organization_id))


async def lock(
    db: asyncpg.Connection, organization_id: UUID, urns: Collection[str]
) -> list[Schema]:
    """Read the schemas that exist among `urns`, locked against deletion by this transaction."""
    return [_schema(row) for row in await db.fetch(_LOCK, organization_id, list(urns))]


# --- rows -------------------------------------------------------------------------------


def _owned_schema(row: Row) -> OwnedSchema:
    return OwnedSchema(row["organization_id"], _schema(row), row["create_time"])


def _schema(row: Row) -> Schema:
    attributes = tuple([_attribute(each) for each in orjson.loads(row["attributes"])])
    return Schema(row["urn"], row["name"], attributes, row["description"] or "")


def _attribute(document: dict[str, Any]) -> Attribute:
    return Attribute(
        name=document["name"],
        type=Type[document["type"]],
        multi_valued=document["multi_valued"],
        required=document["required"],
        case_exact=document["case_exact"],
        mutability=Mutability[document["mutability"]],
        returned=Returned[document["returned"]],
        canonical_values=tuple(document["canonical_values"]),
        description=document["description"],
        sub_attributes=tuple([_attribute(each) for each in document["sub_attributes"]]),
    )


def _attributes_json(attributes: tuple[Attribute, ...]) -> str:
    return orjson.dumps([_document(each) for each in attributes]).decode()


def _document(attribute: Attribute) -> dict[str, Any]:
    return {
        "name": attribute.name,
        "type": attribute.type.name,
        "multi_valued": attribute.multi_valued,
        "required": attribute.required,
        "case_exact": attribute.case_exact,
        "mutability": attribute.mutability.name,
        "returned": attribute.returned.name,
        "canonical_values": attribute.canonical_values,
        "description": attribute.description,
        "sub_attributes": [_document(each) for each in attribute.sub_attributes],
    }


# --- statements -------------------------------------------------------------------------

_COLUMNS: Final = "organization_id, urn, name, description, attributes, create_time"

_SELECT_ONE: Final = f"""
    SELECT {_COLUMNS} FROM schemas WHERE organization_id = $1 AND folded_urn = fold($2)
"""  # noqa: S608

_SELECT_ALL: Final = f"""
    SELECT {_COLUMNS} FROM schemas WHERE organization_id = $1 ORDER BY create_time, folded_urn
"""  # noqa: S608

_LOCK: Final = f"""
    SELECT {_COLUMNS}
      FROM schemas
     WHERE organization_id = $1 AND urn = ANY($2::text[])
     ORDER BY folded_urn
       FOR KEY SHARE
"""  # noqa: S608

# Serializes the creation of an organization's schemas, so that their number can be limited.
_LOCK_ORGANIZATION: Final = "SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text, 0))"

_IS_IN_USE: Final = """
    SELECT EXISTS (SELECT FROM users
                    WHERE organization_id = $1 AND extensions IS NOT NULL AND extensions ? $2)
"""
