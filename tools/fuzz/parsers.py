"""All parsers of external input, as functions that may raise only expected errors.

A function takes arbitrary bytes. Any exception other than the expected rejections is a bug.
"""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from chassis.errors import Refusal
from gateway.api import preconditions
from gateway.api.query.cursors import Cursors
from gateway.scim import filter as filters
from gateway.scim import paging, patch, projection, resource, search
from gateway.scim import path as paths
from gateway.scim.bulk import plan as bulk_plan
from gateway.scim.bulk import request as bulk
from gateway.scim.errors import ScimError
from gateway.scim.schema import GROUP, USER
from gateway.signing.shared_secrets import SharedSecrets
from gateway.sso import response_structure
from gateway.sso.pending import PendingSignIns
from gateway.sso.refusals import SignInError
from keysvc.domain import key_token as keys
from keysvc.domain.pages import BEFORE_ALL
from keysvc.rpc import page_tokens as pages
from usersvc.domain import session_token
from usersvc.domain.changes import ChangeCursor
from usersvc.rpc import page_tokens
from usersvc.store.listing.fields import Kind

Target = Callable[[bytes], object]

NIL_ID: Final = UUID(int=0)
SECRET: Final = b"s" * 32
EXPECTED: Final = (ScimError, SignInError, Refusal)


def _clock() -> datetime:
    return datetime(2026, 11, 27, tzinfo=UTC)


def _text(data: bytes) -> str:
    return data.decode(errors="surrogateescape")


def read_filter(data: bytes) -> None:
    """A parsed filter is the same after writing and parsing it again."""
    text = _text(data)
    for each in (USER, GROUP):
        try:
            tree = filters.parse(each, text)
        except ScimError:
            continue
        written = filters.to_text(tree)
        assert len(written) > filters.MAX_LENGTH or filters.parse(each, written) == tree
        filters.matches(tree, {"id": "a", "userName": "a", "emails": [{"value": "a"}]})


def read_patch(data: bytes) -> None:
    """A patched resource is one that a client could have sent."""
    document = resource.loads(data)
    operations = patch.parse(document)
    patch.member_changes(GROUP, operations)
    before = {"id": "a", "userName": "ann", "emails": [{"value": "a", "type": "work"}]}
    after = patch.apply(USER, before, operations)
    assert {"id": "a", **resource.read(USER, after)} == after


def read_path(data: bytes) -> None:
    """A PATCH path, a list of attributes, paging parameters and ETags."""
    text = _text(data)
    for call in (
        lambda: paths.parse(USER, text),
        lambda: paths.parse(GROUP, text),
        lambda: projection.parse(USER, text, None),
        lambda: paging.parse(text, text),
        lambda: preconditions.wanted_etags(text),
    ):
        _expect_rejection(call)


def read_resource(data: bytes) -> None:
    """Reading a canonical resource does not change it."""
    document = resource.loads(data)
    for each in (USER, GROUP):
        try:
            canonical = resource.read(each, document)
        except ScimError:
            continue
        assert resource.read(each, canonical) == canonical


def read_bulk(data: bytes) -> None:
    """The plan of a bulk request has every operation exactly once."""
    request = bulk.parse(resource.loads(data))
    steps = bulk_plan.plan(request.operations)
    planned = [step.index for step in steps if isinstance(step, bulk_plan.Run)]
    assert sorted(planned) == list(range(len(request.operations)))


def read_search(data: bytes) -> None:
    """A search request as a document."""
    request = search.from_document(resource.loads(data))
    _expect_rejection(request.page_size)
    json.dumps(request.identity())


def read_tokens(data: bytes) -> None:
    """Cursors, page tokens, and the tokens of the feed, of sessions and of keys."""
    text = _text(data)
    for call in (
        lambda: Cursors(SharedSecrets((SECRET,)), _clock).verify(str(NIL_ID), "", text),
        lambda: PendingSignIns(SharedSecrets((SECRET,))).verify(text, _clock()),
        lambda: pages.from_token(NIL_ID, text, BEFORE_ALL),
        lambda: ChangeCursor.from_token(text, NIL_ID),
        lambda: session_token.parse(text),
        lambda: keys.parse(text),
        *(lambda kind=kind: page_tokens.decode(text, "q", kind) for kind in Kind),
        lambda: page_tokens.decode_number(text, "q"),
    ):
        _expect_rejection(call)


def read_forged_tokens(data: bytes) -> None:
    """The tokens of `read_tokens`, with a valid outer encoding."""
    read_tokens(base64.urlsafe_b64encode(data))
    read_tokens(base64.urlsafe_b64encode(b'["q",' + data + b"]"))


def read_saml(data: bytes) -> None:
    """The form value of a SAML response, and the structure of its document."""
    _expect_rejection(lambda: response_structure.decode_response(_text(data)))
    response_structure.check_structure(data)


def _expect_rejection(call: Callable[[], object]) -> None:
    try:
        call()
    except EXPECTED:
        return


TARGETS: Final[dict[str, Target]] = {
    "filter": read_filter,
    "patch": read_patch,
    "path": read_path,
    "resource": read_resource,
    "bulk": read_bulk,
    "search": read_search,
    "tokens": read_tokens,
    "forged tokens": read_forged_tokens,
    "saml": read_saml,
}


def feed(name: str, data: bytes) -> None:
    """Run a target on an input; unexpected exceptions are raised."""
    _expect_rejection(lambda: TARGETS[name](data))
