"""API keys as keysvc returns them, for tests of the portal's models."""

from datetime import UTC, datetime, timedelta
from typing import Final

from cloudacademy.keys.v1.keys_pb2 import Key
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.rpc.timestamps import to_timestamp
from gateway.portal.models.key_rows import KeyRow, key_rows

NOW: Final = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def before(**span: float) -> Timestamp:
    """The time before NOW by a duration such as `minutes=5`."""
    return to_timestamp(NOW - timedelta(**span))


def key(number: int, *, expires: timedelta | None = None, used: timedelta | None = None) -> Key:
    """A key that was created nine days ago; it expires after NOW and was used before NOW."""
    result = Key(id=f"0190a5b4-4c7e-7d3a-9a53-00000000000{number}", created_by="ops")
    result.create_time.CopyFrom(before(days=9))
    if expires is not None:
        result.expire_time.CopyFrom(to_timestamp(NOW + expires))
    if used is not None:
        result.last_used_time.CopyFrom(to_timestamp(NOW - used))
    return result


def rows(*keys: Key) -> list[KeyRow]:
    """The rows of the portal's table of keys."""
    return key_rows(keys, {}, NOW)
