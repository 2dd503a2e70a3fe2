"""The order of operations, and the reading of a region's address."""

from pathlib import Path

import pytest

from tools.benchmarks.against.region import Address, read_address
from tools.benchmarks.against.workload import OPERATIONS, UNDOES, with_counterparts


@pytest.mark.parametrize(
    ("measured", "needed"),
    [
        (["get"], ["get"]),
        (["delete"], ["create", "delete"]),
        (["member-add", "list"], ["list", "member-add", "member-remove"]),
        (OPERATIONS, list(OPERATIONS)),
    ],
)
def test_operations_run_with_their_counterparts(measured: list[str], needed: list[str]):
    assert with_counterparts(measured) == needed


def test_undoing_operation_follows_the_undone_one():
    for undoing, undone in UNDOES.items():
        assert OPERATIONS.index(undoing) > OPERATIONS.index(undone)


def test_address_is_read_only_from_complete_file(tmp_path: Path):
    file = tmp_path / "us.env"
    assert read_address(file) is None

    file.write_text("TENANT_URL=http://127.0.0.1:8080/scim\n")
    assert read_address(file) is None

    file.write_text("TENANT_URL=http://127.0.0.1:8080/scim\nSECRET_TOKEN=a=b\n")
    assert read_address(file) == Address("127.0.0.1", 8080, "/scim", "a=b")
