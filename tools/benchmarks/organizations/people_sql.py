"""The statements that insert people and groups.

$1: the ids of the organizations, the large one first, or the id of the large one.
"""

from tools.benchmarks.organizations.people import (
    LARGE,
    LARGEST_GROUP,
    family_name_sql,
    given_name_sql,
    group_id_sql,
    user_id_sql,
    user_name_sql,
)
from tools.benchmarks.organizations.sizes import GROUP_MEMBERS, GROUPS, LARGE_GROUPS, PEOPLE

TRIGGERS = (
    "users_index_email_insert",
    "users_index_email_update",
    "users_index_email_delete",
    "users_end_sessions",
    "users_delete_logged_names",
    "users_record_deleted_active",
)
"""The triggers whose rows are inserted here, or that insert none."""


BUSY_PEOPLE = 6
"""The first people of the large organization, who are in many groups."""

_ORGANIZATIONS = """
    (SELECT organization_id, (ordinal - 1)::integer AS o
       FROM unnest($1::uuid[]) WITH ORDINALITY AS _ (organization_id, ordinal))
"""

USERS = f"""
    INSERT INTO users (organization_id, user_id, create_time, update_time, user_name, external_id,
                       active, given_name, family_name, name_formatted, display_name, department,
                       emails)
    SELECT organization_id, {user_id_sql("o", "n")}, time, time, user_name, 'x' || o || '-' || n,
           true, given, family, given || ' ' || family, given || ' ' || family,
           'Department ' || n % 40,
           jsonb_build_array(
               jsonb_build_object('value', user_name, 'type', 'work', 'primary', true))
      FROM {_ORGANIZATIONS} AS organizations
     CROSS JOIN LATERAL generate_series(1, CASE o WHEN {LARGE} THEN $2::integer ELSE {PEOPLE} END)
           AS n
     CROSS JOIN LATERAL
           (SELECT {given_name_sql("n")} AS given, {family_name_sql("n")} AS family,
                   {user_name_sql("o", "n")} AS user_name,
                   now() - interval '30 days' + n % 40000 * interval '1 minute' AS time) AS person
"""

EMAILS = """
    INSERT INTO user_email (organization_id, address_hash, user_id)
    SELECT organization_id, address_hash(user_name), user_id
      FROM users
     WHERE emails IS NOT NULL
        ON CONFLICT DO NOTHING
"""

# The large organization also has the largest group, number LARGEST_GROUP, and after its ordinary
# groups those of the people who are in many groups.
GROUPS_AND_LARGEST = f"""
    INSERT INTO groups (organization_id, group_id, create_time, update_time, display_name)
    SELECT organization_id, {group_id_sql("o", "g")}, time, time, 'Group ' || g
      FROM {_ORGANIZATIONS} AS organizations
     CROSS JOIN LATERAL generate_series(
               CASE o WHEN {LARGE} THEN {LARGEST_GROUP} ELSE 1 END,
               CASE o WHEN {LARGE} THEN {LARGE_GROUPS} + $2::integer ELSE {GROUPS} END) AS g
     CROSS JOIN (SELECT now() - interval '30 days' AS time) AS clock
"""

MEMBERS = f"""
    INSERT INTO group_users (organization_id, group_id, user_id)
    SELECT organization_id, {group_id_sql("o", "g")}, {user_id_sql("o", "m")}
      FROM {_ORGANIZATIONS} AS organizations
     CROSS JOIN LATERAL
           generate_series(1, CASE o WHEN {LARGE} THEN {LARGE_GROUPS} ELSE {GROUPS} END) AS g
     CROSS JOIN generate_series(1, {GROUP_MEMBERS}) AS member
     CROSS JOIN LATERAL
           (SELECT CASE o WHEN {LARGE} THEN {PEOPLE} ELSE 0 END
                   + (g - 1) % {GROUPS} * {GROUP_MEMBERS} + member AS m) AS person
"""

LARGE_GROUP = f"""
    INSERT INTO group_users (organization_id, group_id, user_id)
    SELECT $1, {group_id_sql(str(LARGE), str(LARGEST_GROUP))}, {user_id_sql(str(LARGE), "n")}
      FROM generate_series({PEOPLE} + 1, {PEOPLE} + $2::integer) AS n
"""

USERS_IN_MANY_GROUPS = f"""
    INSERT INTO group_users (organization_id, group_id, user_id)
    SELECT $1, {group_id_sql(str(LARGE), f"{LARGE_GROUPS} + g")}, {user_id_sql(str(LARGE), "n")}
      FROM generate_series(1, $2::integer) AS g
     CROSS JOIN generate_series(1, {BUSY_PEOPLE}) AS n
"""
