"""No secret is in any log, whatever somebody does with one, and none is in a core dump."""

import base64
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from deploy.local.region import HOST
from tests.support.browser import browser
from tests.support.operators import Operator, operator
from tests.support.portal_organization import ENTRA, create_portal_organization
from tests.support.saml.idp import encoded
from tests.support.scim import Client, client
from tests.support.single_sign_on import SsoOrganization
from tests.support.stack import ROOT, Stack, running_stack
from tests.support.waiting import wait_until

PROCESSES = ("gateway", "usersvc", "keysvc")
MARK = "zq9secretmark"


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A region of its own whose processes log all they can."""
    levels = {f"{name.upper()}_LOG_LEVEL": "debug" for name in PROCESSES}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in levels.items():
            patch.setenv(name, value)
        with running_stack(tmp_path_factory.mktemp("run")) as stack:
            yield stack


def logged(stack: Stack) -> str:
    return "".join(stack.log(process) for process in (*PROCESSES, "postgres"))


def kept_secrets(stack: Stack) -> list[str]:
    """What the region was given at its start."""
    places = stack.paths
    key = "".join(places.saml_key.read_text().splitlines()[1:-1])
    cursor = places.cursor_secret.read_text().strip()
    passwords = [places.password(role).read_text().strip() for role in ("usersvc", "keysvc")]
    return [stack.token, key[40:80], cursor, cursor.encode().hex(), *passwords]


def parts(secret: str) -> list[str]:
    """A secret as it is, without what may be known of it, and as others might write it."""
    core = secret[-40:-8] if len(secret) > 60 else secret[-24:]
    return [core, base64.b64encode(secret.encode()).decode()[4:40]]


async def misuse_key(scim: Client, token: str) -> None:
    """Send a key in every place but the right one, and wrong ones in the right one."""
    basic = base64.b64encode(f"user:{token}".encode()).decode()
    for header in (
        f"Bearer {token}",
        f"bearer  {token}",
        f"Basic {basic}",
        token,
        f"Token {token}",
    ):
        await scim("GET", "/Users?count=1", Authorization=header)
    await scim("GET", f"/Users/{token}")
    await scim("GET", f"/{token}")
    await scim("GET", f"/Users?access_token={token}")
    await scim("GET", f"/Users?filter=userName%20eq%20%22{token}%22")
    await scim("GET", f"/Users?filter=%22{token}")
    await scim("GET", "/Users?count=1", X_Api_Key=token, User_Agent=token, Cookie=f"key={token}")
    await scim("GET", "/Users?count=1", X_Request_Id=token, If_Match=f'"{token}"')
    await scim("POST", "/Users", {"userName": token, "password": token})
    await scim("POST", "/Users", {"userName": token})
    await scim("POST", "/Users", f'{{"userName": "{token}"'.encode())
    await scim("PATCH", "/Groups/none", {"Operations": [{"op": token, "path": token}]})
    await scim("POST", "/Bulk", {"Operations": [{"method": token, "path": f"/{token}"}]})


async def use_pages(stack: Stack, operate: Operator) -> list[str]:
    """Sign in, make a key and end it all, as an administrator does; the secrets of it."""
    office = await create_portal_organization(operate, stack)
    link = await office.link()
    async with browser(stack.base_url) as ours:
        await ours.get(f"/login/link?token={link}")
        action, fields = (await ours.get("/login/link")).form()
        await ours.post(action, fields | {"token": link})
        await ours.post(action, fields | {"token": link})
        session = ours.cookie("session-us")
        _, form = (await ours.get(f"{ENTRA}keys/new")).form()
        made = await ours.post(f"{ENTRA}keys/new", form)
        (token,) = set(re.findall(r"cak_us_\w+", made.text))
        await ours.get(f"{ENTRA}log?q={token}")
        await ours.get(f"/{session}")
        _, form = (await ours.get(f"{ENTRA}deactivate")).form()
        await ours.post("/logout", form)
        await ours.get(ENTRA)
    assert session
    return [link, session, token, form["form_token"]]


async def use_single_sign_on(stack: Stack, operate: Operator) -> list[str]:
    """Sign in by SAML, well, again and badly; the responses are secrets while they are valid."""
    sso_org = SsoOrganization(operate, await operate.organization())
    await sso_org.activate()
    person = await sso_org.person()
    async with browser(stack.base_url) as ours:
        sign_in = await sso_org.start_sign_in(ours)
        response = sign_in.signed_response(person)
        await sign_in.finish(response)
        await sign_in.finish(response)
        again = await sso_org.start_sign_in(ours)
        await again.finish(sign_in.signed_response(person))
        await again.finish(MARK)
        session = ours.cookie("session-us")
    assert session
    return [session, encoded(response)[-300:], sign_in.relay_state]


async def break_tables(stack: Stack, scim: Client, token: str) -> None:
    """Let both services fail in the middle of a request, so that they log where."""
    for database, table in (("users", "users"), ("keys", "api_key")):
        db = await asyncpg.connect(stack.database_url(database))
        await db.execute(f"ALTER TABLE {table} RENAME TO hidden")
        await scim("POST", "/Users", {"userName": MARK, "displayName": MARK})
        await scim("GET", "/Users", Authorization=f"Bearer {token}")
        await db.execute(f"ALTER TABLE hidden RENAME TO {table}")
        await db.close()


async def test_misused_secrets_are_not_logged(talkative: Stack):
    stack = talkative
    async with client(stack) as scim, operator(stack) as operate:
        fresh = (await operate.key(await operate.organization())).token
        await operate.revoke((await operate.key(await operate.organization())).key)
        mistyped = stack.token[:-1] + ("a" if stack.token[-1] != "a" else "b")
        for token in (stack.token, fresh, mistyped, f"cak_eu_{stack.token[7:]}"):
            await misuse_key(scim, token)
        secrets = [fresh, mistyped, *kept_secrets(stack)]
        secrets += await use_pages(stack, operate)
        secrets += await use_single_sign_on(stack, operate)
        await break_tables(stack, scim, fresh)
        os.kill(stack.pid("keysvc"), signal.SIGKILL)
        await scim("GET", "/Users", Authorization=f"Bearer {fresh}")

    log = logged(stack)

    assert "Traceback" in log
    assert '"level":"debug"' in log
    assert len(secrets) > 10
    assert [secret for secret in secrets for part in parts(secret) if part in log] == []
    assert MARK not in log


PEM = f"-----BEGIN PRIVATE KEY-----\n{MARK}\n-----END PRIVATE KEY-----\n"
BAD_URLS = (
    f"postgresql://keys:{MARK}@127.0.0.1:1/keys",
    f"postgresql://keys:{MARK}@127.0.0.1:{MARK}/keys",
    f"postgresql://keys:x#{MARK}@127.0.0.1:1/keys",
    f"postgresql://keys:{MARK}@[127.0.0.1/keys",
    f"postgresql://keys:{MARK}@db.test/keys",
    f"keys:{MARK}@127.0.0.1/keys",
    f"postgresql://127.0.0.1:1/keys?password={MARK}&sslmode={MARK}",
    f"postgresql://keys:{MARK}@127.0.0.1:1/keys?sslmode=verify-full&sslrootcert=/none",
)


TRACES = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}


def refused(program: str, *arguments: str, **variables: str) -> str:
    """What a process says that cannot start with these variables."""
    done = subprocess.run(
        [sys.executable, "-m", program, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'build'}", "KEYSVC_REGION": "us"}
        | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    return done.stdout + done.stderr


@pytest.mark.parametrize("url", BAD_URLS)
def test_unreachable_database_error_omits_password(url: str):
    said = refused("keysvc", "migrate", KEYSVC_REGION="us", KEYSVC_DATABASE_URL=url)
    assert MARK not in said
    assert said.startswith("keysvc: ")
    assert said.count("\n") == 1


def test_wrong_password_error_omits_password(talkative: Stack):
    url = f"postgresql://keysvc:{MARK}@{HOST}:{talkative.service_port('keysvc')}/keys"
    said = refused("keysvc", "migrate", KEYSVC_REGION="us", KEYSVC_DATABASE_URL=url)
    assert MARK not in said


def test_configuration_error_omits_secret(tmp_path: Path):
    pem = tmp_path / "key.pem"
    pem.write_text(PEM)
    common = {"GATEWAY_REGION": "us", "GATEWAY_LISTEN": f"{HOST}:0"}
    good = {**common, "GATEWAY_CURSOR_SECRET": bytes(range(32)).hex()}
    tls = {f"GATEWAY_TLS_{name}": str(pem) for name in ("CERTIFICATE", "KEY", "AUTHORITY")}
    saml = {f"GATEWAY_SAML_{name}": str(pem) for name in ("CERTIFICATE", "KEY")}
    said = [
        refused("gateway", **common, GATEWAY_CURSOR_SECRET=MARK),
        refused("gateway", **common, GATEWAY_CURSOR_SECRET=MARK.encode().hex()),
        refused("gateway", **good, **tls),
        refused("gateway", **good, **saml),
        refused("gateway", **good, GATEWAY_KEYSVC=BAD_URLS[0].replace("127.0.0.1", "db.test")),
        refused("gateway", **good, GATEWAY_ADMIN_LISTEN=BAD_URLS[0]),
        refused("gateway", **good, **TRACES, OTEL_EXPORTER_OTLP_HEADERS=f"authorization {MARK}"),
    ]
    assert [one for one in said if MARK in one or MARK.encode().hex() in one] == []


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel of Linux")
@pytest.mark.parametrize("process", PROCESSES)
def test_crashed_process_leaves_no_core_dump(talkative: Stack, process: str):
    pid = talkative.pid(process)
    limits = Path(f"/proc/{pid}/limits").read_text()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)
    assert Path(f"/proc/{pid}").stat().st_uid == 0 == Path(f"/proc/{pid}/environ").stat().st_uid

    os.kill(pid, signal.SIGABRT)
    wait_until(lambda: not Path(f"/proc/{pid}").exists())

    cores = [*ROOT.glob("core*"), *talkative.paths.folder.rglob("core*")]
    assert [path for path in cores if path.is_file()] == []


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel of Linux")
def test_process_memory_is_not_readable_by_same_user(tmp_path: Path):
    script = """
import os, subprocess, sys
from chassis.process import keep_memory_private
from tests.support.waiting import wait_until
look = ["cat", f"/proc/{os.getpid()}/environ"]
if os.getuid() == 0:
    os.setgid(65534), os.setuid(65534)
    # To change the user has the same effect, so it is undone first.
    import ctypes
    assert ctypes.CDLL(None).prctl(4, 1, 0, 0, 0) == 0
before = subprocess.run(look, capture_output=True).returncode
keep_memory_private()
print(before, subprocess.run(look, capture_output=True).returncode)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "0 1\n"
