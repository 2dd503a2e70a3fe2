"""Log entries as sentences, for example "Ann Li was disabled"."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cloudacademy.users.v1.activity_pb2 import Activity

from gateway.portal.models.times import pluralize

_DONE: Final[Mapping[int, str]] = {
    Activity.ACTION_CREATE_USER: "was created",
    Activity.ACTION_UPDATE_USER: "was updated",
    Activity.ACTION_DISABLE_USER: "was disabled",
    Activity.ACTION_RESTORE_USER: "was enabled again",
    Activity.ACTION_DELETE_USER: "was deleted",
    Activity.ACTION_CREATE_GROUP: "was created",
    Activity.ACTION_UPDATE_GROUP: "was updated",
    Activity.ACTION_DELETE_GROUP: "was deleted",
    Activity.ACTION_OTHER: "was changed",
}
_FAILED: Final[Mapping[int, str]] = {
    Activity.ACTION_CREATE_USER: "could not be created",
    Activity.ACTION_UPDATE_USER: "could not be updated",
    Activity.ACTION_DISABLE_USER: "could not be disabled",
    Activity.ACTION_RESTORE_USER: "could not be enabled again",
    Activity.ACTION_DELETE_USER: "could not be deleted",
    Activity.ACTION_CREATE_GROUP: "could not be created",
    Activity.ACTION_UPDATE_GROUP: "could not be updated",
    Activity.ACTION_DELETE_GROUP: "could not be deleted",
    Activity.ACTION_OTHER: "could not be changed",
}
_FAILED_MEMBERS: Final[Mapping[int, str]] = {
    Activity.ACTION_ADD_MEMBERS: "Members could not be added to",
    Activity.ACTION_REMOVE_MEMBERS: "Members could not be removed from",
}
_REFUSED_KEYS: Final[Mapping[str, str]] = {
    "KEY_EXPIRED": "A request used an expired API key",
    "KEY_REVOKED": "A request used a revoked API key",
    "INTEGRATION_INACTIVE": "A request was refused because the integration is inactive",
}
ACTIONS: Final[Mapping[str, tuple[str, "tuple[Activity.Action, ...]"]]] = {
    "create": ("Create", (Activity.ACTION_CREATE_USER, Activity.ACTION_CREATE_GROUP)),
    "update": ("Update", (Activity.ACTION_UPDATE_USER, Activity.ACTION_UPDATE_GROUP)),
    "disable": ("Disable", (Activity.ACTION_DISABLE_USER,)),
    "restore": ("Enable again", (Activity.ACTION_RESTORE_USER,)),
    "delete": ("Delete", (Activity.ACTION_DELETE_USER, Activity.ACTION_DELETE_GROUP)),
    "members": ("Members", (Activity.ACTION_ADD_MEMBERS, Activity.ACTION_REMOVE_MEMBERS)),
    "key": ("Rejected key", (Activity.ACTION_AUTHENTICATE,)),
    "other": ("Other", (Activity.ACTION_OTHER, Activity.ACTION_UNSPECIFIED)),
}
"""The action filter: query parameter, label, and the actions that it includes."""

_KEY_OF_ACTION: Final = {action: key for key, (_, actions) in ACTIONS.items() for action in actions}
GROUP_ACTIONS: Final = frozenset(
    {
        Activity.ACTION_CREATE_GROUP,
        Activity.ACTION_UPDATE_GROUP,
        Activity.ACTION_DELETE_GROUP,
        Activity.ACTION_ADD_MEMBERS,
        Activity.ACTION_REMOVE_MEMBERS,
    }
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence in three parts, so that the subject can be emphasized."""

    subject: str
    rest: str
    before: str = ""

    @property
    def text(self) -> str:
        """The whole sentence."""
        return " ".join(part for part in (self.before, self.subject, self.rest) if part)


def action_key(activity: Activity) -> str:
    """The action's key in `ACTIONS`."""
    return _KEY_OF_ACTION.get(activity.action, "other")


def action_label(activity: Activity) -> str:
    """The action's label."""
    return ACTIONS[action_key(activity)][0]


def is_about_group(activity: Activity) -> bool:
    """Whether the entry is about a group."""
    return activity.action in GROUP_ACTIONS


def sentence(activity: Activity, current_name: str = "") -> Sentence:
    """The sentence for an entry, with the current name of the person or group if known."""
    if activity.action == Activity.ACTION_AUTHENTICATE:
        return Sentence(
            "", _REFUSED_KEYS.get(activity.refusal.reason, "A request had no valid API key")
        )
    subject = current_name or activity.resource_name or _fallback_name(activity)
    if activity.refused:
        before = _FAILED_MEMBERS.get(activity.action)
        if before is not None:
            return Sentence(subject, "", before)
        return Sentence(subject, _FAILED.get(activity.action, "could not be changed"))
    members = pluralize(activity.member_count, "member")
    verb = "was" if activity.member_count == 1 else "were"
    if activity.action == Activity.ACTION_ADD_MEMBERS:
        return Sentence(subject, "", f"{members} {verb} added to")
    if activity.action == Activity.ACTION_REMOVE_MEMBERS:
        return Sentence(subject, "", f"{members} {verb} removed from")
    return Sentence(subject, _DONE.get(activity.action, "was changed"))


def _fallback_name(activity: Activity) -> str:
    if is_about_group(activity):
        return "A group"
    if activity.action in (Activity.ACTION_OTHER, Activity.ACTION_UNSPECIFIED):
        return "A resource"
    if activity.refused or activity.action == Activity.ACTION_DELETE_USER:
        return "A person"
    return "A deleted person"
