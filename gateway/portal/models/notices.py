"""What a page says after something was done; the address holds a word of ours for it."""

from collections.abc import Mapping
from typing import Final

NOTICES: Final[Mapping[str, str]] = {
    "activated": "The integration is active: its keys work now.",
    "deactivated": "The integration is inactive: all keys are refused.",
    "revoked": "The key is revoked: it stops working within a second.",
    "sso-saved": "The set-up is saved.",
    "sso-unchanged": "Nothing changed: the set-up is as it was.",
    "sso-tested": "The test sign-in succeeded. You can activate single sign-on now.",
    "sso-activated": "Single sign-on is active.",
    "sso-deactivated": "Single sign-on is inactive: nobody signs in through it.",
}


def notice(parameters: Mapping[str, str]) -> str:
    """The text for the word in an address; nothing for any other word."""
    return NOTICES.get(parameters.get("done", ""), "")
