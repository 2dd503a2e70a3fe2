"""The field's own compliance suite, scim2-cli from PyPI, finds nothing to complain about."""

import os
import subprocess
import sys
from pathlib import Path

from tests.stack import Stack

SECONDS = 100


def test_scim2_cli_passes_every_check(tenant: Stack):
    finished = subprocess.run(
        [Path(sys.executable).with_name("scim2"), "--url", tenant.url, "test"],
        env={**os.environ, "SCIM_CLI_HEADERS": f"Authorization: Bearer {tenant.token}"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    complaints = [
        line
        for line in finished.stdout.splitlines()
        if line.startswith(("ERROR", "CRITICAL", "SKIPPED"))
    ]
    assert (finished.returncode, complaints) == (0, []), finished.stdout
    assert finished.stdout.count("SUCCESS") > 100
