"""All functions that read external input, each with the maximum size of its input.

Each function takes one input and may reject it. The sizes are the limits of the callers: a header
has at most 16 KiB, a body 1 MiB, a form 128 KiB.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from chassis.errors import Refusal
from chassis.networks import network_of
from gateway.api import preconditions
from gateway.api.query.cursors import Cursors
from gateway.api.query.sorting import order_by
from gateway.api.routing import path_segments
from gateway.auth import authenticator as auth
from gateway.http.body import BodyMemory
from gateway.http.client_address import entry_from_end
from gateway.portal.models import sso_form
from gateway.portal.models.csv_rows import escape_formulas
from gateway.portal.models.log.query import log_query
from gateway.portal.models.search import search_text
from gateway.provisioning_log import redaction
from gateway.provisioning_log.entry import RefusedRequest, refused_write_entry
from gateway.scim import errors, paging, patch, projection, resource, search
from gateway.scim import filter as filters
from gateway.scim import path as paths
from gateway.scim.bulk import plan as bulk_plan
from gateway.scim.bulk import request as bulk
from gateway.scim.filter import simplify
from gateway.scim.schema import GROUP, USER, ResourceType
from gateway.signing.shared_secrets import SharedSecrets
from gateway.sso import forms as sso_forms
from gateway.sso import response_structure
from gateway.sso.pending import PendingSignIns, local_path
from gateway.sso.refusals import SignInError
from gateway.web import csrf as portal_forms
from keysvc.domain import key_token as keys
from keysvc.domain import sso
from keysvc.domain.pages import BEFORE_ALL
from keysvc.rpc import certificates
from keysvc.rpc import page_tokens as key_pages
from tools.stall.inputs.bodies import BULKS, ID, LONG_PATCHES, PATCHES, RESOURCES, SEARCHES
from tools.stall.inputs.texts import TEXTS
from usersvc.domain import session_token
from usersvc.domain.changes import ChangeCursor
from usersvc.domain.erasure import former_names
from usersvc.rpc import page_tokens
from usersvc.store.listing.fields import Kind

Read = Callable[[Any], object]
Inputs = Mapping[str, Callable[[int], Any]]

KIB: Final = 1024
HEADER: Final = 16 * KIB
LINE: Final = 8 * KIB
"""Maximum request line: a path with its query."""
BODY: Final = 1024 * KIB
NOW: Final = datetime(2026, 11, 27, tzinfo=UTC)
NIL_ID: Final = UUID(int=0)
SECRET: Final = b"s" * 32
REFUSALS: Final = (errors.ScimError, SignInError, Refusal, ValueError)
EMAILS: Final = [{"value": f"{n}@corp.test", "type": "work"} for n in range(250)]


@dataclass(frozen=True, slots=True)
class Reader:
    """A function, its hostile inputs, and their maximum size."""

    read: Read
    inputs: Inputs
    limit: int

    def __call__(self, value: Any) -> None:
        """Read an input, which may be rejected."""
        try:
            self.read(value)
        except REFUSALS:
            return


def _of_text(read: Callable[[str], object], limit: int) -> Reader:
    return Reader(read, TEXTS, limit)


def _of_bytes(read: Callable[[bytes], object], limit: int) -> Reader:
    return Reader(lambda text: read(text.encode(errors="surrogateescape")), TEXTS, limit)


def _of_body(read: Callable[[bytes], object], *inputs: Inputs, limit: int = BODY) -> Reader:
    return Reader(read, {name: make for each in inputs for name, make in each.items()}, limit)


def _document(resource_type: ResourceType) -> Read:
    return lambda body: resource.read(resource_type, resource.loads(body))


def _patch(resource_type: ResourceType, before: Mapping[str, Any]) -> Read:
    def read(body: bytes) -> None:
        patch.apply(resource_type, before, patch.parse(resource.loads(body)))

    return read


def _without_resource(body: bytes) -> None:
    operations = patch.parse(resource.loads(body))
    patch.member_changes(GROUP, operations)
    patch.assignments(USER, operations)


def _bulk(body: bytes) -> None:
    request = bulk.parse(resource.loads(body))
    bulk_plan.plan(request.operations)
    indexes = range(len(request.operations))
    bulk_plan.Referrers(request.operations).closure(indexes, ())


def _refused(**values: Any) -> None:
    defaults: dict[str, Any] = {
        "caller": auth.Caller(str(NIL_ID), str(NIL_ID)),
        "request_id": "1",
        "method": "PATCH",
        "target": "/Users",
        "endpoint": "Users",
        "resource_id": "",
        "body": b"",
        "client_address": "192.0.2.1",
        "error": errors.invalid_value("No."),
    }
    refused_write_entry(RefusedRequest(**defaults | values))


def _sign_in_form(body: bytes) -> None:
    """Read a form that has arrived completely."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(_read_form(loop, body))
    finally:
        loop.close()


async def _read_form(loop: asyncio.AbstractEventLoop, body: bytes) -> None:
    content = StreamReader(BaseProtocol(loop), 2**26, loop=loop)
    content.feed_data(b"RelayState=a&SAMLResponse=" + body)
    content.feed_eof()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    request = make_mocked_request("POST", "/", headers, payload=content)
    with BodyMemory().reservation("a") as reservation:
        await sso_forms.read_form(request, reservation, sso_forms.RESPONSE_FORM)


def _sso_setup(text: str) -> None:
    for each in ({"domains": (text,)}, {"sso_url": text}, {"idp_entity_id": text}):
        defaults = {"sso_url": "https://a.test/", "idp_entity_id": "a", "certificates": ("a",)}
        try:
            sso.normalize_setup(sso.SsoSetup(**defaults | each))
        except Refusal:
            continue


def _tokens(text: str) -> None:
    for read in (
        lambda: Cursors(SharedSecrets((SECRET,)), lambda: NOW).verify(str(NIL_ID), "", text),
        lambda: PendingSignIns(SharedSecrets((SECRET,))).verify(text, NOW),
        lambda: key_pages.from_token(NIL_ID, text, BEFORE_ALL),
        lambda: ChangeCursor.from_token(text, NIL_ID),
        lambda: session_token.parse(text),
        lambda: keys.parse(text),
        lambda: page_tokens.decode(text, "q", Kind.TEXT),
        lambda: page_tokens.decode_number(text, "q"),
    ):
        try:
            read()
        except REFUSALS:
            continue


def _paging(text: str) -> None:
    for read in (
        lambda: paging.parse(text, text),
        lambda: search.from_parameters({"count": text}).page_size(),
        lambda: order_by(USER, text, text),
        lambda: order_by(USER, text, None),
    ):
        try:
            read()
        except REFUSALS:
            continue


READERS: Final[Mapping[str, Reader]] = {
    "a JSON body": _of_body(resource.loads, RESOURCES, PATCHES, SEARCHES),
    "a user": _of_body(_document(USER), RESOURCES),
    "a group": _of_body(_document(GROUP), RESOURCES),
    "a PATCH of a user": _of_body(
        _patch(USER, {"id": "a", "userName": "a", "emails": EMAILS}), PATCHES, LONG_PATCHES
    ),
    "a PATCH of a group": _of_body(
        _patch(GROUP, {"id": "a", "displayName": "a", "members": [{"value": ID % 0}]}),
        PATCHES,
        LONG_PATCHES,
    ),
    "a PATCH without its resource": _of_body(_without_resource, PATCHES, LONG_PATCHES),
    "a bulk request": _of_body(_bulk, BULKS),
    "a search": _of_body(lambda body: search.from_document(resource.loads(body)), SEARCHES),
    "a refused body": _of_body(
        lambda body: _refused(body=body), RESOURCES, PATCHES, LONG_PATCHES, BULKS
    ),
    "a refused text": _of_bytes(lambda body: _refused(body=body), BODY // 4),
    "a refused target": _of_text(lambda text: _refused(target=text), LINE),
    "a refusal's detail": _of_text(
        lambda text: _refused(error=errors.invalid_value(text)), 64 * KIB
    ),
    "a filter": _of_text(lambda text: simplify.parse((USER, GROUP), text), filters.MAX_LENGTH),
    "a value path": _of_text(
        lambda text: filters.parse_value_path(USER, f"emails[{text}"), filters.MAX_LENGTH
    ),
    "a path": _of_text(lambda text: paths.parse(USER, text), BODY // 4),
    "attributes": _of_text(
        lambda text: projection.parse_uncached(USER, text, None), projection.MAX_LENGTH
    ),
    "excluded attributes": _of_text(
        lambda text: projection.parse_uncached(USER, None, text), projection.MAX_LENGTH
    ),
    "paging": _of_text(_paging, BODY // 4),
    "a value in an error": _of_text(errors.describe, BODY // 4),
    "the path of a request": _of_text(path_segments, LINE),
    "If-Match": _of_text(preconditions.wanted_etags, HEADER),
    "Authorization": _of_text(auth.bearer_token, HEADER),
    "a token": _of_text(_tokens, HEADER),
    "a client's address": _of_text(network_of, HEADER),
    "the list of proxies": _of_text(lambda text: entry_from_end([text], 3), HEADER),
    "a logged target": _of_text(redaction.target_text, LINE),
    "a logged detail": _of_text(redaction.detail_text, BODY // 4),
    "a logged body": _of_text(
        lambda text: redaction.body_text(text.encode(errors="replace"), {"a": text}), BODY // 4
    ),
    "a cell of an export": _of_text(escape_formulas, BODY // 4),
    "former names of a person": _of_text(lambda text: former_names([text]), LINE),
    "Origin": _of_text(
        lambda text: portal_forms.is_same_origin({"Origin": text}, "a.test"), HEADER
    ),
    "a portal's form": _of_bytes(portal_forms.parse_form, portal_forms.MAX_FORM_BYTES),
    "the certificates of a form": _of_text(
        sso_form.split_certificates, portal_forms.MAX_FORM_BYTES
    ),
    "the thumbprints of certificates": _of_text(
        lambda text: sso_form.thumbprints([text]), portal_forms.MAX_FORM_BYTES
    ),
    "the fields of single sign-on": _of_text(
        lambda text: sso_form.of_fields({"domains": text, "sso_url": text}).connection(),
        portal_forms.MAX_FORM_BYTES,
    ),
    "a query of the log": _of_text(
        lambda text: log_query({"q": text, "action": text, "page": text}), LINE
    ),
    "a query of people": _of_text(lambda text: search_text({"q": text}), LINE),
    "the next page of a sign-in": _of_text(local_path, LINE),
    "a sign-in form": _of_bytes(_sign_in_form, sso_forms.RESPONSE_FORM.max_bytes),
    "a SAML response in base64": _of_text(
        response_structure.decode_response, response_structure.MAX_RESPONSE_CHARACTERS
    ),
    "a SAML response": _of_bytes(
        response_structure.check_structure, response_structure.MAX_RESPONSE_CHARACTERS
    ),
    "a connection of keysvc": _of_text(_sso_setup, BODY // 4),
    "a certificate of keysvc": _of_text(
        lambda text: certificates.normalize_certificate(text, NOW),
        4 * certificates.MAXIMUM_CHARACTERS,
    ),
    "a domain of keysvc": _of_text(sso.domain_of, BODY // 4),
}
"""All readers, by the input that they read."""
