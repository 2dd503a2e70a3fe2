"""Secrets that gateways share, and their rotation."""

import base64
import hmac
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from gateway.api.query.cursors import Cursors
from gateway.signing.shared_secrets import SharedSecrets
from gateway.web.csrf import FormTokens

OLD, NEW, OTHER = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))
STEPS = [(OLD,), (OLD, NEW), (NEW, OLD), (NEW,)]
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
NOW = datetime(2026, 11, 30, tzinfo=UTC)


@pytest.mark.parametrize(("one", "next_one"), list(pairwise(STEPS)))
def test_gateways_at_adjacent_steps_accept_each_other(one, next_one):
    first, second = (SharedSecrets(values).signer(b"purpose") for values in (one, next_one))

    assert first.verify(b"message", second.sign(b"message"))
    assert second.verify(b"message", first.sign(b"message"))


def test_gateways_two_steps_apart_do_not_accept_each_other():
    first, third = (SharedSecrets(values).signer(b"purpose") for values in (STEPS[0], STEPS[2]))

    assert not first.verify(b"message", third.sign(b"message"))


def test_first_secret_signs():
    assert SharedSecrets((NEW, OLD)).signer(b"a").sign(b"m") == SharedSecrets((NEW,)).signer(
        b"a"
    ).sign(b"m")


def test_signature_is_valid_for_its_purpose_message_and_size_only():
    secrets = SharedSecrets((NEW, OLD))
    signature = secrets.signer(b"a").sign(b"message")

    assert not secrets.signer(b"b").verify(b"message", signature)
    assert not secrets.cursor_signer().verify(b"message", signature)
    assert not secrets.signer(b"a").verify(b"other", signature)
    assert not secrets.signer(b"a").verify(b"message", signature[:16])
    assert not secrets.signer(b"a").verify(b"message", b"")
    assert not SharedSecrets((OTHER,)).signer(b"a").verify(b"message", signature)


def test_secrets_are_not_in_representations():
    secrets = SharedSecrets((NEW, OLD))

    for value in (secrets, secrets.signer(b"a"), secrets.cursor_signer()):
        assert NEW.hex() not in repr(value)
        assert repr(NEW) not in repr(value)


def test_cursors_and_forms_of_the_previous_release_are_accepted():
    """Computed as release 0.1.0 does, with the secret itself and a key derived from it."""
    end = int(NOW.timestamp() + 3600).to_bytes(6, "big")
    digest = bytes.fromhex("8e35c2cd3bf6641bdb0e2050b76932cbb2e6034a0ddacc1d9bea82a6ba57f7cf")
    signed = b"acme\0" + digest + end + b"position"
    signature = hmac.digest(OLD, signed, "sha256")[:16]
    cursor = Cursors(SharedSecrets((OLD,)), lambda: NOW).sign("acme", "q", "position")
    token_key = hmac.digest(OLD, b"portal forms", "sha256")
    form_signature = hmac.digest(token_key, b"session\0purpose", "sha256")

    assert base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)) == (
        signature + end + b"position"
    )
    token = FormTokens(SharedSecrets((OLD,))).create("session", "purpose")
    assert base64.urlsafe_b64decode(token + "=") == form_signature


def test_form_token_has_one_spelling():
    forms = FormTokens(SharedSecrets((OLD,)))
    token = forms.create("session")
    # The last character has two bits that are not part of the 32 bytes.
    same_bytes = token[:-1] + BASE64[BASE64.index(token[-1]) + 1]

    assert forms.verify(token, "session")
    for other in ("", token + "=", token[:-1] + "é", token[:-1] + "\ud800", same_bytes):
        assert not forms.verify(other, "session")
