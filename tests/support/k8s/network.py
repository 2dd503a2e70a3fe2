"""Evaluates NetworkPolicies: which pods can connect to which."""

from dataclasses import dataclass, field

from tests.support.k8s.manifests import Manifest, namespaces, of_kind, pod, selects, workloads

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
    return [one for name in namespaces(overlay) for one in _of_region(overlay, name)] + _OTHERS


def _of_region(overlay: str, namespace: str) -> list[Pod]:
    own = [
        Pod(
            one["metadata"]["name"],
            namespace,
            pod(one)["metadata"]["labels"],
            tuple(
                _port(port, "containerPort")
                for port in pod(one)["spec"]["containers"][0].get("ports", ())
            ),
        )
        for one in workloads(overlay, namespace)
    ]
    # The labels that CloudNativePG and Envoy Gateway give to what they make.
    databases = [
        Pod(name, namespace, {"cnpg.io/cluster": name}, tcp(5432, 8000, 9187))
        for name in (one["metadata"]["name"] for one in of_kind(overlay, "Cluster", namespace))
    ]
    poolers = [
        Pod(
            one["metadata"]["name"],
            namespace,
            {"cnpg.io/cluster": one["spec"]["cluster"]["name"]},
            tcp(5432, 9127),
        )
        for one in of_kind(overlay, "Pooler", namespace)
    ]
    edges = [
        Pod(
            f"edge of {namespace}",
            "envoy-gateway-system",
            {
                "gateway.envoyproxy.io/owning-gateway-name": one["metadata"]["name"],
                "gateway.envoyproxy.io/owning-gateway-namespace": namespace,
            },
        )
        for one in of_kind(overlay, "Gateway", namespace)
    ]
    return own + databases + poolers + edges


def _port(entry: Manifest, number: str) -> Port:
    return entry.get("protocol", "TCP"), entry[number]


INTERNET = Pod("internet", "outside", {}, tcp(443, 6443))
"""Targets outside the pod network: object storage and the API server."""

_OTHERS = [
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

    def admits(self, source: Pod, target: Pod, port: Port) -> bool:
        """Whether the source's egress and the target's ingress policies permit a connection."""
        return self._lets(source, target, port, "egress") and self._lets(
            target, source, port, "ingress"
        )

    def _lets(self, own: Pod, peer: Pod, port: Port, direction: str) -> bool:
        about = [policy["spec"] for policy in self.policies if _is_about(policy, own, direction)]
        return not about or any(
            _rule_lets(rule, own, peer, port, direction)
            for spec in about
            for rule in spec.get(direction, ())
        )


def _is_about(policy: Manifest, own: Pod, direction: str) -> bool:
    return (
        policy["metadata"]["namespace"] == own.namespace
        and direction.capitalize() in policy["spec"]["policyTypes"]
        and selects(policy["spec"]["podSelector"], own.labels)
    )


def _rule_lets(rule: Manifest, own: Pod, peer: Pod, port: Port, direction: str) -> bool:
    peers = rule.get("to" if direction == "egress" else "from")
    ports = rule.get("ports")
    return (peers is None or any(_is_peer(one, own, peer) for one in peers)) and (
        ports is None or any(_port(one, "port") == port for one in ports)
    )


def _is_peer(entry: Manifest, own: Pod, peer: Pod) -> bool:
    if "ipBlock" in entry:  # a pod has an address, too
        return True
    if peer == INTERNET:
        return False
    if "namespaceSelector" in entry:
        named = {"kubernetes.io/metadata.name": peer.namespace}
        if not selects(entry["namespaceSelector"], named):
            return False
    elif peer.namespace != own.namespace:
        return False
    return selects(entry.get("podSelector", {}), peer.labels)


def graph(overlay: str) -> set[tuple[str, str, Port]]:
    """All permitted connections, as (from, to, port)."""
    network = Network(tuple(of_kind(overlay, "NetworkPolicy")))
    everybody = pods(overlay)
    return {
        (str(source), str(target), port)
        for source in everybody
        for target in everybody
        for port in {*target.ports, *tcp(22)}
        if network.admits(source, target, port)
    }
