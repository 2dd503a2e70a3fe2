"""The limits of the form with an identity provider's response."""

import base64
import secrets
from urllib.parse import urlencode

from gateway.sso.forms import MAX_ESCAPES, RESPONSE_FORM
from gateway.sso.response_structure import MAX_RESPONSE_CHARACTERS


def test_largest_response_fits_in_base64_of_any_line_length():
    text = base64.b64encode(secrets.token_bytes(MAX_RESPONSE_CHARACTERS)).decode()
    for width in (64, 76, MAX_RESPONSE_CHARACTERS):
        lines = [text[start : start + width] for start in range(0, len(text), width)]
        response = "\r\n".join(lines)[:MAX_RESPONSE_CHARACTERS]
        form = urlencode({"SAMLResponse": response, "RelayState": secrets.token_urlsafe(24)})
        assert form.count("%") < MAX_ESCAPES * 0.55
        assert len(form) < RESPONSE_FORM.max_bytes
