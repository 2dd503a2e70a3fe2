"""The statements of keysvc, with arguments and the pages that they may read."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from uuid import UUID

from tests.support.plans.cases import NOW, Case, Organization

LARGE: Final = Organization(0, 1_000, 0)
SMALL: Final = Organization(500, 3, 0)
"""The users of these organizations are their keys."""

FIRST: Final = UUID(int=0)

_NEW_ORGANIZATION: Final = """
    INSERT INTO organization (organization_id, display_name, region, create_time)
    VALUES ($1, 'New', 'us', $2)
"""

CASES: Final = (
    Case("audit._LIST", lambda o: (o.id, NOW, FIRST, 50), 10),
    Case(
        "audit._LIST_OF_ACTIONS",
        lambda o: (o.id, NOW, FIRST, 50, ["key_revoked", "key_generated"]),
        15,
    ),
    Case(
        "audit._LIST_OF_ACTIONS",
        lambda o: (o.id, NOW, FIRST, 50, ["log_exported"]),
        10,
        condition="an action without events",
    ),
    Case(
        "audit.record_action",
        lambda o: (o.id, NOW, "a", "A", "", "key_revoked", None, [], None, "", ""),
        20,
    ),
    Case("common.lock_organization", lambda o: (o.id,), 10),
    Case("common.check_organization", lambda o: (o.id,), 10),
    Case("keys._LIST", lambda o: (o.id, NOW, FIRST, 50), 40),
    Case("keys._REVOKE", lambda o: (o.id, o.user_id(2), "a", "A", NOW), 30),
    Case("keys._INSERT", lambda o: (o.id, UUID(int=1), bytes(32), NOW, "a", "A"), 25),
    Case("keys._SELECT", lambda o: (o.id, o.user_id(2)), 10),
    Case("keys._FIND", lambda o: (o.user_id(2),), 10),
    Case(
        "keys.KeyStore.record_use",
        lambda o: (o.id, o.user_id(2), NOW, "", NOW, timedelta(hours=8)),
        30,
    ),
    Case("keys._newest", lambda o: (o.id,), 40),
    Case("keys._limit_expiry", lambda o: (o.id, NOW), 40),
    Case("organizations.OrganizationStore.list_after", lambda _: (NOW, FIRST, 50), 10),
    Case(
        "organizations.OrganizationStore.set_integration_active",
        lambda o: (o.id, False, NOW),
        25,
    ),
    Case("organizations.select_integration", lambda o: (o.id,), 10),
    Case("organizations._insert", lambda _: (None, "New", "us", NOW), 15),
    Case(
        "organizations._insert_integration",
        lambda _: (FIRST, NOW),
        20,
        before=lambda _: (_NEW_ORGANIZATION, (FIRST, NOW)),
    ),
    Case("organizations._select", lambda o: (o.id,), 10),
    Case("sso._SELECT", lambda o: (o.id,), 20),
    Case("sso._FIND", lambda o: (f"d1.o{o.number}.test", NOW), 15),
    Case("sso._ADD_DOMAINS", lambda o: (o.id, ["new.test"], NOW, NOW), 25),
    Case("sso._WRITE", lambda o: (o.id, False, NOW, "https://a", "b", ["x"], True), 20),
    Case("sso._FIND_USER_OF_DOMAIN", lambda o: (f"d1.o{o.number}.test", None), 20),
    Case("sso.SsoStore.record_test", lambda o: (o.id, NOW), 25),
    Case("sso.SsoStore.set_active", lambda o: (o.id, False, NOW), 25),
    Case("sso._write_domains", lambda o: (o.id, [f"d1.o{o.number}.test"]), 70),
    Case("sso_domains._SELECT_ALL", lambda o: (o.id,), 20),
    Case("sso_domains._LOCK", lambda o: (o.id, f"d1.o{o.number}.test"), 15),
    Case("sso_domains._LEASE", lambda _: (NOW, 20, NOW), 200),
    Case("sso_domains._IS_PROVEN_ELSEWHERE", lambda o: (o.id, f"d1.o{o.number}.test"), 10),
    Case("sso_domains._END_OTHER_GRACE", lambda o: (o.id, f"d1.o{o.number}.test", NOW), 10),
    Case(
        "sso_domains._WRITE",
        lambda o: (
            *(o.id, f"d1.o{o.number}.test", "a" * 32, NOW, NOW, NOW, NOW),
            *(False, None, NOW, None, 0, None),
        ),
        30,
    ),
)

_COMMAND: Final = "the command that erases a person reads the organization's whole audit trail"

EXCEPTIONS: Final[Mapping[str, str]] = {
    "common.announce_change": "reads no table",
    "sso_domains._lock": "reads no table",
    **dict.fromkeys(
        (
            "erasure._CASEFOLD",
            "erasure._COUNTS",
            "erasure._ERASE_EVENTS",
            "erasure._ERASE_KEYS",
            "erasure._SAME_NAME",
            "erasure.ErasureStore.erase",
        ),
        _COMMAND,
    ),
}
"""The statements without a case, with the reason."""
