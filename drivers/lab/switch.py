"""The lab's network: a namespace with a bridge in it, and one cable to each machine.

The one thing to know: no interface ever lies in this machine's own network namespace, so the lab's addresses clash
with nothing here. A namespace of ours bears our mark (the alias of its loopback), so that one of the same name that
somebody else made is never touched.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from drivers.lab.command import call
from drivers.lab.layout import BRIDGE, NETWORK, SWITCH, Layout, address, guest_mac
from harness.errors import LabError

NAMES = Path("/run/netns")
UPLINK = "up0"
FABRIC = "fabric"
# $1 mark, $2 name: the namespace gets its name last, so that there is none without a mark
_NEW = """
ip link set lo alias "$1"
ip link set lo up
for file in all default; do
  [ ! -e /proc/sys/net/ipv6/conf/$file/disable_ipv6 ] || echo 1 > /proc/sys/net/ipv6/conf/$file/disable_ipv6
done
ip netns attach "$2" $$
"""


@dataclass(frozen=True)
class Link:
    """One interface of the switch: whether it is up, and its queueing discipline."""

    name: str
    up: bool
    qdisc: str


def file_of(layout: Layout, machine: str) -> Path:
    """Return the file that stands for a machine's network namespace."""
    return NAMES / layout.called(machine)


def mark(layout: Layout) -> str:
    """Return what our namespaces bear."""
    return f"virtmark {layout.state}"[:255]


def ours(layout: Layout, machine: str) -> bool:
    """Say whether a machine's network namespace exists and bears our mark."""
    if not file_of(layout, machine).exists():
        return False
    try:
        said = json.loads(_ip(layout, machine, "-j", "link", "show", "lo"))
    except LabError:
        return False
    return bool(said) and said[0].get("ifalias") == mark(layout)


def create(layout: Layout, machine: str) -> None:
    """Make a machine's network namespace, without cables; LabError if somebody else has one of that name."""
    name = layout.called(machine)
    file = file_of(layout, machine)
    if file.exists() and file.stat().st_dev == NAMES.stat().st_dev:
        file.unlink()  # a plain file: an `ip netns` was killed half-way
    if file.exists():
        raise LabError(f"network namespace {name}: exists, but not made by this lab; to remove it: ip netns del {name}")
    call(["unshare", "--net", "--", "sh", "-ec", _NEW, "sh", mark(layout), name])


def standing(layout: Layout) -> bool:
    """Say whether the switch stands, made to the end."""
    return ours(layout, SWITCH) and any(link.name == FABRIC and link.up for link in links(layout, SWITCH))


def raise_switch(layout: Layout) -> None:
    """Make the switch."""
    create(layout, SWITCH)
    _bridge(layout, SWITCH, FABRIC)


def connect(layout: Layout, machine: str, *, bridged: bool) -> None:
    """Cable a machine to the switch and give it its address; on a bridge for guests if `bridged`."""
    port, mac = f"p-{machine}", guest_mac(address(machine))
    _ip(layout, machine, "link", "add", UPLINK, "type", "veth", "peer", "name", port, "netns", layout.called(SWITCH))
    carrier = UPLINK
    if bridged:
        carrier = BRIDGE
        _bridge(layout, machine, BRIDGE, mac)
        _ip(layout, machine, "link", "set", UPLINK, "master", BRIDGE)
    _ip(layout, machine, "link", "set", UPLINK, "up")
    _ip(layout, machine, "addr", "add", f"{address(machine)}/{NETWORK.prefixlen}", "dev", carrier)
    _ip(layout, SWITCH, "link", "set", port, "master", FABRIC)
    _ip(layout, SWITCH, "link", "set", port, "up")


def links(layout: Layout, machine: str) -> list[Link]:
    """Return the interfaces in a machine's network namespace, without the loopback."""
    found = json.loads(_ip(layout, machine, "-j", "link", "show"))
    return [Link(each["ifname"], "UP" in each["flags"], each.get("qdisc", "")) for each in found
            if each["ifname"] != "lo"]


def remove(layout: Layout, machine: str) -> None:
    """Remove a machine's network namespace with all in it. The kernel takes a moment for a namespace's end, so the
    cable goes first: a new one of the same name can then be laid at once."""
    port = f"p-{machine}"
    for where, name in ((SWITCH, port), (machine, UPLINK)):
        try:
            _ip(layout, where, "link", "del", name)
        except LabError:
            continue  # never laid, or gone with its other end
    call(["ip", "netns", "del", layout.called(machine)])


def forget_folder() -> None:
    """Undo what the first `ip netns add` on a machine leaves for good: a folder mounted on itself."""
    if NAMES.is_dir() and not any(NAMES.iterdir()):
        if folder_mounted():
            call(["umount", str(NAMES)])
        NAMES.rmdir()


def folder_mounted() -> bool:
    """Say whether the folder of network namespaces is a mount, as `ip netns add` makes it."""
    return any(line.split()[4] == str(NAMES) for line in Path("/proc/self/mountinfo").read_text().splitlines())


def _bridge(layout: Layout, machine: str, name: str, mac: str = "") -> None:
    """A bridge that forwards at once; with an address of its own it does not take on that of a guest that leaves."""
    own = ["address", mac] if mac else []
    _ip(layout, machine, "link", "add", name, *own, "type", "bridge", "stp_state", "0", "forward_delay", "0",
        "mcast_snooping", "0")
    _ip(layout, machine, "link", "set", name, "up")


def _ip(layout: Layout, machine: str, *words: str) -> str:
    return call(["ip", "-n", layout.called(machine), *words])
