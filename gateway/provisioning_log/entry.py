"""A refused request as an entry of the provisioning log. Pure: no clock, no I/O."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from cloudacademy.users.v1 import activity_pb2 as pb

from gateway.auth.authenticator import Caller
from gateway.backend.errors import UNUSABLE_KEY_REASONS, RefusedError
from gateway.provisioning_log.redaction import body_text, clean, detail_text, target_text
from gateway.scim import resource
from gateway.scim.errors import ScimError

WRITES: Final = ("POST", "PUT", "PATCH", "DELETE")
NAME_BYTES: Final = 1_024
PARSED_BYTES: Final = 32 * 1024
"""The largest body that is parsed here if the route has not parsed it.

Parsing a larger one would delay other requests.
"""
MAX_CHANGES: Final = 1_000
"""The most changes of a request that are read to determine its action."""

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
_WORD_CHARACTERS: Final = 100
"""The characters of a name, operation or path that are compared; the known ones are shorter."""


@dataclass(frozen=True, slots=True)
class RefusedRequest:
    """A request that was refused, and the error."""

    caller: Caller
    request_id: str
    method: str
    target: str
    endpoint: str
    resource_id: str
    body: bytes
    client_address: str
    error: ScimError
    client: str = ""
    """The name of the client application."""
    document: Mapping[str, Any] | None = None
    """The parsed body, if the route has parsed it."""

    @property
    def reason(self) -> str:
        """The ErrorInfo.reason of the backend; empty if the gateway itself refused the request."""
        return self.error.reason if isinstance(self.error, RefusedError) else ""

    @property
    def unusable_key(self) -> Mapping[str, str]:
        """The ids of the key and its organization, if the key is why the request was refused."""
        if self.reason in UNUSABLE_KEY_REASONS and isinstance(self.error, RefusedError):
            return self.error.metadata
        return {}

    @property
    def is_write(self) -> bool:
        """Whether the request would change a resource. A search is a POST that changes nothing."""
        path = self.target.partition("?")[0].rstrip("/")
        return self.method in WRITES and not path.endswith("/.search")

    @property
    def is_failed_change(self) -> bool:
        """Whether the request was a write that did not reach its aim.

        The aim of a deletion is reached if the resource does not exist: clients repeat a DELETE
        whose response was lost, and Entra counts the 404 as success.
        """
        is_gone = self.error.status == 404 and isinstance(self.error, RefusedError)
        return self.is_write and not (self.method == "DELETE" and is_gone)


def unusable_key_entry(refused: RefusedRequest) -> pb.Activity:
    """The entry of a request whose key no longer works."""
    key = refused.unusable_key
    without_query = refused.target.partition("?")[0]  # a query may contain personal data
    return _entry(
        replace(refused, target=without_query),
        organization_id=key.get("organization_id", ""),
        key_id=key.get("key_id", ""),
        action=pb.Activity.ACTION_AUTHENTICATE,
    )


def refused_write_entry(refused: RefusedRequest) -> pb.Activity:
    """The entry of a refused write."""
    document = _document(refused)
    known: Mapping[str, Any] = {} if document is None else document
    return _entry(
        replace(refused, document=document),
        organization_id=refused.caller.organization_id,
        key_id=refused.caller.key_id,
        action=_action(refused, known),
        resource_id=refused.resource_id,
        resource_name=_name(known),
    )


def _entry(refused: RefusedRequest, **fields: Any) -> pb.Activity:  # noqa: ANN401
    error = refused.error
    return pb.Activity(
        request_id=refused.request_id,
        client=refused.client,
        refused=True,
        refusal=pb.RefusedRequest(
            method=refused.method[:20],
            target=target_text(refused.target),
            body=body_text(refused.body, refused.document),
            status=error.status,
            error_type=error.scim_type or "",
            detail=detail_text(error.detail),
            reason=refused.reason,
            client_address=refused.client_address[:100],
        ),
        **fields,
    )


def _document(refused: RefusedRequest) -> Mapping[str, Any] | None:
    """The parsed body; None if it is invalid or larger than PARSED_BYTES.

    A body with two members of one name is invalid, because a parser keeps only one of them.
    """
    if refused.document is not None or len(refused.body) > PARSED_BYTES:
        return refused.document
    try:
        return resource.loads(refused.body)
    except ScimError:
        return None


def _name(document: Mapping[str, Any]) -> str:
    """The userName or displayName in the request; empty if there is none of valid length."""
    named = {_word(key): value for key, value in islice(document.items(), MAX_CHANGES)}
    for each in _NAMES:
        name = named.get(each)
        if not isinstance(name, str) or len(name) > NAME_BYTES:
            continue
        if len(name.encode(errors="replace")) <= NAME_BYTES:
            return clean(name, NAME_BYTES)
    return ""


def _word(value: object) -> str:
    """The beginning of a string or boolean in lower case, for comparison; else empty."""
    if isinstance(value, bool):
        return str(value).lower()
    return value[:_WORD_CHARACTERS].lower() if isinstance(value, str) else ""


def _action(refused: RefusedRequest, document: Mapping[str, Any]) -> "pb.Activity.Action":
    action = _ACTIONS.get((refused.method, refused.endpoint), pb.Activity.ACTION_OTHER)
    changes = list(islice(_changes(document), MAX_CHANGES))
    if action == pb.Activity.ACTION_UPDATE_USER:
        return _user_action(refused.method, changes)
    if action == pb.Activity.ACTION_UPDATE_GROUP and refused.method == "PATCH":
        return _group_action(changes)
    return action


def _user_action(method: str, changes: list[tuple[str, str, Any]]) -> "pb.Activity.Action":
    """Disabling if any change disables; enabling only if the request changes nothing else."""
    active = [_word(value) for _, path, value in changes if path == "active"]
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
    """The changes in a PATCH or a complete resource: operation, path in lower case, value."""
    operations = document.get("Operations")
    if not isinstance(operations, list):
        yield from (("replace", _word(path), value) for path, value in document.items())
        return
    for each in islice(operations, MAX_CHANGES):
        if not isinstance(each, dict):
            continue
        operation, value = _word(each.get("op")), each.get("value")
        path = each.get("path")
        if path is None and isinstance(value, dict):
            yield from ((operation, _word(name), inner) for name, inner in value.items())
        else:
            yield operation, _word(path), value
