"""Runs schemathesis against a running region by its OpenAPI document."""

import os
import subprocess
import sys
from pathlib import Path

from gateway.openapi.page import PATH
from tests.support.stack import ROOT, Stack

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
    "use_after_free",
    "ensure_resource_availability",
)
"""Excluded: the check that input outside the schema is rejected. SCIM ignores unknown input."""

EXTRA_SECONDS = 600


def drive(
    stack: Stack, folder: Path, seed: int, *, examples: int = 0, seconds: int = 0
) -> subprocess.CompletedProcess[str]:
    """Send requests that the document permits, and others; exit code 0 is success.

    Sends `examples` per operation if given, else runs for `seconds`.
    """
    folder.mkdir(exist_ok=True)
    command = [Path(sys.executable).with_name("schemathesis"), "run", stack.base_url + PATH]
    command += ["--url", stack.url, "--header", f"Authorization: Bearer {stack.token}"]
    command += ["--checks", ",".join(CHECKS), "--seed", str(seed)]
    command += ["--max-examples", str(examples)] if examples else ["--max-time", str(seconds)]
    # RFC 7644 section 3.11 permits 501 for /Me, which is not a failure.
    command += ["--exclude-path", "/Me", "--no-color", "--warnings", "off"]
    return subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'build'}",
            "SCHEMATHESIS_HOOKS": "tools.fuzz.hooks",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds + EXTRA_SECONDS,
        check=False,
    )
