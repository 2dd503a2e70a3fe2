"""Refused requests as curl commands."""

from cloudacademy.users.v1.activity_pb2 import RefusedRequest

from gateway.portal.models.log.curl import as_curl

URL = "https://cloudacademy.com/webhooks/ad/v1/scim"


def test_curl_command_has_no_token_and_is_quoted():
    body = """{"userName":"o'hara; rm -rf /"}"""
    command = as_curl(RefusedRequest(method="POST", target="/Users?x=$(id)", body=body), URL)
    assert command == (
        f"curl --globoff --request POST '{URL}/Users?x=$(id)' \\\n"
        '  --header "Authorization: Bearer $SECRET_TOKEN" \\\n'
        "  --header 'Content-Type: application/scim+json' \\\n"
        """  --data-raw '{"userName":"o'"'"'hara; rm -rf /"}'"""
    )
