"""The log entry of a call."""

import json

import grpc
import pytest
from cloudacademy.users.v1 import users_pb2 as pb
from cloudacademy.users.v1.users_pb2_grpc import UserServiceStub

from tests.support.usersvc.process import running_process

ACME = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11"


async def test_call_log_entry_has_organization_and_only_ids(users_url):
    async with running_process(users_url) as (process, address):
        async with grpc.aio.insecure_channel(address) as channel:
            users = UserServiceStub(channel)
            for organization in (ACME, "ann-the-secret"):
                request = pb.GetUserRequest(organization_id=organization, user_id=ACME)
                with pytest.raises(grpc.aio.AioRpcError):
                    await users.GetUser(request, metadata=(("x-request-id", "r1"),))
        process.terminate()
        output, _ = await process.communicate()

    lines = [json.loads(line) for line in output.splitlines()]
    calls = [line for line in lines if line["event"] == "call"]
    assert [(line["request_id"], line["caller"], line["outcome"]) for line in calls] == [
        ("r1", "anonymous", "USER_NOT_FOUND"),
        ("r1", "anonymous", "INVALID_FIELD"),
    ]
    assert [line.get("organization_id") for line in calls] == [ACME, None]
    assert all(line["duration_ms"] >= 0 for line in calls)
    assert b"secret" not in output
