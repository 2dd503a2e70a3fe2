"""Every column that can contain text, classified by whether it can contain personal data.

test_columns fails until a new column is classified. If it is personal, test_erase_person then fails
until it fills the column and checks that the column is erased.
"""

from typing import Final

import asyncpg

PERSONAL: Final = {
    "usersvc": {
        "users": (
            "user_name external_id name_formatted family_name given_name middle_name"
            " honorific_prefix honorific_suffix display_name nick_name profile_url title user_type"
            " preferred_language locale timezone emails phone_numbers ims photos addresses"
            " entitlements roles x509_certificates employee_number cost_center"
            " enterprise_organization division department manager_value extensions"
        ),
        "groups": "unknown_members",
        "changes": "resource_name old_values new_values",
        "refusals": "resource_name target body detail mentions",
        "logged_names": "name",
        "linked_identities": "object_identifier",
        # The query may contain a name, and the position the value that the list is sorted by.
        "list_walks": "list_digest page_position next_position",
        # Digests, which can confirm a guess about the person.
        "deleted_identities": "digest",
        "create_requests": "digest",
        "sessions": "secret_digest",
        "sign_in_links": "secret_digest",
    },
    "keysvc": {
        "api_key": "created_by created_by_name revoked_by revoked_by_name",
        "audit_events": "actor_id actor_display_name actor_address",
    },
}

NON_PERSONAL: Final = {
    "usersvc": {
        # Names of teams; `still_named_by` reports one that names a person.
        "groups": "display_name external_id",
        "schemas": "urn folded_urn name description attributes",
        # Names of fields, ids of requests, which the gateway generates, and names of products.
        "changes": "fields request_id client",
        # Texts of this service. The address is that of Entra or of a client that guesses keys.
        "refusals": "request_id method error_type reason client_address client",
        "taken_assertions": "assertion_digest",  # of a random id, for 70 minutes
        "schema_migration": "name digest",
        "database_identity": "service region",
        "clock_readings": "offset_seconds",
    },
    "keysvc": {
        "organization": "display_name region",
        # The address is that of Entra.
        "api_key": "secret_digest last_used_address",
        # The reason is an operator's, about a domain.
        "audit_events": "action fields domain reason",
        "sso_connections": "sso_url idp_entity_id certificates",
        "sso_domains": "domain token",
        "schema_migration": "name digest",
        "database_identity": "service region",
        "clock_readings": "offset_seconds",
    },
}


def pairs(listed: dict[str, str]) -> set[tuple[str, str]]:
    return {(table, column) for table, columns in listed.items() for column in columns.split()}


async def columns(db: asyncpg.Connection) -> set[tuple[str, str]]:
    """The columns of a database except numbers, times, ids and booleans."""
    rows = await db.fetch(
        """
        SELECT c.relname, a.attname
          FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
         WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
           AND c.relnamespace = 'public'::regnamespace
           AND a.attnum > 0 AND NOT a.attisdropped
           AND a.atttypid <> ALL(ARRAY['bool', 'int2', 'int4', 'int8', 'timestamptz', 'uuid',
                                       'uuid[]']::regtype[])
        """
    )
    return {(row["relname"], row["attname"]) for row in rows}


async def count_rows_with(db: asyncpg.Connection, table: str, column: str, marker: str) -> int:
    """The number of rows with the marker in a column, or with any value in a bytea column."""
    text = f"{column}::text"
    condition = f"{text} ~* $1 OR {text} LIKE '\\\\x%'"
    return await db.fetchval(f"SELECT count(*) FROM {table} WHERE {condition}", marker)
