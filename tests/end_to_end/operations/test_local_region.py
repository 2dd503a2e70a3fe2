"""What `make run` gives to operators and to callers of the gRPC API."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from uuid import uuid4

from tests.support.scim import Client
from tests.support.stack import ROOT, Stack

DOCUMENT = (ROOT / "docs/internal-api.md").read_text()


async def run(*arguments: str, **variables: str) -> tuple[int, str, str]:
    """The exit code and the output of a Python program."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'build'}", **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def admin(directory: Path, *arguments: str) -> tuple[int, str, str]:
    """Run `make admin` with ARGS."""
    region = ("--region", "us", "--directory", str(directory))
    return await run("-m", "deploy.local", "admin", *region, *arguments)


def stored_settings(tenant: Stack) -> dict[str, str]:
    lines = tenant.paths.client_settings.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


async def test_admin_runs_commands_of_both_services(tenant: Stack):
    organization_id = stored_settings(tenant)["ORGANIZATION_ID"]
    name = f"{uuid4().hex}@admin.test"
    directory = tenant.paths.directory

    listed = await admin(directory, "keysvc", "list-keys", organization_id)
    created = await admin(
        directory, "usersvc", "create-administrator", organization_id, "--user-name", name
    )

    assert (listed[0], created[0]) == (0, 0), (listed, created)
    assert json.loads(listed[1])["keys"]
    assert json.loads(created[1])["user_name"] == name


async def test_admin_passes_arguments_and_exit_code_of_the_command(tenant: Stack):
    helped = await admin(tenant.paths.directory, "keysvc", "--help")
    refused = await admin(tenant.paths.directory, "keysvc", "list-keys", "not-a-uuid")
    assert (helped[0], "list-keys" in helped[1]) == (0, True)
    assert (refused[0], refused[2].startswith("keysvc: ")) == (1, True)


async def test_admin_without_region_or_service_says_what_to_do(tenant: Stack, tmp_path: Path):
    stopped = await admin(tmp_path, "keysvc", "list-keys")
    unknown = await admin(tenant.paths.directory, "list-keys")
    missing = await admin(tenant.paths.directory)
    assert [code for code, _, _ in (stopped, unknown, missing)] == [1, 1, 1]
    assert "Start it with 'make run'" in stopped[2]
    assert 'make admin ARGS="keysvc --help"' in unknown[2]
    assert unknown[2] == missing[2]


async def test_documented_grpc_client_works_with_make_run(tenant: Stack, scim: Client):
    created = await scim("POST", "/Users", {"userName": f"{uuid4().hex}@grpc.test"})
    settings = stored_settings(tenant)
    example = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)[0]

    code, printed, errors = await run(
        *("-c", example),
        TARGET=settings["USERSVC"],
        ORGANIZATION_ID=settings["ORGANIZATION_ID"],
    )

    assert (code, errors) == (0, "")
    assert f"{created.document['id']} {created.document['userName']}" in printed.splitlines()
