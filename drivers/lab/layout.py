"""Where everything of a lab is and what it is called: pure, so that targets and shells can ask without a lab.

The one thing to know: two labs may live on one machine. The state directory decides which lab is meant
(VIRTMARK_STATE, else /var/lib/virtmark), and every name outside it (network namespaces, cgroups) is derived from
it. Addresses need no such care: a lab's network is joined to no other.

    <state>/lab/state.json              what stands (drivers.lab.state)
    <state>/lab/image -> <cache>/...    the guest image in use: base.qcow2 vmlinuz initrd.img id_ed25519 manifest.json
    <state>/lab/shared/                 one storage at one path on every host and on the controller
    <state>/lab/private/                on a host: storage of its own, which is <state>/lab/<host>/private outside
    <state>/lab/<host>/run/             sockets of its libvirtd, reachable from the controller
    <state>/lab/<host>/podman.sock      the container service (on hosts that have one)
    <state>/lab/<host>/tools/           on a host: the guest's own root file system, to run the guest's binaries
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InputError, LabError

STATE, CACHE = Path("/var/lib/virtmark"), Path("/var/cache/virtmark")
NETWORK = ipaddress.IPv4Network("10.77.0.0/24")
GUESTS = range(10, 100)         # last parts of addresses for virtual machines and lxc containers
CLIENT_ADDRESS = "10.77.0.100"
CONTAINERS = range(200, 250)    # last parts of addresses that podman gives out on its network CONTAINER_NETWORK
BRIDGE = "br0"                  # on every host; the guests' interfaces go here
CONTAINER_NETWORK = "lab"       # name of podman's network on that bridge
CONTAINER_IMAGE = "localhost/virtmark-guest:latest"
CLIENT, SWITCH = "client", "sw"
SCRATCH = "/scratch"            # in guests, containers and the tools root: where disk workloads write
MIGRATION_PORT = 16509
# A guest's kernel command line, before virtmark.ip= and so on. Without no_timer_check an emulated guest on a busy
# machine may find its timer dead at boot and panic.
GUEST_CMDLINE = "console=ttyS0 quiet mitigations=off no_timer_check"
SOCKET_LIMIT = 107              # bytes in a unix socket's path
USERSPACE = "VIRTMARK_USERSPACE"    # what a guest's initial ram disk prints first
READY = "VIRTMARK_READY"        # what a guest prints on its console when sshd and the agent run


@dataclass(frozen=True)
class Stack:
    """A Debian release and the lab hosts that run on it."""

    suite: str
    hosts: tuple[str, ...]
    containers: str = ""


STACKS = {
    "bookworm": Stack("bookworm", ("hA", "hB"), containers="hA"),
    "trixie": Stack("trixie", ("hC", "hD")),
}
HOSTS = tuple(host for stack in STACKS.values() for host in stack.hosts)


@dataclass(frozen=True)
class Layout:
    """The paths and names of one lab."""

    state: Path = STATE
    cache: Path = CACHE

    @classmethod
    def current(cls) -> Layout:
        """Return the lab that the environment means (VIRTMARK_STATE, VIRTMARK_CACHE)."""
        return cls(Path(os.environ.get("VIRTMARK_STATE") or STATE).absolute(),
                   Path(os.environ.get("VIRTMARK_CACHE") or CACHE).absolute())

    @property
    def prefix(self) -> str:
        """Return how every name begins: "virtmark-", with a mark of the state directory where it is not the usual."""
        if self.state == STATE:
            return "virtmark-"
        return f"virtmark-{hashlib.sha256(str(self.state).encode()).hexdigest()[:4]}-"

    def called(self, machine: str) -> str:
        """Return the name of a machine's network namespace and cgroup."""
        return self.prefix + machine

    @property
    def root(self) -> Path:
        return self.state / "lab"

    @property
    def lock(self) -> Path:
        return self.state / "lab.lock"

    @property
    def state_file(self) -> Path:
        return self.root / "state.json"

    @property
    def image(self) -> Path:
        """Return the guest image in use: base.qcow2, vmlinuz, initrd.img, id_ed25519, known_hosts, manifest.json."""
        return self.root / "image"

    @property
    def shared(self) -> Path:
        return self.root / "shared"

    @property
    def private(self) -> Path:
        """Return the path of a host's private storage as that host sees it."""
        return self.root / "private"

    def of(self, machine: str) -> Path:
        """Return the folder of one machine."""
        return self.root / machine

    def tools(self, machine: str) -> Path:
        """Return where a machine has the guest's root file system mounted (visible inside that machine only)."""
        return self.of(machine) / "tools"

    def scratch(self, machine: str) -> Path:
        """Return the storage behind SCRATCH in a machine's tools root: same file system as the guests' disks."""
        return self.of(machine) / "scratch"

    def libvirt_socket(self, host: str) -> Path:
        """Return the unix socket of a host's libvirtd."""
        return self.of(host) / "run" / "libvirt-sock"

    def libvirt_uri(self, host: str, driver: str = "qemu") -> str:
        """Return a connection URI that works outside the host's namespaces; `driver` is qemu or lxc."""
        return f"{driver}+unix:///system?socket={self.libvirt_socket(host)}"

    def migration_uri(self, host: str) -> str:
        """Return the URI by which another host's libvirtd reaches this one."""
        return f"qemu+tcp://{address(host)}:{MIGRATION_PORT}/system"

    def podman_socket(self, host: str) -> Path:
        """Return the unix socket of a host's container service."""
        return self.of(host) / "podman.sock"

    def checked(self) -> Layout:
        """Return self, or raise LabError for a path that mounts cannot carry, or that is too long for sockets."""
        for path in (self.state, self.cache):
            if odd := set(re.findall(r"[^\w./+-]", str(path))):
                wrong = " ".join(sorted(map(repr, odd)))
                raise LabError(f"{path}: {wrong} in the path of a lab; allowed: letters, digits, . / + - _")
        longest = max(len(os.fsencode(self.of(host) / "run" / "libvirt-admin-sock")) for host in HOSTS)
        if longest > SOCKET_LIMIT:
            room = len(str(self.state)) - (longest - SOCKET_LIMIT)
            raise LabError(f"{self.state}: too long for sockets below it; set VIRTMARK_STATE to at most {room} bytes")
        return self


def address(machine: str) -> str:
    """Return the address of a host or of the client on the lab's network."""
    if machine == CLIENT:
        return CLIENT_ADDRESS
    return str(NETWORK[1 + HOSTS.index(machine)])


def guest_address(index: int) -> str:
    """Return the address of the index-th guest (0-based); there is room for len(GUESTS)."""
    return str(NETWORK[GUESTS[index]])


def guest_mac(ip: str) -> str:
    """Return the hardware address that belongs to a lab address, so that no two guests share one."""
    return "52:54:00:" + ":".join(f"{part:02x}" for part in ipaddress.IPv4Address(ip).packed[1:])


def stack_of(machine: str) -> Stack:
    """Return the stack that a host runs on."""
    return next(stack for stack in STACKS.values() if machine in stack.hosts)


def has_containers(machine: str) -> bool:
    """Say whether a machine is the one that serves containers in its stack."""
    return any(stack.containers == machine for stack in STACKS.values())


def find_machine(name: str) -> str:
    """Return `name` if a lab can have such a machine; InputError lists those there are."""
    if name in (*HOSTS, CLIENT):
        return name
    raise InputError(f"lab:{name}: no such machine; there are: {', '.join((*HOSTS, CLIENT))}")
