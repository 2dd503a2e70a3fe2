"""Names of client applications, for the provisioning log. Pure: no clock, no I/O.

A name rests on claims of the client: the User-Agent, and habits of known clients. So it is shown
and logged, but never decides what a request may do. Each name is one of a few constants, so that a
hostile User-Agent reaches neither the log nor a page.
"""

from typing import Final

ENTRA: Final = "Microsoft Entra ID"
OKTA: Final = "Okta"
ONELOGIN: Final = "OneLogin"
JUMPCLOUD: Final = "JumpCloud"
GOOGLE: Final = "Google Workspace"
PINGFEDERATE: Final = "PingFederate"
SAILPOINT: Final = "SailPoint"
OTHER: Final = "another client"

MAX_USER_AGENT: Final = 200
"""The characters of a User-Agent that are read."""
_BY_USER_AGENT: Final = (
    ("azure ad scim", ENTRA),  # "Microsoft Azure AD SCIM provisioning 1.0.0"
    ("microsoft entra", ENTRA),
    ("okta scim", OKTA),  # "Okta SCIM Client 1.0.0"
    ("onelogin", ONELOGIN),  # "OneLogin SCIM", which customers set as a custom header
    ("jumpcloud", JUMPCLOUD),
    ("google-auto-provisioning", GOOGLE),
    ("pingfederate", PINGFEDERATE),
    ("sailpoint", SAILPOINT),
)
"""Words of a User-Agent in lower case, and the client that they name.

The default User-Agent of an HTTP library names no client: PingFederate sends that of
Apache-HttpClient, but so do other programs in Java.
"""


def client_name(user_agent: str | None, target: str) -> str:
    """The name of the client that sent a request with this User-Agent and raw request target.

    Without a User-Agent, the client is OneLogin if the header is empty or the target ends with an
    empty query or parameter, and else Entra, which omits the header.
    """
    if user_agent is not None and (agent := user_agent[:MAX_USER_AGENT].strip().lower()):
        for words, name in _BY_USER_AGENT:
            if words in agent:
                return name
        return OTHER
    if user_agent is not None or target.endswith(("?", "&")):
        return ONELOGIN
    return ENTRA
