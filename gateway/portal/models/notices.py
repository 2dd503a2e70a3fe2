"""Confirmations shown after an action. The query parameter `done` selects the text."""

from collections.abc import Mapping
from typing import Final

NOTICES: Final[Mapping[str, str]] = {
    "activated": "The integration is active. Its API keys work now.",
    "deactivated": "The integration is inactive. All API keys are refused.",
    "revoked": "The API key has been revoked. It stops working within a second.",
    "sso-saved": "Settings saved.",
    "sso-unchanged": "No changes to save.",
    "sso-tested": "The test sign-in succeeded. You can activate single sign-on now.",
    "sso-activated": "Single sign-on is active.",
    "domain-found": "The TXT record was found. The domain is verified.",
    "domain-not_found": "The TXT record was not found. New records can take a while to appear: the "
    "domain is checked every 5 minutes for the next hour, then once a day.",
    "domain-unavailable": "The domain's name servers did not answer. The domain is checked again "
    "in a few minutes.",
    "sso-deactivated": "Single sign-on is inactive. Nobody can sign in through it.",
}


def notice(parameters: Mapping[str, str]) -> str:
    """The text for the value of `done`, or an empty string for an unknown value."""
    return NOTICES.get(parameters.get("done", ""), "")
