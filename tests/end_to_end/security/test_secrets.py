"""Secrets are in no log, however a client misuses them, in no error and in no core dump."""

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
from tests.support.browser import open_browser
from tests.support.forked_commands import run_forked
from tests.support.operators import Operator, operator
from tests.support.portal_organization import ENTRA, create_portal_organization, follow_link
from tests.support.saml.idp import encoded
from tests.support.scim import Client, client
from tests.support.single_sign_on import SsoOrganization
from tests.support.stack import ROOT, Stack, running_stack
from tests.support.waiting import wait_until

PROCESSES = ("gateway", "usersvc", "keysvc")
MARK = "zq9secretmark"


@pytest.fixture(scope="module")
def debug_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A separate region whose processes log at level debug."""
    levels = {f"{name.upper()}_LOG_LEVEL": "debug" for name in PROCESSES}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in levels.items():
            patch.setenv(name, value)
        with running_stack(tmp_path_factory.mktemp("run")) as stack:
            yield stack


def all_logs(stack: Stack) -> str:
    return "".join(stack.log(process) for process in (*PROCESSES, "postgres"))


def stored_secrets(stack: Stack) -> list[str]:
    """The secrets that the region generated at its first start."""
    paths = stack.paths
    key = "".join(paths.saml_key.read_text().splitlines()[1:-1])
    cursor = paths.cursor_secret.read_text().strip()
    passwords = [paths.password(role).read_text().strip() for role in ("usersvc", "keysvc")]
    return [stack.token, key[40:80], cursor, cursor.encode().hex(), *passwords]


def searched_forms(secret: str) -> list[str]:
    """The secret part of a secret, plain and in base64."""
    core = secret[-40:-8] if len(secret) > 60 else secret[-24:]
    return [core, base64.b64encode(secret.encode()).decode()[4:40]]


async def misuse_key(scim: Client, token: str) -> None:
    """Send a key in every wrong form of the header, and everywhere else in a request."""
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
    """Sign in, generate a key, deactivate and sign out as an administrator; returns the secrets."""
    portal_org = await create_portal_organization(operate, stack)
    link = await portal_org.create_link_token()
    async with open_browser(stack.base_url) as portal:
        await portal.get(f"/login/link?token={link}")
        await follow_link(portal, link)
        await follow_link(portal, link)
        session = portal.cookie("session-us")
        _, form = (await portal.get(f"{ENTRA}keys/new")).form()
        generated = await portal.post(f"{ENTRA}keys/new", form)
        (token,) = set(re.findall(r"cak_us_\w+", generated.text))
        await portal.get(f"{ENTRA}log?q={token}")
        await portal.get(f"/{session}")
        _, form = (await portal.get(f"{ENTRA}deactivate")).form()
        await portal.post("/logout", form)
        await portal.get(ENTRA)
    assert session
    return [link, session, token, form["form_token"]]


async def use_single_sign_on(stack: Stack, operate: Operator) -> list[str]:
    """Sign in by SAML with valid, repeated and malformed responses; returns the secrets.

    A SAML response is a secret while it is valid.
    """
    sso_org = SsoOrganization(operate, await operate.create_organization())
    await sso_org.activate()
    user = await sso_org.create_person()
    async with open_browser(stack.base_url) as portal:
        sign_in = await sso_org.start_sign_in(portal)
        response = sign_in.signed_response(user)
        await sign_in.finish(response)
        await sign_in.finish(response)
        again = await sso_org.start_sign_in(portal)
        await again.finish(sign_in.signed_response(user))
        await again.finish(MARK)
        session = portal.cookie("session-us")
    assert session
    return [session, encoded(response)[-300:], sign_in.relay_state]


async def break_tables(stack: Stack, scim: Client, token: str) -> None:
    """Rename tables during requests, so that both services log a traceback."""
    for database, table in (("users", "users"), ("keys", "api_key")):
        db = await asyncpg.connect(stack.database_url(database))
        await db.execute(f"ALTER TABLE {table} RENAME TO hidden")
        await scim("POST", "/Users", {"userName": MARK, "displayName": MARK})
        await scim("GET", "/Users", Authorization=f"Bearer {token}")
        await db.execute(f"ALTER TABLE hidden RENAME TO {table}")
        await db.close()


async def test_misused_secrets_are_not_logged(debug_stack: Stack):
    stack = debug_stack
    async with client(stack) as scim, operator(stack) as operate:
        fresh = (await operate.generate_key(await operate.create_organization())).token
        await operate.revoke((await operate.generate_key(await operate.create_organization())).key)
        mistyped = stack.token[:-1] + ("a" if stack.token[-1] != "a" else "b")
        for token in (stack.token, fresh, mistyped, f"cak_eu_{stack.token[7:]}"):
            await misuse_key(scim, token)
        secrets = [fresh, mistyped, *stored_secrets(stack)]
        secrets += await use_pages(stack, operate)
        secrets += await use_single_sign_on(stack, operate)
        await break_tables(stack, scim, fresh)
        os.kill(stack.pid("keysvc"), signal.SIGKILL)
        await scim("GET", "/Users", Authorization=f"Bearer {fresh}")

    log = all_logs(stack)

    assert "Traceback" in log
    assert '"level":"debug"' in log
    assert len(secrets) > 10
    assert [secret for secret in secrets for form in searched_forms(secret) if form in log] == []
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


def failed_start(program: str, *arguments: str, **variables: str) -> str:
    """Start a process whose settings are invalid; returns its output."""
    code, output, error_output = run_forked(program, variables, *arguments)
    assert code != 0
    return output + error_output


@pytest.mark.parametrize("url", BAD_URLS)
def test_unreachable_database_error_omits_password(url: str):
    output = failed_start("keysvc", "migrate", KEYSVC_REGION="us", KEYSVC_DATABASE_URL=url)
    assert MARK not in output
    assert output.startswith("keysvc: ")
    assert output.count("\n") == 1


def test_wrong_password_error_omits_password(debug_stack: Stack):
    url = f"postgresql://keysvc:{MARK}@{HOST}:{debug_stack.service_port('keysvc')}/keys"
    output = failed_start("keysvc", "migrate", KEYSVC_REGION="us", KEYSVC_DATABASE_URL=url)
    assert MARK not in output


def test_configuration_error_omits_secret(tmp_path: Path):
    pem = tmp_path / "key.pem"
    pem.write_text(PEM)
    common = {"GATEWAY_REGION": "us", "GATEWAY_LISTEN": f"{HOST}:0"}
    good = {**common, "GATEWAY_CURSOR_SECRET": bytes(range(32)).hex()}
    tls = {f"GATEWAY_TLS_{name}": str(pem) for name in ("CERTIFICATE", "KEY", "AUTHORITY")}
    saml = {f"GATEWAY_SAML_{name}": str(pem) for name in ("CERTIFICATE", "KEY")}
    outputs = [
        failed_start("gateway", **common, GATEWAY_CURSOR_SECRET=MARK),
        failed_start("gateway", **common, GATEWAY_CURSOR_SECRET=MARK.encode().hex()),
        failed_start("gateway", **good, **tls),
        failed_start("gateway", **good, **saml),
        failed_start("gateway", **good, GATEWAY_KEYSVC=BAD_URLS[0].replace("127.0.0.1", "db.test")),
        failed_start("gateway", **good, GATEWAY_ADMIN_LISTEN=BAD_URLS[0]),
        failed_start(
            "gateway", **good, **TRACES, OTEL_EXPORTER_OTLP_HEADERS=f"authorization {MARK}"
        ),
    ]
    assert [output for output in outputs if MARK in output or MARK.encode().hex() in output] == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc of Linux")
@pytest.mark.parametrize("process", PROCESSES)
def test_crashed_process_leaves_no_core_dump(debug_stack: Stack, process: str):
    pid = debug_stack.pid(process)
    limits = Path(f"/proc/{pid}/limits").read_text()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)
    assert Path(f"/proc/{pid}/environ").stat().st_uid == 0  # as root, this is always so

    os.kill(pid, signal.SIGABRT)
    wait_until(lambda: not Path(f"/proc/{pid}").exists())

    cores = [*ROOT.glob("core*"), *debug_stack.paths.folder.rglob("core*")]
    assert [path for path in cores if path.is_file()] == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc of Linux")
def test_process_memory_is_not_readable_by_same_user(tmp_path: Path):
    script = """
import os, subprocess, sys
from chassis.process import keep_memory_private
from tests.support.waiting import wait_until
look = ["cat", f"/proc/{os.getpid()}/environ"]
if os.getuid() == 0:
    os.setgid(65534), os.setuid(65534)
    # Changing the user has the same effect, so undo that first.
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
