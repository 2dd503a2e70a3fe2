"""The operator commands of usersvc."""

import json
import re

import grpc
import pytest
from cloudacademy.errors.v1.errors_pb2 import Reason
from cloudacademy.users.v1.sessions_pb2_grpc import SessionServiceStub
from cloudacademy.users.v1.users_pb2 import Name, TypedValue
from cloudacademy.users.v1.users_pb2_grpc import UserServiceStub

from chassis.clock import system_clock
from tests.support.usersvc.change_calls import watch_changes
from tests.support.usersvc.commands import run_json
from tests.support.usersvc.process import running_process
from tests.support.usersvc.session_calls import (
    create_link,
    end_session,
    follow_link,
    get_session,
    link_invalid,
    session_ended,
    sign_in_unknown,
    sign_in_with_assertion,
    sign_in_with_link,
)
from tests.support.usersvc.user_calls import ACME, GLOBEX, create, get, list_users, refused, update


async def test_create_administrator_creates_user_who_gets_a_sign_in_link(run, users):
    name = "admin@acme.example"
    created = await run_json(
        run, "create-administrator", ACME, "--user-name", name,
        "--given-name", "Ada", "--family-name", "Min",
    )  # fmt: skip
    user = await get(users, created["user_id"])
    assert created == {"user_id": user.id, "user_name": name, "created": True}
    assert (user.user_name, user.active, user.name, list(user.roles)) == (
        *(name, True, Name(given_name="Ada", family_name="Min")),
        [TypedValue(value="Administrator")],
    )

    link = await run_json(run, "sign-in-link", ACME, name.upper(), "--base-url", "https://x.test/")

    form = r"https://x\.test/login/link#[\w-]{22}\.[\w-]{43}"
    assert re.fullmatch(form, link["link"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", link["expire_time"])


async def test_end_sessions_ends_those_of_a_user_and_then_all(run, users, sessions):
    for name in ("ann", "bob"):
        await create(users, name)
    people = {user.user_name: user.id for user in (await list_users(users)).users}
    tokens = {name: await sign_in_with_link(sessions, people[name]) for name in people}
    link = await create_link(sessions, people["ann"])

    assert await run_json(run, "end-sessions", ACME, "ANN") == {"ended": 1, "user_names": ["ann"]}
    with session_ended():
        await get_session(sessions, tokens["ann"])
    with link_invalid():
        await follow_link(sessions, link)
    assert (await get_session(sessions, tokens["bob"])).user_id == people["bob"]
    assert await run_json(run, "end-sessions", GLOBEX) == {"ended": 0, "user_names": []}
    assert await run_json(run, "end-sessions", ACME) == {"ended": 1, "user_names": ["bob"]}
    with session_ended():
        await get_session(sessions, tokens["bob"])


async def test_create_administrator_twice_changes_nothing(run, users):
    first = await run_json(run, "create-administrator", ACME, "--user-name", "ada")
    again = await run_json(run, "create-administrator", ACME, "--user-name", "ADA")
    assert again == first | {"created": False}
    assert [user.etag for user in (await list_users(users)).users] == ["1"]


async def test_create_administrator_keeps_other_roles_of_existing_user(run, users):
    learner = TypedValue(value="Learner")
    ann = await create(users, "ann", title="Engineer", roles=[learner])
    created = await run_json(run, "create-administrator", ACME, "--user-name", "Ann")
    assert created == {"user_id": ann.id, "user_name": "ann", "created": False}
    after = await get(users, ann.id)
    assert (after.title, after.etag) == ("Engineer", "2")
    assert list(after.roles) == [learner, TypedValue(value="Administrator")]


@pytest.mark.parametrize(
    "arguments",
    [
        ("create-administrator", ACME, "--user-name", "ann"),
        ("sign-in-link", ACME, "ann", "--base-url", "https://x.test"),
    ],
)
async def test_command_for_inactive_user_is_refused_with_message(run, users, arguments):
    ann = await create(users, "ann", active=False)
    assert await run(*arguments) == (
        *(1, ""),
        "usersvc: This user may not sign in: the account is not active.\n",
    )
    assert await get(users, ann.id) == ann


async def test_wrong_command_argument_is_reported_by_name(run, users):
    await create(users, "ann")
    assert await run("sign-in-link", GLOBEX, "ann", "--base-url", "https://x.test") == (
        *(1, ""),
        "usersvc: USER_NAME: matches no user of this organization\n",
    )
    assert await run("create-administrator", "acme", "--user-name", "ann") == (
        *(1, ""),
        "usersvc: ORGANIZATION: must be a UUID such as 0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11\n",
    )
    code, output, error_output = await run("create-administrator", ACME)
    assert (code, output) == (2, "")
    assert error_output.startswith("usage: python -m usersvc create-administrator")


async def test_command_log_has_no_token_and_no_name(run, users_url):
    async with running_process(users_url) as (process, address):
        await run("create-administrator", ACME, "--user-name", "ada-the-secret")
        base = ("--base-url", "https://x.test")
        link = await run_json(run, "sign-in-link", ACME, "ada-the-secret", *base)
        token = link["link"].partition("#")[2]
        async with grpc.aio.insecure_channel(address) as channel:
            sessions = SessionServiceStub(channel)
            signed_in = await follow_link(sessions, token)
            assert signed_in.session.administrator
            assert await get_session(sessions, signed_in.session_token) == signed_in.session
            await update(UserServiceStub(channel), signed_in.session.user_id, active=False)
            with session_ended():
                await get_session(sessions, signed_in.session_token)
            await end_session(sessions, signed_in.session_token)
            with sign_in_unknown():
                await sign_in_with_assertion(
                    sessions, system_clock(), "oid-the-secret", "eve-the-secret"
                )
        process.terminate()
        output, _ = await process.communicate()
    assert process.returncode == 0
    for secret in ("the-secret", token[23:], signed_in.session_token[23:]):
        assert secret not in output.decode()
    calls = [line for line in map(json.loads, output.splitlines()) if line["event"] == "call"]
    assert [line["outcome"] for line in calls] == (
        ["OK", "OK", "OK", "SESSION_ENDED", "OK", "SIGN_IN_UNKNOWN"]
    )


async def test_renewed_feed_requires_a_new_snapshot(run, changes):
    async with watch_changes(changes) as reader:
        token = reader.token
    assert (await run_json(run, "renew-feed")).keys() == {"feed_id"}
    with refused(Reason.REASON_INVALID_CHANGE_TOKEN, grpc.StatusCode.INVALID_ARGUMENT):
        async with watch_changes(changes, token):
            pass
