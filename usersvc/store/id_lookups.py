"""Lookups of several rows by id, as SQL.

A prepared statement is planned once, for an organization of average size. From
`user_id = ANY($2)` PostgreSQL then expects about as many ids as the organization has users, and it
reads a whole index of the organization instead of looking up each id.
"""


def look_up(
    columns: str, table: str, id_column: str, ids: str = "unnest($2::uuid[])", lock: str = ""
) -> str:
    """A SELECT of the rows whose ids the FROM item `ids` yields; `$1` is the organization.

    Each id is looked up once, whatever the planner expects: OFFSET 0 keeps the inner SELECT apart
    from the outer one. The rows are read, and with `lock` locked, in the order of their ids.
    """
    return f"""
        SELECT found.*
          FROM (SELECT DISTINCT id FROM {ids} AS given (id) ORDER BY id) AS wanted
         CROSS JOIN LATERAL (SELECT {columns}
                               FROM {table}
                              WHERE organization_id = $1 AND {id_column} = wanted.id
                             OFFSET 0
                                {lock}) AS found
    """  # noqa: S608
