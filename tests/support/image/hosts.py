"""Simulated hosts: network namespaces on one isolated bridge."""

import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.image.images import output

NET = "10.89.0"


@dataclass
class Hosts:
    """A bridge with its own address, and the addresses of its hosts by name."""

    node: str
    addresses: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The address of the bridge."""
        return f"{NET}.1"

    def namespace(self, name: str) -> str:
        return f"{self.node}-{name}"

    def add(self, name: str) -> str:
        """Add a host; returns its address."""
        number = len(self.addresses) + 2
        address, namespace, link = f"{NET}.{number}", self.namespace(name), f"veth{number}"
        output(["ip", "netns", "add", namespace])
        self.addresses[name] = address
        peer = ("peer", "name", "eth0", "netns", namespace)
        output(["ip", "-n", self.node, "link", "add", link, "type", "veth", *peer])
        output(["ip", "-n", self.node, "link", "set", link, "master", "br0", "up"])
        output(["ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0"])
        for device in ("lo", "eth0"):
            output(["ip", "-n", namespace, "link", "set", device, "up"])
        return address

    def node_command(self, *command: str) -> list[str]:
        """The command line that runs a program in the bridge's namespace."""
        return ["ip", "netns", "exec", self.node, *command]

    def command_with_names(self, names: dict[str, str], command: Sequence[str]) -> list[str]:
        """A command line whose program alone sees these names in its /etc/hosts."""
        lines = "".join(f"{address} {name}\\n" for name, address in names.items())
        script = f'f=$(mktemp) && printf "{lines}" > "$f" && mount --bind "$f" /etc/hosts'
        return self.node_command("sh", "-c", f'{script} && rm "$f" && exec "$@"', "sh", *command)


@contextmanager
def hosts() -> Iterator[Hosts]:
    """Create a bridge; it is deleted at the end."""
    node = f"c{secrets.token_hex(3)}"
    output(["ip", "netns", "add", node])
    hosts_ = Hosts(node)
    try:
        output(["ip", "-n", node, "link", "add", "br0", "type", "bridge"])
        output(["ip", "-n", node, "addr", "add", f"{hosts_.address}/24", "dev", "br0"])
        for device in ("lo", "br0"):
            output(["ip", "-n", node, "link", "set", device, "up"])
        yield hosts_
    finally:
        for name in hosts_.addresses:
            subprocess.run(["ip", "netns", "del", hosts_.namespace(name)], check=False)
        output(["ip", "netns", "del", node])
