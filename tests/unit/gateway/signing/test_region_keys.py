"""The keys of a region in the settings, and their fingerprints."""

from pathlib import Path

import pytest

from chassis.config.settings import SettingsError
from chassis.observability.metrics import Metrics
from deploy.local.setup.key_pair import create_key_pair
from gateway.settings import read
from gateway.signing.region_keys import KeyFingerprint, RegionKeys, labels, settings_digest

ONE, TWO, THREE, FOUR = (bytes(range(n, n + 32)).hex() for n in (1, 2, 3, 4))


def keys(secret: str, **variables: str) -> RegionKeys:
    return read(
        {"GATEWAY_REGION": "us", "GATEWAY_CURSOR_SECRET": secret}
        | {f"GATEWAY_{name}": value for name, value in variables.items()}
    ).keys


def test_first_secret_signs_and_all_are_accepted():
    region_keys = keys(f"{TWO}, {ONE}")

    assert region_keys.shared.values == (bytes.fromhex(TWO), bytes.fromhex(ONE))
    assert region_keys.fingerprints() == (
        KeyFingerprint("shared_secret", "signing", settings_digest(TWO)),
        KeyFingerprint("shared_secret", "accepted", settings_digest(ONE)),
    )


def test_digest_of_one_secret_is_that_of_the_previous_release():
    assert keys(ONE).digests()["cursor_secret"] == settings_digest(ONE)


def test_digest_depends_on_the_order_of_secrets():
    assert keys(f"{ONE},{TWO}").digests() != keys(f"{TWO},{ONE}").digests()


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        ("", "is not set"),
        (f"{ONE},", "has a comma without a secret"),
        (f"{ONE},,{TWO}", "has a comma without a secret"),
        (f"{ONE},{ONE.upper()}", "has the same secret twice"),
        (",".join((ONE, TWO, THREE, FOUR)), "has 4 secrets, more than 3"),
        (f"{ONE},abcd", "has 2 bytes, fewer than 32"),
        (f"{ONE},{'00' * 32}", "can be guessed"),
        (f"{ONE};{TWO}", "is not hexadecimal"),
    ],
)
def test_invalid_list_of_secrets_is_refused_unquoted(secret: str, problem: str):
    with pytest.raises(SettingsError) as caught:
        keys(secret)

    assert f"GATEWAY_CURSOR_SECRET {problem}" in str(caught.value)
    assert ONE not in str(caught.value)


def test_certificates_have_fingerprints_in_the_order_of_their_file(tmp_path: Path):
    for name in ("old", "new"):
        create_key_pair(tmp_path / f"{name}.key", tmp_path / f"{name}.crt", name)
    old, new = ((tmp_path / f"{name}.crt").read_text() for name in ("old", "new"))

    def certificates(content: str) -> list[KeyFingerprint]:
        file = tmp_path / "saml.crt"
        file.write_text(content)
        found = keys(ONE, SAML_KEY=str(tmp_path / "old.key"), SAML_CERTIFICATE=str(file))
        return [each for each in found.fingerprints() if each.kind == "saml_certificate"]

    (only,) = certificates(old)
    signing, accepted = certificates(old + new)
    assert signing == only
    assert [each.state for each in (signing, accepted)] == ["signing", "accepted"]
    swapped = certificates(new + old)
    assert [each.fingerprint for each in swapped] == [accepted.fingerprint, signing.fingerprint]
    assert certificates("no certificate") == []


def test_fingerprints_are_published_as_one_series_each():
    metrics = Metrics()
    metrics.infos("signing_key", "Fingerprints.", labels(keys(f"{ONE},{TWO}").fingerprints()))

    series = {
        line for line in metrics.text().decode().splitlines() if line.startswith("signing_key_info")
    }
    assert series == {
        f'signing_key_info{{fingerprint="{settings_digest(secret)}",kind="shared_secret",'
        f'state="{state}"}} 1.0'
        for secret, state in ((ONE, "signing"), (TWO, "accepted"))
    }
