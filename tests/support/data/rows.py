"""Test data for the migrations: each statement runs at the schema version that is its key.

Together the statements give every column of every table a value, which a test asserts. So a
migration that adds a column needs a statement here.
"""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from usersvc.domain.session_token import Token

ACME: Final = "018f6d2e-0000-7000-8000-00000000000a"
ANN: Final = "018f6d2e-0000-7000-8000-0000000000a1"
BOB: Final = "018f6d2e-0000-7000-8000-0000000000b0"
TEAM: Final = "018f6d2e-0000-7000-8000-0000000000c1"
CREW: Final = "018f6d2e-0000-7000-8000-0000000000c2"
KEY: Final = "018f6d2e-0000-7000-8000-0000000000d1"
OID: Final = "5b6f0f3e-0f6b-4b0e-9c0e-0a4f8a1d2c11"
SESSION: Final = Token(UUID(ACME), bytes([7] * 32))

_TIMES: Final = "'2026-11-01T08:00Z', '2026-11-02T08:00Z'"
_VALUES: Final = '[{"value": "x", "display": "X", "type": "work", "primary": true}]'
_ATTRIBUTE: Final = (
    '{"name": "number", "type": "STRING", "multi_valued": false, "required": false,'
    ' "case_exact": false, "mutability": "READ_WRITE", "returned": "DEFAULT",'
    ' "canonical_values": [], "description": "", "sub_attributes": []}'
)

ROWS: Final[Mapping[str, Mapping[int, str]]] = {
    "usersvc": {
        1: f"""
            INSERT INTO users VALUES
                ('{ACME}', '{ANN}', 3, {_TIMES}, 'ann@corp.test', 'ann', true, 'Dr Ann M Lee Jr',
                 'Lee', 'Ann', 'M', 'Dr', 'Jr', 'Ann Lee', 'Annie', 'https://x.test/ann', 'Boss',
                 'Employee', 'en', 'en-GB', 'Europe/London',
                 '[{{"value": "ann@corp.test", "type": "work", "primary": true}}]', '{_VALUES}',
                 '{_VALUES}', '{_VALUES}', '[{{"formatted": "1 Way", "type": "work"}}]',
                 '{_VALUES}', '[{{"value": "Administrator"}}]', '{_VALUES}',
                 '7', '42', 'Corp', 'North', 'IT', '{BOB}');
            INSERT INTO users (organization_id, user_id, create_time, update_time, user_name)
                 VALUES ('{ACME}', '{BOB}', {_TIMES}, 'bob');
        """,
        2: f"""
            INSERT INTO groups VALUES
                ('{ACME}', '{TEAM}', 2, {_TIMES}, 'Team', 'team', '{{nobody}}'),
                ('{ACME}', '{CREW}', 1, {_TIMES}, 'Crew', NULL, '{{}}');
            INSERT INTO group_users VALUES ('{ACME}', '{TEAM}', '{ANN}');
            INSERT INTO group_groups VALUES ('{ACME}', '{CREW}', '{TEAM}');
        """,
        3: f"""
            INSERT INTO schemas (organization_id, urn, name, description, attributes, create_time)
                 VALUES ('{ACME}', 'urn:acme:2.0:Badge', 'Badge', 'What opens doors',
                         '[{_ATTRIBUTE}]',
                         '2026-11-01T08:00Z');
            UPDATE users SET extensions = '{{"urn:acme:2.0:Badge": {{"number": "7-A"}}}}'
             WHERE user_id = '{ANN}';
        """,
        4: f"""
            INSERT INTO changes VALUES
                ('{ACME}', next_change(), 2, '{ANN}', 2, '{{title,user_name}}', true, '{{}}',
                 '{{}}', now(), 'r1', '{KEY}', 'ann@corp.test', '{{Clerk,ann}}',
                 '{{Boss,ann@corp.test}}'),
                ('{ACME}', next_change(), 9, '{TEAM}', 2, '{{}}', false, '{{{ANN}}}', '{{{CREW}}}',
                 now(), 'r2', NULL, 'Team', NULL, NULL);
        """,
        5: f"""
            INSERT INTO create_requests
                 VALUES ('{ACME}', '{KEY}', sha256('request'), '{ANN}', now());
        """,
        6: f"""
            INSERT INTO sessions VALUES
                ('{ACME}', decode('{SESSION.secret_digest.hex()}', 'hex'), '{ANN}', now(),
                 now() + interval '10 minutes', now() + interval '8 hours');
            INSERT INTO sign_in_links
                 VALUES ('{ACME}', sha256('link'), '{ANN}', now() + interval '10 minutes');
            INSERT INTO taken_assertions VALUES ('{ACME}', sha256('assertion'), now());
            INSERT INTO linked_identities VALUES ('{ACME}', '{OID}', '{ANN}');
            INSERT INTO deleted_identities VALUES
                ('{ACME}', identity_digest('{ACME}', 'eve@corp.test'), now());
        """,
        7: f"""
            INSERT INTO refusals VALUES
                ('{ACME}', next_change(), 1, now(), 'r3', '{KEY}', '{ANN}', 'eve', 'POST', '/Users',
                 '{{}}', 409, 'uniqueness', 'Taken.', 'USER_NAME_TAKEN', '192.0.2.1', '{{eve}}');
            UPDATE changes SET last_administrator_lost = true WHERE type = 2;
        """,
        9: "UPDATE refusals SET report_id = uuidv7()",
        19: f"""
            INSERT INTO activity_counts VALUES
                ('{ACME}', 60, now(), now(), now(), 1, 2, 3, 2, 4, 5);
            INSERT INTO logged_names VALUES ('{ACME}', '{ANN}', 'ann@corp.test', next_change());
        """,
        23: "UPDATE database_identity SET region = 'us'",
        25: f"""
            INSERT INTO list_walks VALUES
                ('{ACME}', sha256('list'), '{KEY}', 101, '0:0:x', 201, '0:0:y', 201, 900, now());
        """,
        26: "UPDATE changes SET client = 'Okta'; UPDATE refusals SET client = 'Okta'",
        27: f"""
            INSERT INTO directory_counts VALUES ('{ACME}', 2, 1, 2);
            INSERT INTO deleted_active_users VALUES ('{ACME}', next_change());
            UPDATE change_feed SET counted = 1;
        """,
    },
    "keysvc": {
        1: f"""
            INSERT INTO organization VALUES ('{ACME}', 'Acme', 'us', '2026-11-01T08:00Z');
            INSERT INTO integration VALUES ('{ACME}', true, '2026-11-01T08:00Z');
            INSERT INTO api_key VALUES
                ('{ACME}', '{KEY}', sha256('secret'), {_TIMES.split(",")[0]}, 'ann',
                 '2027-11-01T08:00Z', '2026-11-02T08:00Z', 'bob', '2026-11-01T09:00Z', '192.0.2.1');
        """,
        2: f"""
            INSERT INTO audit_events VALUES
                ('{ACME}', '2026-11-02T08:00Z', uuidv7(), 'bob', 'bob@corp.test', '192.0.2.2',
                 'key_revoked', '{KEY}', '{{sso_url}}');
            UPDATE api_key SET created_by_name = 'ann@corp.test', revoked_by_name = 'bob@corp.test';
        """,
        3: f"""
            INSERT INTO sso_connections VALUES
                ('{ACME}', 3, true, {_TIMES}, 'https://idp.test/saml2', 'https://idp.test/',
                 '{{certificate}}', true);
            INSERT INTO sso_domains VALUES ('{ACME}', 'corp.test');
        """,
        5: f"""
            INSERT INTO audit_events (organization_id, create_time, actor_id, actor_display_name,
                                      actor_address, action, user_id)
                 VALUES ('{ACME}', '2026-11-03T08:00Z', 'bob', 'bob@corp.test', '192.0.2.2',
                         'sessions_ended', '{ANN}');
        """,
        6: f"""
            INSERT INTO sso_domains VALUES
                ('{ACME}', 'proven.test', 'aaaabbbbccccdddd', {_TIMES}, true,
                 {_TIMES}, {_TIMES}, '2026-11-04T08:00Z', 3, '2026-11-04T08:00Z');
            INSERT INTO audit_events (organization_id, create_time, actor_id, actor_display_name,
                                      actor_address, action, domain, reason)
                 VALUES ('{ACME}', '2026-11-04T08:00Z', 'operator', 'operator', '',
                         'domain_verified', 'proven.test', 'The customer called.');
        """,
    },
}
