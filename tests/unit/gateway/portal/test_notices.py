"""Confirmations after an action."""

from gateway.portal.models.notices import notice


def test_notice_of_an_unknown_value_is_empty():
    assert notice({"done": "revoked"})
    assert notice({"done": "Your key is here: evil.test"}) == ""
