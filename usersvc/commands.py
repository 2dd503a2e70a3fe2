"""The operator's commands. They work on the database without the gRPC services."""

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
from usersvc.domain.changes import RETENTION, Origin
from usersvc.domain.session_token import RandomBytes
from usersvc.domain.users import Name, Profile
from usersvc.store.changes import ChangeStore
from usersvc.store.erasure import ErasureStore
from usersvc.store.sessions import SessionStore

SIGN_IN_LINK_PATH: Final = "/login/link"
OPERATOR: Final = Origin("operator")


@dataclass(frozen=True, slots=True)
class CommandContext:
    """The stores, the clock and the random source of an operator's command."""

    sessions: SessionStore
    changes: ChangeStore
    erasures: ErasureStore
    clock: Clock
    random_bytes: RandomBytes


async def create_administrator(context: CommandContext, arguments: Namespace) -> dict[str, object]:
    """Give the user with the user name the administrator role; create the user if missing."""
    organization_id = read_uuid("ORGANIZATION", arguments.organization)
    profile = Profile(
        user_name=arguments.user_name,
        active=True,
        name=Name(given_name=arguments.given_name, family_name=arguments.family_name),
    )
    users.check(profile)
    administrator = await context.sessions.make_administrator(
        organization_id, profile, context.clock(), OPERATOR
    )
    return {
        "user_id": str(administrator.user.user_id),
        "user_name": administrator.user.profile.user_name,
        "created": administrator.created,
    }


async def sign_in_link(context: CommandContext, arguments: Namespace) -> dict[str, object]:
    """Create a link that signs a user in once.

    The token is the fragment of the URL. Browsers never send a fragment, so the token reaches no
    log and no other site. Refuses (InvalidField) an unknown user name.
    """
    organization_id = read_uuid("ORGANIZATION", arguments.organization)
    user = await context.sessions.find(organization_id, arguments.user_name)
    if user is None:
        raise InvalidField("USER_NAME", "matches no user of this organization")
    token = session_token.generate(organization_id, context.random_bytes)
    expire_time = await context.sessions.create_link(token, user.user_id, context.clock())
    return {
        "link": f"{arguments.base_url.rstrip('/')}{SIGN_IN_LINK_PATH}#{token.text}",
        "expire_time": expire_time.isoformat(timespec="seconds"),
    }


async def end_sessions(context: CommandContext, arguments: Namespace) -> dict[str, object]:
    """End all sessions and sign-in links of an organization, or of one user.

    Refuses (InvalidField) an unknown user name.
    """
    organization_id = read_uuid("ORGANIZATION", arguments.organization)
    user_id = None
    if arguments.user_name:
        user = await context.sessions.find(organization_id, arguments.user_name)
        if user is None:
            raise InvalidField("USER_NAME", "matches no user of this organization")
        user_id = user.user_id
    ended = await context.sessions.end_all(organization_id, user_id)
    return {"ended": len(ended), "user_names": sorted({each.user_name for each in ended})}


async def erase_person(context: CommandContext, arguments: Namespace) -> dict[str, object]:
    """Erase a person. Report the erased rows, the remaining mentions and the data kept for now.

    Refuses (InvalidField) an `--also` name that is too short to identify one person.
    """
    organization_id = read_uuid("ORGANIZATION", arguments.organization)
    for name in arguments.also:
        if len(name) < erasure.MIN_WORD_LENGTH:
            raise InvalidField("--also", f"is shorter than {erasure.MIN_WORD_LENGTH} characters")
    now = context.clock()
    result = await context.erasures.erase(
        organization_id, _id_or_user_name(arguments.user), arguments.also, now, OPERATOR
    )
    return {
        "user_id": str(result.user_id or ""),
        "erased": result.erased,
        "still_named_by": {
            "users": [str(user_id) for user_id in result.named_by_users],
            "groups": [str(group_id) for group_id in result.named_by_groups],
        },
        "kept": {
            "feed": {"what": "the user id", "until": _day(now + RETENTION)},
            "backups": {"what": "all of it", "until": _day(now + erasure.BACKUP_RETENTION)},
            "keysvc": {"what": "the audit trail", "until": "python -m keysvc erase-person"},
        },
    }


def _id_or_user_name(text: str) -> UUID | str:
    """Read the argument as a user id, else as a user name."""
    try:
        return UUID(text)
    except ValueError:
        return text


def _day(time: datetime) -> str:
    return time.date().isoformat()


async def renew_feed(context: CommandContext, arguments: Namespace) -> dict[str, object]:
    """Invalidate every token of the change feed, because a restore may have lost changes."""
    del arguments
    return {"feed_id": str(await context.changes.renew())}


COMMANDS: Final[
    Mapping[str, Callable[[CommandContext, Namespace], Awaitable[dict[str, object]]]]
] = {
    "create-administrator": create_administrator,
    "sign-in-link": sign_in_link,
    "end-sessions": end_sessions,
    "erase-person": erase_person,
    "renew-feed": renew_feed,
}
