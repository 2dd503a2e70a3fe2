"""A refused request as a command that sends it again."""

import shlex

from cloudacademy.users.v1.activity_pb2 import RefusedRequest


def as_curl(refusal: RefusedRequest, tenant_url: str) -> str:
    """The command. The token is not in it: a shell variable stands for it."""
    lines = [
        f"curl --request {shlex.quote(refusal.method)} {shlex.quote(tenant_url + refusal.target)}",
        '--header "Authorization: Bearer $SECRET_TOKEN"',
    ]
    if refusal.body:
        lines.append("--header 'Content-Type: application/scim+json'")
        lines.append(f"--data {shlex.quote(refusal.body)}")
    return " \\\n  ".join(lines)
