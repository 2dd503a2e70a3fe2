"""Every container of production's manifests runs without a cluster, behind Envoy."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.image.pods import Region, client, eventually, running_region, tenant_url
from tests.support.image.shared import Image
from tests.support.k8s.alerts import family, metrics_in_use
from tests.support.k8s.manifests import REGIONS, SERVICES
from tests.support.k8s.tools import ROOT
from tests.support.postgres import temporary_postgres

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def region(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Region]:
    """Production's US region."""
    folder: Path = tmp_path_factory.mktemp("region")
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(0o755)  # other users must be able to read it
    with (
        temporary_postgres() as postgres,
        running_region(
            "us",
            namespace=REGIONS["us"],
            store=image.store,
            image=image.name,
            folder=folder,
            postgres=postgres,
        ) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def token(region: Region) -> str:
    """The token of a first organization, created as in docs/entra.md."""
    keysvc = ("python3", "-m", "keysvc")
    created = region.execute("keysvc", *keysvc, "create-organization", "--display-name", "Acme")
    organization = created["organization"]["id"]
    region.organization = organization
    region.execute("keysvc", *keysvc, "activate-integration", organization)
    key = region.execute("keysvc", *keysvc, "generate-key", organization, "--created-by", "me")
    return str(key["token"])


def test_migration_job_can_run_again_beside_the_running_release(region: Region):
    jobs = [region.run_job(f"{name}-migrate") for name in ("usersvc", "keysvc")]

    assert [job.returncode for job in jobs] == [0, 0]
    assert "000" not in "".join(job.stdout for job in jobs)  # no migration was pending
    assert region.probe("usersvc", "readinessProbe") == 200


def test_entra_provisions_people_through_edge(region: Region, token: str):
    url = tenant_url(region)
    assert url == "https://cloudacademy.com/webhooks/ad/v1/scim"
    python = str(ROOT / ".venv/bin/python")

    result = client(
        *(region, python, "-m", "tools.entra", "--people", "20", "--json"),
        TENANT_URL=url,
        SECRET_TOKEN=token,
        PYTHONPATH=f"{ROOT}:{ROOT / 'build'}",
    )

    assert result.returncode == 0, result.stdout + result.stderr
    for name in SERVICES:
        assert token not in region.log(name)
    assert token not in (region.folder / "access.log").read_text()


def test_key_use_records_address_of_client_not_of_edge(region: Region, token: str):
    client(
        region, "curl", "--header", f"Authorization: Bearer {token}", f"{tenant_url(region)}/Users"
    )
    keysvc = ("python3", "-m", "keysvc")
    organization = region.organization

    def last_used_address() -> str:
        (key,) = region.execute("keysvc", *keysvc, "list-keys", organization)["keys"]
        return str(key.get("last_used_address", ""))

    eventually(lambda: last_used_address() != "", last_used_address)
    assert last_used_address() == region.hosts.address


def test_pods_expose_every_metric_of_alerts_and_dashboard(region: Region, token: str):
    found = {
        match[1]
        for name in SERVICES
        for match in re.finditer(
            r"^# TYPE (\w+) ", region.get(name, 9090, "/metrics")[1], re.MULTILINE
        )
    }

    assert {name for name in metrics_in_use() if family(name) not in found} == set()


def test_every_log_line_of_a_pod_is_a_json_object(region: Region, token: str):
    for name in SERVICES:
        lines = region.log(name).splitlines()
        assert lines
        assert {type(json.loads(line)) for line in lines} == {dict}


def test_gateway_without_services_stays_ready_and_alive(region: Region, token: str):
    stopped = [region.stop(name) for name in ("usersvc", "keysvc")]

    assert [code for code, _ in stopped] == [0, 0]
    assert max(took for _, took in stopped) < 20
    # Otherwise an outage of all services would take the edge out of service.
    assert region.probe("gateway", "readinessProbe") == 200
    assert region.probe("gateway", "livenessProbe") == 200
    code, took = region.stop("gateway")
    assert (code, took < 20) == (0, True)
