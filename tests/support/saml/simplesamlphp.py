"""Runs SimpleSAMLphp, an independent identity provider, in PHP's built-in web server."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest

from deploy.local.ports import free_port
from tests.support.saml.idp import KeyPair, key_pair
from tests.support.waiting import wait_until

CODE = Path(os.environ.get("SIMPLESAMLPHP", "/usr/share/simplesamlphp"))
START_SECONDS = 20.0
ENTITY_ID = "https://simplesamlphp.test/"
PASSWORD = "a password of the tests"


@dataclass(frozen=True, slots=True)
class SimpleSamlPhp:
    """A running identity provider."""

    url: str
    pair: KeyPair

    @property
    def sso_url(self) -> str:
        return f"{self.url}saml2/idp/SSOService.php"


@contextmanager
def running(
    directory: Path,
    acs_url: str,
    sp_certificate: str,
    people: Mapping[str, Mapping[str, Sequence[str]]],
) -> Iterator[SimpleSamlPhp]:
    """Run SimpleSAMLphp. `people` maps user names to their claims."""
    if not (CODE / "www").is_dir() or not shutil.which("php"):
        pytest.skip("needs PHP, and SimpleSAMLphp at the path in SIMPLESAMLPHP")
    port, pair = free_port(), key_pair("simplesamlphp")
    # localhost instead of 127.0.0.1, so that browsers treat it as another site.
    provider = SimpleSamlPhp(f"http://localhost:{port}/", pair)
    _configure(directory, provider, acs_url, sp_certificate, people)
    with (directory / "php.out").open("wb") as output:
        server = subprocess.Popen(
            ["php", "-S", f"localhost:{port}", "-t", str(CODE / "www")],
            env={**os.environ, "SIMPLESAMLPHP_CONFIG_DIR": str(directory / "config")},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_until_running(server, provider, directory / "php.out")
            yield provider
        finally:
            server.terminate()
            server.wait(10)


def _configure(
    directory: Path,
    provider: SimpleSamlPhp,
    acs_url: str,
    sp_certificate: str,
    people: Mapping[str, Mapping[str, Sequence[str]]],
) -> None:
    for name in ("config", "metadata", "cert", "log", "data", "temp", "session"):
        (directory / name).mkdir(parents=True)
    (directory / "cert" / "idp.key").write_text(provider.pair.key)
    (directory / "cert" / "idp.crt").write_text(provider.pair.certificate)
    settings = {
        "baseurlpath": provider.url,
        "certdir": f"{directory}/cert/",
        "loggingdir": f"{directory}/log/",
        "datadir": f"{directory}/data/",
        "tempdir": f"{directory}/temp",
        "secretsalt": "of the tests",
        "auth.adminpassword": PASSWORD,
        "timezone": "UTC",
        "logging.handler": "file",
        "enable.saml20-idp": True,
        "module.enable": {"exampleauth": True, "core": True, "saml": True},
        "store.type": "phpsession",
        "session.cookie.secure": False,
        "session.phpsession.cookiename": "SimpleSAML",
        "session.phpsession.savepath": f"{directory}/session",
        "metadata.sources": [{"type": "flatfile", "directory": f"{directory}/metadata"}],
    }
    hosted = {
        "host": "__DEFAULT__",
        "privatekey": "idp.key",
        "certificate": "idp.crt",
        "auth": "people",
        "attributes.NameFormat": "urn:oasis:names:tc:SAML:2.0:attrname-format:uri",
    }
    remote = {
        "AssertionConsumerService": acs_url,
        "certData": "".join(re.sub("-----.*?-----", "", sp_certificate).split()),
        "validate.authnrequest": True,
        "saml20.sign.assertion": True,
    }
    accounts = {f"{name}:{PASSWORD}": claims for name, claims in people.items()}
    sources = f"['people' => ['exampleauth:UserPass', ...{_php(accounts)}]]"
    _write(directory / "config" / "config.php", f"$config = {_php(settings)};")
    _write(
        directory / "config" / "authsources.php",
        f"$config = {sources};",
    )
    _write(
        directory / "metadata" / "saml20-idp-hosted.php",
        f"$metadata[{_php(ENTITY_ID)}] = {_php(hosted)};",
    )
    _write(
        directory / "metadata" / "saml20-sp-remote.php",
        f"$metadata['urn:federation:cloudacademy'] = {_php(remote)};",
    )


def _wait_until_running(
    server: "subprocess.Popen[bytes]", provider: SimpleSamlPhp, output: Path
) -> None:
    opener = build_opener(ProxyHandler({}))

    def answers() -> bool:
        assert server.poll() is None, output.read_text()
        try:
            opener.open(f"{provider.url}saml2/idp/metadata.php", timeout=5).read()
        except OSError:
            return False
        return True

    wait_until(answers, START_SECONDS, output.read_text)


def _write(path: Path, text: str) -> None:
    path.write_text(f"<?php\n{text}\n")


def _php(value: object) -> str:
    """A value as a PHP literal."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            escaped = value.replace("\\", "\\\\").replace("'", "\\'")
            return f"'{escaped}'"
        case Mapping():
            return f"[{', '.join(f'{_php(key)} => {_php(each)}' for key, each in value.items())}]"
        case _:
            return f"[{', '.join(_php(each) for each in value)}]"  # type: ignore[attr-defined]
