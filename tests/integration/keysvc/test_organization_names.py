"""The gateway's cache of organizations' names, with a real keysvc."""

from uuid import uuid4

from gateway.backend import organization_names
from gateway.backend.organization_names import KEEP_SECONDS, RETRY_SECONDS, OrganizationNames
from tests.support.clocks import Clock
from tests.support.keysvc.replicas import Replica


async def test_name_is_read_once_and_kept_while_keysvc_is_away(keysvc: Replica):
    clock = Clock()
    names = OrganizationNames(keysvc.organizations, clock)
    acme = await keysvc.create("Acme")
    first = await names.find(acme, "r1")
    calls = keysvc.logged("call")
    again = await names.find(acme, "r2")
    assert (first, again, keysvc.logged("call")) == ("Acme", "Acme", calls)

    keysvc.stop.set()
    await keysvc.task
    clock.seconds += KEEP_SECONDS + 1
    assert await names.find(acme, "r3") == "Acme"


async def test_unknown_organization_has_no_name_and_is_asked_for_again_later(keysvc: Replica):
    clock = Clock()
    names = OrganizationNames(keysvc.organizations, clock)
    unknown = str(uuid4())
    assert await names.find(unknown, "r1") == ""
    calls = keysvc.logged("call")
    assert (await names.find(unknown, "r2"), keysvc.logged("call")) == ("", calls)
    clock.seconds += RETRY_SECONDS + 1
    await names.find(unknown, "r3")
    assert keysvc.logged("call") == calls + 1


async def test_number_of_names_is_bounded(keysvc: Replica, monkeypatch):
    monkeypatch.setattr(organization_names, "MAX_NAMES", 2)
    names = OrganizationNames(keysvc.organizations, Clock())
    created = [await keysvc.create(f"Organization {number}") for number in range(3)]
    for organization_id in created:
        await names.find(organization_id, "r1")
    assert list(names._names) == created[1:]
