"""Every refusal of a service keeps its wire form and has a row in the gateway's table."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from string import Formatter
from types import ModuleType
from typing import Any, Final, TypeAlias
from uuid import UUID

import pytest
from cloudacademy.errors.v1 import errors_pb2
from google.protobuf.json_format import MessageToDict
from google.rpc import status_pb2

import chassis.errors
import keysvc.domain.errors
import usersvc.domain.errors
from chassis.errors import Code, InvalidField, Refusal, RefusalKind
from chassis.rpc.status import to_trailing_metadata
from gateway.backend.errors import HTTP_ERRORS
from keysvc.domain import errors as keys
from usersvc.domain import errors as users

CONTRACT: Final = Path(__file__).parents[2] / "protos/cloudacademy/errors/v1/errors.proto"
RECORDED: Final = Path(__file__).parent / "data/refusals.json"
"""The recorded wire form of each refusal, which must not change."""
TABLES: Final = (chassis.errors, usersvc.domain.errors, keysvc.domain.errors)
A, B = UUID("00000000-0000-7000-8000-00000000000a"), UUID("00000000-0000-7000-8000-00000000000b")
TIME: Final = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)

Kind: TypeAlias = RefusalKind[*tuple[Any, ...]]


def kinds(*tables: ModuleType) -> Iterator[tuple[str, Kind]]:
    for table in tables:
        for name, value in vars(table).items():
            if isinstance(value, RefusalKind):
                yield name, value


KINDS: Final = dict(kinds(*TABLES))
VALUES: Final[dict[str, tuple[object, ...]]] = {
    "INVALID_FIELD": ("user.user_name", "is empty"),
    "INVALID_PAGE_TOKEN": ("page_token: not a token {of} this list",),
    "CALLER_NOT_ADMITTED": ("evil.test", "/a.B/C"),
    "MESSAGE_NOT_READ": (10.0,),
    "INTERNAL": ("0123456789abcdef",),
    "USER_NOT_FOUND": (A,),
    "USER_NAME_TAKEN": ("ann's {0} ü",),
    "GROUP_NOT_FOUND": (A,),
    "MEMBER_NOT_FOUND": ("not-an-id",),
    "GROUP_CYCLE": (A, B),
    "ETAG_MISMATCH": ("7",),
    "INVALID_FILTER": ("A condition of the {filter} is not set.",),
    "FIELD_IMMUTABLE": ("extensions.urn:x.y",),
    "SCHEMA_NOT_FOUND": ("urn:x",),
    "SCHEMA_EXISTS": ("urn:x",),
    "SCHEMA_IN_USE": ("urn:x",),
    "REQUEST_ID_REUSED": (B,),
    "ORGANIZATION_NOT_FOUND": (A,),
    "ORGANIZATION_EXISTS": (A,),
    "KEY_NOT_FOUND": (A, B),
    "KEY_EXPIRED": (A, B, TIME),
    "KEY_REVOKED": (A, B, TIME),
    "KEY_OF_OTHER_REGION": ("eu", "eu.cloudacademy.test"),
    "INTEGRATION_INACTIVE": (A, B),
    "SSO_DOMAIN_TAKEN": ("corp.test",),
}
OTHER_EXAMPLES: Final = {
    "ETAG_MISMATCH of keysvc": Refusal(chassis.errors.ETAG_MISMATCH, "7"),
    "UNKNOWN_FIELD of a comparison": Refusal(users.UNKNOWN_FIELD, "x'y", "a comparison", "filter"),
    "UNKNOWN_FIELD of an element match": Refusal(
        users.UNKNOWN_FIELD, "x", "an element match", "filter"
    ),
    "UNKNOWN_FIELD of a filter": Refusal(users.UNKNOWN_FIELD, "x", "a filter", "filter"),
    "UNKNOWN_FIELD of an order": Refusal(users.UNKNOWN_FIELD, "x", "an order", "order_by"),
    "UNKNOWN_FIELD of an update mask": Refusal(
        users.UNKNOWN_FIELD, "x", "an update mask", "update_mask"
    ),
}
SEVERAL_EXAMPLES: Final = {"UNKNOWN_FIELD"}
"""Kinds whose examples are all in OTHER_EXAMPLES."""


def has_example(name: str, kind: Kind) -> bool:
    return len(VALUES.get(name, ())) == len(kind.parameters)


EXAMPLES: Final[dict[str, Refusal]] = {
    name: Refusal(kind, *VALUES.get(name, ()))
    for name, kind in KINDS.items()
    if has_example(name, kind)
} | OTHER_EXAMPLES


def wire_form(refusal: Refusal) -> dict[str, object]:
    ((key, value),) = to_trailing_metadata(refusal)
    status = MessageToDict(status_pb2.Status.FromString(value))
    return {"code": refusal.code.value, "detail": refusal.detail, key: status}


def test_every_reason_has_a_kind_and_an_http_error():
    reasons = {name.removeprefix("REASON_") for name, _ in errors_pb2.Reason.items()}
    assert HTTP_ERRORS.keys() == reasons - {"UNSPECIFIED"}
    assert {kind.reason for kind in KINDS.values()} == reasons - {"UNSPECIFIED"}


def test_every_kind_has_an_example():
    missing = {name for name, kind in KINDS.items() if not has_example(name, kind)}
    assert missing == SEVERAL_EXAMPLES, "add the values of an example to VALUES"


def test_every_refusal_keeps_its_recorded_wire_form():
    recorded = json.loads(RECORDED.read_text())
    assert {name: wire_form(each) for name, each in EXAMPLES.items()} == recorded


def test_time_in_another_zone_is_sent_in_utc():
    local = TIME.astimezone(datetime.fromisoformat("2026-01-01T00:00:00+05:30").tzinfo)
    refusals = [Refusal(keys.KEY_EXPIRED, A, B, each) for each in (TIME, local)]
    assert wire_form(refusals[0]) == wire_form(refusals[1])


def test_invalid_field_has_the_wire_form_of_its_kind():
    named = InvalidField("user_name", "is empty")
    assert wire_form(named) == wire_form(
        Refusal(chassis.errors.INVALID_FIELD, "user_name", "is empty")
    )


@pytest.mark.parametrize(("name", "kind"), KINDS.items(), ids=KINDS)
def test_templates_and_metadata_use_exactly_the_kinds_values(name: str, kind: Kind):
    templates = (kind.detail, kind.field, kind.description)
    used = {
        field for template in templates for _, field, _, _ in Formatter().parse(template) if field
    }
    assert used | set(kind.metadata) == set(kind.parameters)


def test_refusal_with_missing_values_is_not_created():
    with pytest.raises(ValueError, match="zip"):
        Refusal(users.USER_NOT_FOUND)  # type: ignore[misc]


def test_each_refusal_has_the_code_of_the_contract():
    documented = re.findall(
        r"// ([A-Z_]+): (?:.+\n(?:  //.+\n)*)  REASON_(\w+) =", CONTRACT.read_text()
    )
    codes = {reason: code for code, reason in documented}
    found = {kind.reason: kind.code.value for kind in KINDS.values()}
    assert found == {reason: codes[reason] for reason in found}


def test_each_refusal_has_the_metadata_of_the_contract():
    comments = re.findall(r"((?:  //.+\n)+)  REASON_(\w+) =", CONTRACT.read_text())
    texts = {reason: comment for comment, reason in comments}
    undocumented = {
        (kind.reason, key)
        for kind in KINDS.values()
        for key in kind.metadata
        if f"`{key}`" not in texts[kind.reason]
    }
    # BadRequest names the field, and the log has the request id.
    assert undocumented == {("INVALID_FIELD", "field"), ("INTERNAL", "request_id")}


@pytest.mark.parametrize(("name", "refusal"), EXAMPLES.items(), ids=EXAMPLES)
def test_invalid_argument_names_its_field(name: str, refusal: Refusal):
    violations = [bool(each.field and each.description) for each in refusal.violations]
    assert violations == ([True] if refusal.code is Code.INVALID_ARGUMENT else [])


@pytest.mark.parametrize(("name", "kind"), KINDS.items(), ids=KINDS)
def test_only_transient_refusals_have_a_retry_delay(name: str, kind: Kind):
    is_transient = kind.code in (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED)
    assert bool(kind.retry_after_seconds) == is_transient
