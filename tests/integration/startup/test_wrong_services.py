"""A gateway refuses services of another name or region, and those that it cannot authenticate."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.local.region import TENANT_PATH
from tests.support.chassis.authorities import Authority
from tests.support.forked_commands import run_forked
from tests.support.service_processes import (
    ServiceProcess,
    gateway_settings,
    running,
    service_settings,
    tls_settings,
)
from tests.support.waiting import wait_until

UNREACHABLE = "127.0.0.1:1"


@contextmanager
def services(
    users_url: str, keys_url: str, region: str = "us", tls: dict[str, dict[str, str]] | None = None
) -> Iterator[tuple[ServiceProcess, ServiceProcess]]:
    """Running usersvc and keysvc."""
    tls = tls or {"usersvc": {}, "keysvc": {}}
    with (
        running(
            "usersvc", service_settings("usersvc", users_url, region) | tls["usersvc"], "serve"
        ) as usersvc,
        running(
            "keysvc", service_settings("keysvc", keys_url, region) | tls["keysvc"], "serve"
        ) as keysvc,
    ):
        for each in (usersvc, keysvc):
            each.wait_for("health", ready=True)
        yield usersvc, keysvc


def refusal(settings: dict[str, str]) -> str:
    """The text of a gateway that must refuse to start."""
    code, output, error_output = run_forked(
        "gateway", {"GATEWAY_LISTEN": "127.0.0.1:0", "GRPC_VERBOSITY": "ERROR", **settings}
    )
    assert code == 1, output + error_output
    return error_output.splitlines()[-1]


@pytest.mark.parametrize(("region", "other"), [("us", "eu"), ("eu", "us")])
def test_gateway_refuses_services_of_another_region(
    users_url: str, keys_url: str, region: str, other: str
):
    with services(users_url, keys_url, other) as (usersvc, keysvc):
        text = refusal(gateway_settings(usersvc.address, keysvc.address, region))
    assert f"leads to a service of region {other}, but GATEWAY_REGION is {region}" in text


def test_gateway_refuses_one_service_of_another_region(users_url: str, keys_url: str):
    settings = service_settings("keysvc", keys_url, "eu")
    with (
        running("usersvc", service_settings("usersvc", users_url), "serve") as usersvc,
        running("keysvc", settings, "serve") as keysvc,
    ):
        for each in (usersvc, keysvc):
            each.wait_for("health", ready=True)
        text = refusal(gateway_settings(usersvc.address, keysvc.address))
    assert f"GATEWAY_KEYSVC ('{keysvc.address}') leads to a service of region eu" in text


def test_gateway_refuses_swapped_targets(users_url: str, keys_url: str):
    with services(users_url, keys_url) as (usersvc, keysvc):
        text = refusal(gateway_settings(keysvc.address, usersvc.address))
        half = refusal(gateway_settings(usersvc.address, usersvc.address))
    usersvc_error = f"GATEWAY_USERSVC ('{keysvc.address}') leads to keysvc: correct it"
    keysvc_error = f"GATEWAY_KEYSVC ('{usersvc.address}') leads to usersvc: correct it"
    assert (text, half) == (f"{usersvc_error}; {keysvc_error}", keysvc_error)


def test_gateway_refuses_certificates_with_which_it_cannot_call(
    users_url: str, keys_url: str, tmp_path: Path
):
    authority, stranger = Authority(), Authority("stranger")
    tls = {
        name: tls_settings(name, authority.issue(tmp_path / name, name))
        for name in ("usersvc", "keysvc")
    }
    certificates = {
        "gateway": authority.issue(tmp_path / "gateway", "gateway"),
        "billing": authority.issue(tmp_path / "billing", "billing"),
        "other authority": stranger.issue(tmp_path / "stranger", "gateway"),
    }
    with services(users_url, keys_url, tls=tls) as (usersvc, keysvc):

        def settings(name: str, host: str = "localhost") -> dict[str, str]:
            targets = [f"{host}:{each.address.rpartition(':')[2]}" for each in (usersvc, keysvc)]
            return gateway_settings(*targets) | tls_settings("gateway", certificates[name])

        with running("gateway", settings("gateway")) as gateway:
            wait_until(lambda: gateway.status("/readyz") == 200)
        other_name = refusal(settings("billing"))
        other_authority = refusal(settings("other authority"))
        other_host = refusal(settings("gateway", "127.0.0.1"))

    assert "does not admit this gateway" in other_name
    assert "GATEWAY_TLS_CERTIFICATE needs the DNS name `gateway`" in other_name
    assert "has a certificate of another authority or another name" in other_authority
    assert "has a certificate of another authority or another name" in other_host


def test_gateway_waits_for_services_and_serves_pages_meanwhile(users_url: str, keys_url: str):
    settings = service_settings("usersvc", users_url)
    with running("usersvc", settings, "serve") as usersvc:
        usersvc.wait_for("health", ready=True)
        port = usersvc.address
    with running("gateway", gateway_settings(port, UNREACHABLE)) as gateway:
        gateway.wait_for("listening")
        statuses = [gateway.status(path) for path in ("/healthz", "/readyz", "/login")]
        scim, headers, _ = gateway.get(
            f"{TENANT_PATH}/Users", {"Authorization": f"Bearer us_{'0' * 40}"}
        )
        assert gateway.process.poll() is None

    assert statuses == [200, 503, 200]
    assert scim in (401, 503)
    assert scim == 401 or int(headers["Retry-After"]) > 0
