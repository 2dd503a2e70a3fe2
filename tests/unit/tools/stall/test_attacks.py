"""The attacks on each route, with and without credentials."""

import pytest

from gateway.api.app import PREFIX
from gateway.openapi.page import PATH as OPENAPI
from gateway.portal.views import sso
from gateway.sso.provider import ACS_PATH
from tools.stall.attacks import attacks
from tools.stall.parties import Attacker
from tools.stall.routes import Kind, Route, all_routes

ATTACKER = Attacker(
    organization_id="o",
    token="t",
    user_ids=["u"],
    group_id="g",
    session="s",
    form="f",
    form_cookie="c",
    link_form="l",
    pending="p",
)
SSO = Route(Kind.PAGE, "POST", sso.SSO)


def test_all_routes_cover_every_part_of_gateway():
    known = {(route.method, route.path) for route in all_routes()}
    assert known >= {
        ("PATCH", f"{PREFIX}/Groups/{{id}}"),
        ("POST", f"{PREFIX}/Bulk"),
        ("GET", f"{PREFIX}/ServiceProviderConfig"),
        ("GET", "/healthz"),
        ("GET", OPENAPI),
        ("POST", ACS_PATH),
        ("POST", sso.SSO),
        ("GET", "/dashboard/{rest}"),
    }


@pytest.mark.parametrize("route", all_routes(), ids=str)
def test_route_is_attacked_with_and_without_key(route: Route):
    found = list(attacks(route, ATTACKER))
    assert {attack.has_key for attack in found} == {True, False}
    for attack in found:
        request = attack.make(attack.sizes[0])
        assert request.method == route.method
        assert "{" not in request.target.partition("?")[0]


def test_forms_have_token_unless_they_would_end_session():
    harmful = Route(Kind.PAGE, "POST", f"{sso.SSO}deactivate")
    bodies = {
        route: [attack.make(4_096).body for attack in attacks(route, ATTACKER) if attack.has_key]
        for route in (SSO, harmful)
    }
    assert any(body.startswith(b"form_token=f&") for body in bodies[SSO])
    assert not any(b"form_token" in body for body in bodies[harmful])


@pytest.mark.parametrize("route", all_routes(), ids=str)
def test_attack_stays_within_limit_of_attacked_code(route: Route):
    """Input beyond a limit is rejected by its length, so it would not reach the attacked code."""
    for attack in attacks(route, ATTACKER):
        if attack.limit < 64 * 1024:  # larger ones are slow to build
            request = attack.make(attack.limit)
            assert len(request.target) <= 32 * 1024
            assert all(len(value) <= 8_190 for _, value in request.headers)
            assert len(request.headers) <= 95
