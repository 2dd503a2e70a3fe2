"""The sign-in link that `make run` prints works for the first administrator."""

import re

import grpc
import pytest
from cloudacademy.users.v1 import sessions_pb2 as pb
from cloudacademy.users.v1.sessions_pb2_grpc import SessionServiceStub

from chassis.rpc.status import from_rpc_error
from tests.support.stack import Stack


async def test_first_administrator_signs_in_once_with_the_printed_link(tenant: Stack):
    output = (tenant.paths.directory / "us.out").read_text()
    token = re.search(r"/login/link#(\S+)", output)[1]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{tenant.service_port('usersvc')}") as channel:
        sessions = SessionServiceStub(channel)
        # A test before this one may have killed usersvc, which starts again at its address.
        signed_in = await sessions.SignInWithLink(
            pb.SignInWithLinkRequest(token=token), wait_for_ready=True, timeout=60
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await sessions.SignInWithLink(pb.SignInWithLinkRequest(token=token))
    assert from_rpc_error(caught.value).reason == "SIGN_IN_LINK_INVALID"
    assert signed_in.session.user_name == "admin@acme.example"
    assert signed_in.session.administrator
    for secret in (token, signed_in.session_token):
        assert secret not in tenant.log("usersvc") + tenant.log("gateway") + tenant.log("postgres")
