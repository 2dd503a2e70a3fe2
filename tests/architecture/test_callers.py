"""Every method of every service declares the callers that it admits."""

from importlib import import_module
from pathlib import Path

import pytest

from keysvc.rpc.authorization import CALLERS as KEYSVC
from usersvc.rpc.authorization import CALLERS as USERSVC

PROTOS = Path(__file__).parents[2] / "protos"
WRITES = ("Create", "Update", "Delete", "Activate", "Deactivate", "Generate", "Revoke")


def methods(package: str) -> set[tuple[str, str]]:
    """The services and methods of a package's contract."""
    files = sorted((PROTOS / package).glob("*.proto"))
    modules = [import_module(f"{package.replace('/', '.')}.{file.stem}_pb2") for file in files]
    return {
        (service.full_name, method.name)
        for module in modules
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


@pytest.mark.parametrize(
    ("packages", "callers"),
    [
        (("cloudacademy/users/v1", "cloudacademy/batch/v1", "cloudacademy/peers/v1"), USERSVC),
        (("cloudacademy/keys/v1", "cloudacademy/peers/v1"), KEYSVC),
    ],
)
def test_each_method_admits_at_least_one_caller(packages, callers):
    listed = {(service, method) for service, table in callers.items() for method in table}
    assert listed == {method for package in packages for method in methods(package)}
    assert all(names for table in callers.values() for names in table.values())


def test_only_gateway_and_operator_may_change_data():
    tables = [*USERSVC.values(), *KEYSVC.values()]
    writers = {
        name
        for table in tables
        for method, names in table.items()
        if method.startswith(WRITES)
        for name in names
    }
    assert writers == {"gateway", "operator"}


def test_only_gateway_authenticates_and_writes_users_and_groups():
    keys = KEYSVC["cloudacademy.keys.v1.KeyService"]
    written = {
        method: names
        for name in ("UserService", "GroupService")
        for method, names in USERSVC[f"cloudacademy.users.v1.{name}"].items()
        if method.startswith(WRITES)
    }
    gateway_only = {"Authenticate": keys["Authenticate"], "WatchKeys": keys["WatchKeys"]} | written
    gateway_only["WatchSchemas"] = USERSVC["cloudacademy.users.v1.SchemaService"]["WatchSchemas"]
    assert {method: {"gateway"} for method in gateway_only} == gateway_only
