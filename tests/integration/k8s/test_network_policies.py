"""The connections that the network policies permit."""

import pytest

from tests.support.k8s.manifests import OVERLAYS, namespaces
from tests.support.k8s.network import Port, permitted_connections


def expected(namespace: str) -> set[tuple[str, str, Port]]:
    """All intended connections of a region."""
    clients = ("gateway", "usersvc", "keysvc", "usersvc-migrate", "keysvc-migrate")
    databases = ("users", "keys", "users-pooler", "keys-pooler")
    return {
        (source, target, ("TCP", port)) for source, target, port in _tcp_connections(namespace)
    } | {
        (f"{namespace}/{name}", "kube-system/dns", (protocol, 53))
        for name in clients + databases
        for protocol in ("UDP", "TCP")
    }


def _tcp_connections(namespace: str) -> set[tuple[str, str, int]]:

    def inside(name: str) -> str:
        return f"{namespace}/{name}"

    connections = {
        (f"envoy-gateway-system/edge of {namespace}", inside("gateway"), 8080),
        (inside("gateway"), inside("usersvc"), 50051),
        (inside("gateway"), inside("keysvc"), 50052),
    }
    for service, database in (("usersvc", "users"), ("keysvc", "keys")):
        instances = (inside(database), inside(f"{database}-pooler"))
        for target in instances:
            connections |= {
                (inside(source), target, 5432)
                for source in (
                    service,
                    f"{service}-migrate",
                    *(instance.split("/")[1] for instance in instances),
                )
            }
            connections |= {("cnpg-system/operator", target, 5432)}
        connections |= {
            (source, inside(database), 8000) for source in (*instances, "cnpg-system/operator")
        }
        connections |= {
            ("monitoring/prometheus", inside(database), 9187),
            ("monitoring/prometheus", inside(f"{database}-pooler"), 9127),
        }
        connections.add(("monitoring/prometheus", inside(service), 9090))
        # The Kubernetes API and the backup's object storage.
        connections |= {
            (instance, "outside/internet", port) for instance in instances for port in (443, 6443)
        }
    connections.add(("monitoring/prometheus", inside("gateway"), 9090))
    # Customers' hosts and the region's mail server.
    connections |= {(inside("gateway"), "outside/internet", port) for port in (443, 587)}
    return connections


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_policies_permit_exactly_expected_connections(overlay):
    regions = namespaces(overlay)

    found = {
        edge
        for edge in permitted_connections(overlay)
        if any(end.startswith(tuple(regions)) for end in edge[:2])
    }

    assert found == set().union(*(expected(namespace) for namespace in regions))


def test_regions_in_one_cluster_cannot_reach_each_other():
    us, eu = "cloudacademy-us", "cloudacademy-eu"
    assert {us, eu} == set(namespaces("kind"))

    for source, target, port in permitted_connections("kind"):
        assert (source.split("/")[0], target.split("/")[0]) not in {(us, eu), (eu, us)}, port
        assert (source.endswith(us), target.startswith(eu)) != (True, True), port
        assert (source.endswith(eu), target.startswith(us)) != (True, True), port
