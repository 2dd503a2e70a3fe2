"""docs/internal-api.md does what it says, and leaves no refusal out."""

import asyncio
import os
import re
import sys
from pathlib import Path

import asyncpg

from tests.integration.usersvc.serving import ROOT, served
from tests.integration.usersvc.user_calls import ACME

DOCUMENT = (ROOT / "docs/internal-api.md").read_text()
REASONS = ROOT / "protos/cloudacademy/errors/v1/errors.proto"
FILL = """
    INSERT INTO users (organization_id, create_time, update_time, user_name)
    SELECT $1, now(), now(), 'user' || number FROM generate_series(1, 250) AS number
"""


async def run_example(users_url: str, folder: Path, organization_id: str) -> list[str]:
    """What the document's Python example prints as the service `billing`."""
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    with served(users_url, folder) as service:
        files = service.files("billing")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", example),
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT / "build"),
                "TARGET": f"dns:///{service.target}",
                "ORGANIZATION_ID": organization_id,
                "TLS_AUTHORITY": str(files.authority),
                "TLS_KEY": str(files.key),
                "TLS_CERTIFICATE": str(files.certificate),
            },
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode().splitlines()


async def test_the_python_example_walks_through_all_users(
    users_url: str, db: asyncpg.Connection, tmp_path: Path
):
    await db.execute(FILL, ACME)
    lines = await run_example(users_url, tmp_path, ACME)
    assert [line.split()[1] for line in lines] == [f"user{number}" for number in range(1, 251)]


async def test_the_python_example_reads_the_reason_of_a_refusal(users_url: str, tmp_path: Path):
    lines = await run_example(users_url, tmp_path, "acme")
    assert lines == ["refused: INVALID_FIELD {'field': 'organization_id'}"]


def test_the_table_of_refusals_has_each_reason_beside_its_status():
    told = {
        reason: status
        for status, reasons in re.findall(r"^\| `(\w+)` \| (`.+?`) \| ", DOCUMENT, re.MULTILINE)
        for reason in re.findall(r"`(\w+)`", reasons)
    }
    contract = re.findall(
        r"// ([A-Z_]+): (?:.+\n(?:  //.+\n)*)  REASON_(\w+) =", REASONS.read_text()
    )
    assert told == {reason: status for status, reason in contract}
