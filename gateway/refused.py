"""A refused request as the provisioning log tells it. Pure: no clock, no wire."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson
from cloudacademy.users.v1 import activity_pb2 as pb

from gateway.auth import Caller
from gateway.errors import RefusedError
from gateway.scim.errors import ScimError

WRITES: Final = ("POST", "PUT", "PATCH", "DELETE")
TARGET_CHARACTERS: Final = 2_000
BODY_CHARACTERS: Final = 4_096
DETAIL_CHARACTERS: Final = 4_000
NAME_BYTES: Final = 1_024

_ENDED_KEYS: Final = ("KEY_EXPIRED", "KEY_REVOKED", "INTEGRATION_INACTIVE")
_ACTIONS: Final[Mapping[tuple[str, str], "pb.Activity.Action"]] = {
    ("POST", "Users"): pb.Activity.ACTION_CREATE_USER,
    ("PUT", "Users"): pb.Activity.ACTION_UPDATE_USER,
    ("PATCH", "Users"): pb.Activity.ACTION_UPDATE_USER,
    ("DELETE", "Users"): pb.Activity.ACTION_DELETE_USER,
    ("POST", "Groups"): pb.Activity.ACTION_CREATE_GROUP,
    ("PUT", "Groups"): pb.Activity.ACTION_UPDATE_GROUP,
    ("PATCH", "Groups"): pb.Activity.ACTION_UPDATE_GROUP,
    ("DELETE", "Groups"): pb.Activity.ACTION_DELETE_GROUP,
}
_NAMES: Final = ("username", "displayname")
_PASSWORD: Final = "password"  # noqa: S105 - the name of the attribute
_HIDDEN: Final = "not kept"
_KEY: Final = re.compile(r"\b(cak_(?:us|eu)_)[0-9A-Za-z]{20,}")


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that was refused, and why."""

    caller: Caller
    request_id: str
    method: str
    target: str
    endpoint: str
    resource_id: str
    body: bytes
    client_address: str
    error: ScimError

    @property
    def reason(self) -> str:
        """The reason of the service that refused; empty when the gateway did itself."""
        return self.error.reason if isinstance(self.error, RefusedError) else ""

    @property
    def ended_key(self) -> Mapping[str, str]:
        """Whose key it came with, when that is why it was refused."""
        if self.reason in _ENDED_KEYS and isinstance(self.error, RefusedError):
            return self.error.metadata
        return {}

    @property
    def is_write(self) -> bool:
        """Whether it was to change something; a search is sent by POST and changes nothing."""
        path = self.target.partition("?")[0].rstrip("/")
        return self.method in WRITES and not path.endswith("/.search")


def ended_key_entry(refused: Refused) -> pb.Activity:
    """The entry of a request that came with a key that no longer works."""
    key = refused.ended_key
    return _entry(
        replace(refused, target=refused.target.partition("?")[0]),  # a query may name people
        organization_id=key.get("organization_id", ""),
        key_id=key.get("key_id", ""),
        action=pb.Activity.ACTION_AUTHENTICATE,
    )


def refused_entry(refused: Refused) -> pb.Activity:
    """The entry of a change that was refused."""
    document = _document(refused.body)
    return _entry(
        refused,
        organization_id=refused.caller.organization_id,
        key_id=refused.caller.key_id,
        action=_action(refused, document),
        resource_id=refused.resource_id,
        resource_name=_name(document),
    )


def _entry(refused: Refused, **fields: Any) -> pb.Activity:  # noqa: ANN401
    error = refused.error
    return pb.Activity(
        request_id=refused.request_id,
        refused=True,
        refusal=pb.RefusedRequest(
            method=refused.method[:20],
            target=_clean(refused.target)[:TARGET_CHARACTERS],
            body=_clean(_without_passwords(refused.body))[:BODY_CHARACTERS],
            status=error.status,
            error_type=error.scim_type or "",
            detail=_clean(error.detail)[:DETAIL_CHARACTERS],
            reason=refused.reason,
            client_address=refused.client_address[:100],
        ),
        **fields,
    )


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _name(document: Mapping[str, Any]) -> str:
    """The name that was tried to give somebody."""
    folded = {key.lower(): value for key, value in document.items()}
    for each in _NAMES:
        name = folded.get(each)
        if isinstance(name, str) and len(name.encode(errors="replace")) <= NAME_BYTES:
            return _clean(name)
    return ""


def _action(refused: Refused, document: Mapping[str, Any]) -> "pb.Activity.Action":
    action = _ACTIONS.get((refused.method, refused.endpoint), pb.Activity.ACTION_OTHER)
    changes = list(_changes(document))
    if action == pb.Activity.ACTION_UPDATE_USER:
        return _user_action(refused.method, changes)
    if action == pb.Activity.ACTION_UPDATE_GROUP and refused.method == "PATCH":
        return _group_action(changes)
    return action


def _user_action(method: str, changes: list[tuple[str, str, Any]]) -> "pb.Activity.Action":
    """Disabling is told before all else; enabling only when it is all that was asked for."""
    active = [str(value).lower() for _, path, value in changes if path == "active"]
    if "false" in active:
        return pb.Activity.ACTION_DISABLE_USER
    if method == "PATCH" and active and len(active) == len(changes):
        return pb.Activity.ACTION_RESTORE_USER
    return pb.Activity.ACTION_UPDATE_USER


def _group_action(changes: list[tuple[str, str, Any]]) -> "pb.Activity.Action":
    if changes and all(path.startswith("members") for _, path, _ in changes):
        operations = {operation for operation, _, _ in changes}
        if operations == {"add"}:
            return pb.Activity.ACTION_ADD_MEMBERS
        if operations == {"remove"}:
            return pb.Activity.ACTION_REMOVE_MEMBERS
    return pb.Activity.ACTION_UPDATE_GROUP


def _changes(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """What a PATCH, or a whole resource, says: operation, path in lower case, value."""
    operations = document.get("Operations")
    if not isinstance(operations, list):
        yield from (("replace", path.lower(), value) for path, value in document.items())
        return
    for each in operations:
        if not isinstance(each, dict):
            continue
        operation, value = str(each.get("op", "")).lower(), each.get("value")
        path = each.get("path")
        if path is None and isinstance(value, dict):
            yield from ((operation, name.lower(), inner) for name, inner in value.items())
        else:
            yield operation, str(path or "").lower(), value


def _without_passwords(body: bytes) -> str:
    """The body as it was sent, but for the passwords that some send though we take none."""
    if _PASSWORD.encode() not in body.lower():
        return body.decode(errors="replace")
    document = _document(body)
    return orjson.dumps(_hiding(document)).decode() if document else _HIDDEN


def _hiding(value: Any) -> Any:  # noqa: ANN401 - any part of a document
    if isinstance(value, list):
        return [_hiding(each) for each in value]
    if not isinstance(value, dict):
        return value
    hides_value = _PASSWORD in str(value.get("path", "")).lower()
    return {
        key: _HIDDEN
        if _PASSWORD in key.lower() or (hides_value and key.lower() == "value")
        else _hiding(each)
        for key, each in value.items()
    }


def _clean(text: str) -> str:
    """Text as a database can keep it, and without a key that was pasted where none belongs."""
    kept = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
    return _KEY.sub(r"\1…", kept)
