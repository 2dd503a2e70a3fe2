"""A refused request as a curl command."""

import shlex
from typing import Final

from cloudacademy.users.v1.activity_pb2 import RefusedRequest

MAX_BODY: Final = 4_096
"""The number of characters of a body that the log keeps."""


def as_curl(refusal: RefusedRequest, tenant_url: str) -> str:
    """The command. It contains a shell variable instead of the token."""
    url = shlex.quote(_plain(tenant_url + refusal.target))
    lines = [
        f"curl --globoff --request {shlex.quote(refusal.method)} {url}",
        '--header "Authorization: Bearer $SECRET_TOKEN"',
    ]
    if refusal.body:
        lines.append("--header 'Content-Type: application/scim+json'")
        # --data-raw, because --data would read a local file if the body starts with @.
        lines.append(f"--data-raw {shlex.quote(_plain(refusal.body))}")
        if len(refusal.body) >= MAX_BODY:
            lines.append("# The body was longer. Only its beginning was logged.")
    return " \\\n  ".join(lines)


def _plain(text: str) -> str:
    """Replace control characters, which a terminal could interpret."""
    return "".join(each if each.isprintable() or each in "\n\t" else "�" for each in text)
