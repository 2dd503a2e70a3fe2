"""What was refused, for the log that an organization's administrators read.

No answer waits for it: what is noted is sent behind the requests, in batches,
and dropped when there is too much of it.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import grpc
import orjson
from cloudacademy.users.v1 import activity_pb2 as pb

from chassis.channel import DEADLINE_SECONDS
from chassis.clock import Clock
from chassis.log import Logger
from chassis.metrics import Metrics
from chassis.waiting import wait
from gateway.auth import Caller
from gateway.errors import RefusedError
from gateway.scim.errors import ScimError

if TYPE_CHECKING:
    from cloudacademy.users.v1.activity_pb2_grpc import ActivityServiceAsyncStub

WRITES: Final = ("POST", "PUT", "PATCH", "DELETE")
WAITING: Final = 2_000
BATCH: Final = 100
SECONDS: Final = 0.5
KEY_SECONDS: Final = 60.0
"""How often at most a key that no longer works is noted."""
KEYS: Final = 10_000
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


class RefusalLog:
    """Sends what was refused to usersvc."""

    def __init__(self, stub: "ActivityServiceAsyncStub", clock: Clock, log: Logger) -> None:
        self._stub = stub
        self._clock = clock
        self._log = log
        self._waiting: deque[pb.Activity] = deque()
        self._noted_keys: dict[str, float] = {}
        self.dropped = 0

    def observe(self, metrics: Metrics) -> None:
        """Let the metrics tell what could not be kept."""
        metrics.count(
            "refusals_dropped", "Refused requests that are in no log.", lambda: self.dropped
        )

    def note(self, refused: Refused) -> None:
        """Keep a request for the log if it belongs there: a change, or a key that has ended."""
        activity = self._activity(refused)
        if activity is None:
            return
        if len(self._waiting) >= WAITING:
            self.dropped += 1
            return
        self._waiting.append(activity)

    async def write(self, stop: asyncio.Event) -> None:
        """Send what is noted until told to stop, and then the rest."""
        while not await wait(stop, SECONDS):
            await self._send()
        await self._send()

    async def _send(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            request = pb.RecordRefusalsRequest(activities=batch)
            try:
                await self._stub.RecordRefusals(request, timeout=DEADLINE_SECONDS)
            except grpc.aio.AioRpcError as error:
                self.dropped += len(batch)
                self._log.warning("refusals not kept", count=len(batch), code=error.code().name)
                return

    def _activity(self, refused: Refused) -> pb.Activity | None:
        error = refused.error
        reason = error.reason if isinstance(error, RefusedError) else ""
        if reason in _ENDED_KEYS and isinstance(error, RefusedError):
            return self._ended_key(refused, error.metadata, reason)
        if not refused.caller.organization_id or refused.method not in WRITES:
            return None
        document = _document(refused.body)
        return self._entry(
            refused,
            reason,
            organization_id=refused.caller.organization_id,
            key_id=refused.caller.key_id,
            action=_action(refused, document),
            resource_id=refused.resource_id,
            resource_name=_name(document),
        )

    def _ended_key(
        self, refused: Refused, metadata: Mapping[str, str], reason: str
    ) -> pb.Activity | None:
        key_id, now = metadata.get("key_id", ""), self._clock().timestamp()
        if not key_id or now - self._noted_keys.get(key_id, 0.0) < KEY_SECONDS:
            return None
        if len(self._noted_keys) >= KEYS:
            self._noted_keys.clear()
        self._noted_keys[key_id] = now
        return self._entry(
            refused,
            reason,
            organization_id=metadata.get("organization_id", ""),
            key_id=key_id,
            action=pb.Activity.ACTION_AUTHENTICATE,
        )

    def _entry(self, refused: Refused, reason: str, **fields: Any) -> pb.Activity:  # noqa: ANN401
        error = refused.error
        activity = pb.Activity(
            request_id=refused.request_id,
            refused=True,
            refusal=pb.RefusedRequest(
                method=refused.method[:20],
                target=_clean(refused.target)[:TARGET_CHARACTERS],
                body=_clean(refused.body.decode(errors="replace"))[:BODY_CHARACTERS],
                status=error.status,
                error_type=error.scim_type or "",
                detail=_clean(error.detail)[:DETAIL_CHARACTERS],
                reason=reason,
                client_address=refused.client_address[:100],
            ),
            **fields,
        )
        activity.time.FromDatetime(self._clock())
        return activity


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
        if isinstance(name, str) and len(name.encode()) <= NAME_BYTES:
            return _clean(name)
    return ""


def _action(refused: Refused, document: Mapping[str, Any]) -> "pb.Activity.Action":
    action = _ACTIONS.get((refused.method, refused.endpoint), pb.Activity.ACTION_OTHER)
    if action == pb.Activity.ACTION_UPDATE_USER and _disables(document):
        return pb.Activity.ACTION_DISABLE_USER
    return action


def _disables(document: Mapping[str, Any]) -> bool:
    """Whether a PATCH, or a whole resource, says that somebody is not active."""
    operations = document.get("Operations")
    parts = operations if isinstance(operations, list) else [document]
    for part in parts:
        if not isinstance(part, dict):
            continue
        value = part.get("value") if "value" in part else part
        named = str(part.get("path", "")).lower() == "active"
        said = value if named else value.get("active") if isinstance(value, dict) else None
        if str(said).lower() == "false":
            return True
    return False


def _clean(text: str) -> str:
    """Text as a database can keep it."""
    return text.replace("\0", "�").encode(errors="replace").decode()
