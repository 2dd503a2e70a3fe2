"""Evaluates NetworkPolicies: which pods can connect to which."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network

from tests.support.k8s.manifests import Manifest, namespaces, of_kind, pod, selects, workloads

IpNetwork = IPv4Network | IPv6Network
Port = tuple[str, int]
"""A protocol and a port number."""


def tcp(*numbers: int) -> tuple[Port, ...]:
    """TCP ports."""
    return tuple(("TCP", number) for number in numbers)


@dataclass(frozen=True)
class Pod:
    """The properties of a pod that policies select by."""

    name: str
    namespace: str
    labels: dict[str, str] = field(hash=False)
    ports: tuple[Port, ...] = ()

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def pods(overlay: str) -> list[Pod]:
    """The pods of every region of an overlay, and those of operators and other namespaces."""
    return [
        each for name in namespaces(overlay) for each in _of_region(overlay, name)
    ] + _OTHER_PODS


def _of_region(overlay: str, namespace: str) -> list[Pod]:
    own = [
        Pod(
            each["metadata"]["name"],
            namespace,
            pod(each)["metadata"]["labels"],
            tuple(
                _port(port, "containerPort")
                for port in pod(each)["spec"]["containers"][0].get("ports", ())
            ),
        )
        for each in workloads(overlay, namespace)
    ]
    # The labels that CloudNativePG and Envoy Gateway give to the pods that they create.
    databases = [
        Pod(name, namespace, {"cnpg.io/cluster": name}, tcp(5432, 8000, 9187))
        for name in (each["metadata"]["name"] for each in of_kind(overlay, "Cluster", namespace))
    ]
    poolers = [
        Pod(
            each["metadata"]["name"],
            namespace,
            {"cnpg.io/cluster": each["spec"]["cluster"]["name"]},
            tcp(5432, 9127),
        )
        for each in of_kind(overlay, "Pooler", namespace)
    ]
    edges = [
        Pod(
            f"edge of {namespace}",
            "envoy-gateway-system",
            {
                "gateway.envoyproxy.io/owning-gateway-name": each["metadata"]["name"],
                "gateway.envoyproxy.io/owning-gateway-namespace": namespace,
            },
        )
        for each in of_kind(overlay, "Gateway", namespace)
    ]
    return own + databases + poolers + edges


def _port(entry: Manifest, number_field: str) -> Port:
    return entry.get("protocol", "TCP"), entry[number_field]


POD_NETWORKS = tuple(
    map(ip_network, ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
)
"""The address ranges that clusters use for pods and services."""
INTERNET = Pod("internet", "outside", {}, tcp(443, 587, 6443))
"""Targets outside the pod network: object storage, the API server, customers' hosts, the mail
server."""

_OTHER_PODS = [
    INTERNET,
    Pod("dns", "kube-system", {"k8s-app": "kube-dns"}, (("UDP", 53), ("TCP", 53))),
    Pod("prometheus", "monitoring", {"app": "prometheus"}),
    Pod("operator", "cnpg-system", {"app": "cloudnative-pg"}),
    Pod("anybody", "default", {"app.kubernetes.io/component": "gateway"}, tcp(8080)),
]


@dataclass(frozen=True)
class Network:
    """The policies of all namespaces together."""

    policies: tuple[Manifest, ...]

    def permits(self, source: Pod, target: Pod, port: Port) -> bool:
        """Whether egress policies of the source and ingress policies of the target permit it."""
        return self._permits(source, target, port, "egress") and self._permits(
            target, source, port, "ingress"
        )

    def _permits(self, own: Pod, peer: Pod, port: Port, direction: str) -> bool:
        applicable = [
            policy["spec"] for policy in self.policies if _applies_to(policy, own, direction)
        ]
        return not applicable or any(
            _rule_permits(rule, own, peer, port, direction)
            for spec in applicable
            for rule in spec.get(direction, ())
        )


def _applies_to(policy: Manifest, own: Pod, direction: str) -> bool:
    return (
        policy["metadata"]["namespace"] == own.namespace
        and direction.capitalize() in policy["spec"]["policyTypes"]
        and selects(policy["spec"]["podSelector"], own.labels)
    )


def _rule_permits(rule: Manifest, own: Pod, peer: Pod, port: Port, direction: str) -> bool:
    peers = rule.get("to" if direction == "egress" else "from")
    ports = rule.get("ports")
    return (peers is None or any(_is_peer(each, own, peer) for each in peers)) and (
        ports is None or any(_port(each, "port") == port for each in ports)
    )


def _is_peer(entry: Manifest, own: Pod, peer: Pod) -> bool:
    if "ipBlock" in entry:  # pods have IP addresses, too
        return peer == INTERNET or _contains_a_pod(entry["ipBlock"])
    if peer == INTERNET:
        return False
    if "namespaceSelector" in entry:
        named = {"kubernetes.io/metadata.name": peer.namespace}
        if not selects(entry["namespaceSelector"], named):
            return False
    elif peer.namespace != own.namespace:
        return False
    return selects(entry.get("podSelector", {}), peer.labels)


def _contains_a_pod(block: Manifest) -> bool:
    """Whether a block contains an address of one of the ranges that pods have."""
    blocks = [ip_network(block["cidr"])]
    for excluded in map(ip_network, block.get("except", ())):
        blocks = [rest for each in blocks for rest in _without(each, excluded)]
    return any(each.overlaps(pods) for each in blocks for pods in POD_NETWORKS)


def _without(network: IpNetwork, excluded: IpNetwork) -> Iterable[IpNetwork]:
    if not isinstance(excluded, type(network)) or not network.overlaps(excluded):
        return [network]
    if network.subnet_of(excluded):  # type: ignore[arg-type]
        return []
    return network.address_exclude(excluded)  # type: ignore[arg-type]


def permitted_connections(overlay: str) -> set[tuple[str, str, Port]]:
    """All permitted connections, as (from, to, port)."""
    network = Network(tuple(of_kind(overlay, "NetworkPolicy")))
    all_pods = pods(overlay)
    return {
        (str(source), str(target), port)
        for source in all_pods
        for target in all_pods
        for port in {*target.ports, *tcp(22)}
        if network.permits(source, target, port)
    }
