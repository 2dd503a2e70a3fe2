"""The token of an Authorization header, and its verification by keysvc."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from cloudacademy.keys.v1 import keys_pb2_grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from chassis.clock import system_clock
from chassis.rpc.status import DOMAIN
from gateway.auth.authenticator import Authenticator, UnauthorizedError, bearer_token
from gateway.auth.failed_auth import FailedAuthLimiter
from gateway.auth.key_cache import KeyCache
from gateway.backend.errors import RefusedError
from tests.support.servers import listening

TENANT_URLS = {"us": "https://us.test/scim", "eu": "https://eu.test/scim"}


@pytest.mark.parametrize(
    "header",
    ["Bearer key", "bearer key", "BEARER  key", " Bearer key ", "Bearer Bearer key"],
)
def test_bearer_scheme_is_accepted_in_any_case_and_repeated(header):
    assert bearer_token(header) == "key"


@pytest.mark.parametrize("header", [None, "", "   ", "key", "Basic key", "Bearer Basic key"])
def test_header_without_bearer_token_gets_401_that_says_where_to_get_one(header):
    with pytest.raises(UnauthorizedError, match="Settings & Integrations") as refused:
        bearer_token(header)

    assert (refused.value.status, refused.value.headers) == (401, {"WWW-Authenticate": "Bearer"})


@pytest.mark.parametrize("header", ["Bearer clé", "Bearer \udce9"])
def test_token_with_non_ascii_characters_is_invalid(header):
    with pytest.raises(UnauthorizedError) as refused:
        bearer_token(header)

    assert refused.value.headers == {"WWW-Authenticate": 'Bearer error="invalid_token"'}


class OtherRegionKeyService(keys_pb2_grpc.KeyServiceServicer):
    """A keysvc that refuses every key because it belongs to another region."""

    def __init__(self, region: str) -> None:
        self._region = region

    async def Authenticate(self, request, context):  # noqa: N802 - the contract's name
        detail = any_pb2.Any()
        detail.Pack(
            error_details_pb2.ErrorInfo(
                reason="KEY_OF_OTHER_REGION", domain=DOMAIN, metadata={"region": self._region}
            )
        )
        status = status_pb2.Status(code=code_pb2.UNAUTHENTICATED, message="", details=[detail])
        await context.abort_with_status(rpc_status.to_status(status))


@asynccontextmanager
async def authenticating(
    servicer: keys_pb2_grpc.KeyServiceServicer,
) -> AsyncIterator[Authenticator]:
    server = grpc.aio.server()
    keys_pb2_grpc.add_KeyServiceServicer_to_server(servicer, server)
    async with (
        listening(server) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        stub = keys_pb2_grpc.KeyServiceStub(channel)
        yield Authenticator(stub, KeyCache(), FailedAuthLimiter(10), TENANT_URLS, system_clock)


@pytest.mark.parametrize(
    ("region", "tenant_url"),
    [("eu", "https://eu.test/scim"), ("us", "https://us.test/scim"), ("", "that of its region")],
)
async def test_key_of_another_region_gets_401_with_its_tenant_url(region, tenant_url):
    async with authenticating(OtherRegionKeyService(region)) as authenticator:
        with pytest.raises(RefusedError) as refused:
            await authenticator.authenticate("Bearer key", "192.0.2.1", "request")

    assert refused.value.status == 401
    assert refused.value.headers == {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    assert refused.value.detail == (
        "This API key belongs to another region. Set the Tenant URL in your identity provider to "
        f"{tenant_url}, or use a key of this region."
    )
