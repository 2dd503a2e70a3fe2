"""The person who acts, as the audit trail of keysvc shows it."""

import unicodedata

from cloudacademy.keys.v1.audit_pb2 import Actor


def actor(user_id: str, user_name: str, address: str) -> Actor:
    """The actor with a user's id and name, and the client's address.

    keysvc refuses control characters, but a user name may have them: they become spaces. Otherwise
    such an administrator could not sign in, because a sign-in must be recorded.
    """
    name = "".join(" " if unicodedata.category(each) == "Cc" else each for each in user_name)
    return Actor(id=user_id, display_name=name, address=address)
