"""The operator's commands, straight on the database."""

from argparse import Namespace
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from chassis.clock import Clock
from chassis.errors import InvalidField
from chassis.rpc.uuids import read_uuid
from usersvc.domain import erasure, session_token, users
from usersvc.domain.changes import KEPT, Origin
from usersvc.domain.session_token import RandomBytes
from usersvc.domain.users import Name, Profile
from usersvc.store.changes import ChangeStore
from usersvc.store.erasure import ErasureStore
from usersvc.store.sessions import SessionStore

LINK_PATH: Final = "/login/link"
OPERATOR: Final = Origin("operator")


@dataclass(frozen=True, slots=True)
class CommandContext:
    """What an operator's command works with."""

    sessions: SessionStore
    changes: ChangeStore
    erasures: ErasureStore
    clock: Clock
    random_bytes: RandomBytes


async def create_administrator(desk: CommandContext, arguments: Namespace) -> dict[str, object]:
    """Make an administrator of a new user, or of the one that has the name."""
    organization_id = read_uuid("ORGANIZATION", arguments.organization)
    profile = Profile(
        user_name=arguments.user_name,
        active=True,
        name=Name(given_name=arguments.given_name, family_name=arguments.family_name),
    )
    users.check(profile)
    appointed = await desk.sessions.appoint(organization_id, profile, desk.clock(), OPERATOR)
    return {
        "user_id": str(appointed.user.user_id),
        "user_name": appointed.user.profile.user_name,
        "created": appointed.created,
    }


async def sign_in_link(desk: CommandContext, arguments: Namespace) -> dict[str, object]:
    """Make a link by which a person signs in once.

    The token is the link's fragment, which browsers send to nobody: no log and no other page
    comes to know it.
    """
    organization_id = read_uuid("ORGANIZATION", arguments.organization)
    user = await desk.sessions.find(organization_id, arguments.user_name)
    if user is None:
        raise InvalidField("USER_NAME", "is no user's of this organization")
    token = session_token.generate(organization_id, desk.random_bytes)
    expire_time = await desk.sessions.create_link(token, user.user_id, desk.clock())
    return {
        "link": f"{arguments.base_url.rstrip('/')}{LINK_PATH}#{token.text}",
        "expire_time": expire_time.isoformat(timespec="seconds"),
    }


async def erase_person(desk: CommandContext, arguments: Namespace) -> dict[str, object]:
    """Erase a person, and tell what went, who still names the person, and what is kept till when.

    Refuses (InvalidField) another name that is too short to tell people apart.
    """
    organization_id = read_uuid("ORGANIZATION", arguments.organization)
    for name in arguments.also:
        if len(name) < erasure.SHORTEST:
            raise InvalidField("--also", f"has fewer than {erasure.SHORTEST} characters")
    now = desk.clock()
    done = await desk.erasures.erase(
        organization_id, _sought(arguments.user), arguments.also, now, OPERATOR
    )
    return {
        "user_id": str(done.user_id or ""),
        "erased": done.erased,
        "still_named_by": {
            "users": [str(user_id) for user_id in done.named_by_users],
            "groups": [str(group_id) for group_id in done.named_by_groups],
        },
        "kept": {
            "feed": {"what": "the user id", "until": _day(now + KEPT)},
            "backups": {"what": "all of it", "until": _day(now + erasure.BACKUPS_KEPT)},
            "keysvc": {"what": "the audit trail", "until": "python -m keysvc erase-person"},
        },
    }


def _sought(text: str) -> UUID | str:
    """An id, or else a user name."""
    try:
        return UUID(text)
    except ValueError:
        return text


def _day(time: datetime) -> str:
    return time.date().isoformat()


async def renew_feed(desk: CommandContext, arguments: Namespace) -> dict[str, object]:
    """Make every token of the change feed invalid: what it stands for may be gone."""
    del arguments
    return {"feed_id": str(await desk.changes.renew())}


COMMANDS: Final[
    Mapping[str, Callable[[CommandContext, Namespace], Awaitable[dict[str, object]]]]
] = {
    "create-administrator": create_administrator,
    "sign-in-link": sign_in_link,
    "erase-person": erase_person,
    "renew-feed": renew_feed,
}
