"""A refused request as a command that sends it again."""

import shlex
from typing import Final

from cloudacademy.users.v1.activity_pb2 import RefusedRequest

MAX_BODY: Final = 4_096
"""As much of a body as the log keeps."""


def as_curl(refusal: RefusedRequest, tenant_url: str) -> str:
    """The command. The token is not in it: a shell variable stands for it."""
    url = shlex.quote(_plain(tenant_url + refusal.target))
    lines = [
        f"curl --globoff --request {shlex.quote(refusal.method)} {url}",
        '--header "Authorization: Bearer $SECRET_TOKEN"',
    ]
    if refusal.body:
        lines.append("--header 'Content-Type: application/scim+json'")
        # Raw: what begins with @ would be a file of whoever pastes it.
        lines.append(f"--data-raw {shlex.quote(_plain(refusal.body))}")
        if len(refusal.body) >= MAX_BODY:
            lines.append("# The body was longer; this is its beginning.")
    return " \\\n  ".join(lines)


def _plain(text: str) -> str:
    """Text without what a terminal would take for something else."""
    return "".join(each if each.isprintable() or each in "\n\t" else "�" for each in text)
