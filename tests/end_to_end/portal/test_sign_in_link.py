"""The sign-in link that `make run` prints works for the first administrator."""

import re
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from cloudacademy.users.v1 import sessions_pb2 as pb
from cloudacademy.users.v1.sessions_pb2_grpc import SessionServiceStub

from chassis.rpc.status import from_rpc_error
from tests.support.stack import Stack, running_stack


@pytest.fixture
def new_region(tmp_path: Path) -> Iterator[Stack]:
    """A region of its own: other tests may change users of the shared one, and so their links."""
    with running_stack(tmp_path) as stack:
        yield stack


async def test_first_administrator_signs_in_once_with_the_printed_link(new_region: Stack):
    output = (new_region.paths.directory / "us.out").read_text()
    token = re.search(r"/login/link#(\S+)", output)[1]
    async with grpc.aio.insecure_channel(
        f"127.0.0.1:{new_region.service_port('usersvc')}"
    ) as channel:
        sessions = SessionServiceStub(channel)
        signed_in = await sessions.SignInWithLink(pb.SignInWithLinkRequest(token=token))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await sessions.SignInWithLink(pb.SignInWithLinkRequest(token=token))
    assert from_rpc_error(caught.value).reason == "SIGN_IN_LINK_INVALID"
    assert signed_in.session.user_name == "admin@acme.example"
    assert signed_in.session.administrator
    for secret in (token, signed_in.session_token):
        assert secret not in new_region.log("usersvc") + new_region.log("gateway") + new_region.log(
            "postgres"
        )
