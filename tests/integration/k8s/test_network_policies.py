"""The connections that the network policies permit."""

import pytest

from tests.support.k8s.manifests import OVERLAYS, namespaces
from tests.support.k8s.network import Port, graph


def expected(namespace: str) -> set[tuple[str, str, Port]]:
    """All intended connections of a region."""
    asking = ("gateway", "usersvc", "keysvc", "usersvc-migrate", "keysvc-migrate")
    databases = ("users", "keys", "users-pooler", "keys-pooler")
    return {(source, target, ("TCP", port)) for source, target, port in _by_tcp(namespace)} | {
        (f"{namespace}/{name}", "kube-system/dns", (protocol, 53))
        for name in asking + databases
        for protocol in ("UDP", "TCP")
    }


def _by_tcp(namespace: str) -> set[tuple[str, str, int]]:

    def inside(name: str) -> str:
        return f"{namespace}/{name}"

    wanted = {
        (f"envoy-gateway-system/edge of {namespace}", inside("gateway"), 8080),
        (inside("gateway"), inside("usersvc"), 50051),
        (inside("gateway"), inside("keysvc"), 50052),
    }
    for service, database in (("usersvc", "users"), ("keysvc", "keys")):
        cluster = (inside(database), inside(f"{database}-pooler"))
        for target in cluster:
            wanted |= {
                (inside(source), target, 5432)
                for source in (
                    service,
                    f"{service}-migrate",
                    *(one.split("/")[1] for one in cluster),
                )
            }
            wanted |= {("cnpg-system/operator", target, 5432)}
        wanted |= {
            (source, inside(database), 8000) for source in (*cluster, "cnpg-system/operator")
        }
        wanted |= {
            ("monitoring/prometheus", inside(database), 9187),
            ("monitoring/prometheus", inside(f"{database}-pooler"), 9127),
        }
        wanted.add(("monitoring/prometheus", inside(service), 9090))
        # The Kubernetes API and the backup's object storage.
        wanted |= {(one, "outside/internet", port) for one in cluster for port in (443, 6443)}
    wanted.add(("monitoring/prometheus", inside("gateway"), 9090))
    return wanted


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_policies_permit_exactly_expected_connections(overlay):
    regions = namespaces(overlay)

    found = {
        edge for edge in graph(overlay) if any(end.startswith(tuple(regions)) for end in edge[:2])
    }

    assert found == set().union(*(expected(namespace) for namespace in regions))


def test_regions_in_one_cluster_cannot_reach_each_other():
    us, eu = "cloudacademy-us", "cloudacademy-eu"
    assert {us, eu} == set(namespaces("kind"))

    for source, target, port in graph("kind"):
        assert (source.split("/")[0], target.split("/")[0]) not in {(us, eu), (eu, us)}, port
        assert (source.endswith(us), target.startswith(eu)) != (True, True), port
        assert (source.endswith(eu), target.startswith(us)) != (True, True), port
