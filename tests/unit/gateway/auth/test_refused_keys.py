"""The refusal of a key reveals no ids to clients."""

from datetime import UTC, datetime
from uuid import UUID

import grpc
import pytest

from chassis.errors import Refusal
from chassis.rpc.status import from_rpc_error, to_trailing_metadata
from gateway.backend.errors import translate
from keysvc.domain.errors import INTEGRATION_INACTIVE, KEY_EXPIRED, KEY_REVOKED

ORGANIZATION = UUID("0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11")
KEY = UUID("0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e12")
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(KEY_EXPIRED, ORGANIZATION, KEY, NOW),
        Refusal(KEY_REVOKED, ORGANIZATION, KEY, NOW),
        Refusal(INTEGRATION_INACTIVE, ORGANIZATION, KEY),
    ],
    ids=lambda refusal: refusal.reason,
)
def test_ids_of_a_refused_key_reach_the_gateway_but_no_client(refusal: Refusal):
    trailer = grpc.aio.Metadata(*to_trailing_metadata(refusal))
    error = grpc.aio.AioRpcError(
        grpc.StatusCode.UNAUTHENTICATED, grpc.aio.Metadata(), trailer, refusal.detail
    )

    metadata = from_rpc_error(error).metadata
    translated = translate(error)

    assert (metadata["organization_id"], metadata["key_id"]) == (str(ORGANIZATION), str(KEY))
    visible = f"{translated.detail} {translated.scim_type} {translated.headers}"
    assert [id_ for id_ in (ORGANIZATION, KEY) if str(id_) in visible] == []
