"""The lab's network: a namespace with a bridge in it, and one cable to each machine, or two to each host.

With two, a spanning tree keeps one of them idle until the other one fails. Guests are on a bridge of their own behind
it, which forwards at once: a spanning tree would keep a guest that has just moved silent for 4 s.

The one thing to know: no interface ever lies in this machine's own network namespace, so the lab's addresses clash
with nothing here. A namespace of ours bears our mark (the alias of its loopback), so that one of the same name that
somebody else made is never touched.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from drivers.lab.command import call, wait
from drivers.lab.layout import BRIDGE, NETWORK, SWITCH, Layout, address, guest_mac
from harness.errors import LabError

NAMES = Path("/run/netns")
UPLINK, SECOND = "up0", "up1"
EDGE, INNER, OUTER = "edge", "in0", "in1"     # a host's side of the spanning tree, and the cable from its bridge to it
SETTLED = ("forwarding", "blocking", "disabled")
SETTLING = 30.0
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


def raise_switch(layout: Layout, *, links: int = 1) -> None:
    """Make the switch; with two links to each host it is the root of a spanning tree."""
    create(layout, SWITCH)
    _bridge(layout, SWITCH, FABRIC, tree=links > 1)


def ports(machine: str) -> tuple[str, str]:
    """Return what the switch calls the first and the second cable of a machine."""
    return f"p-{machine}", f"q-{machine}"


def connect(layout: Layout, machine: str, *, bridged: bool, links: int = 1) -> None:
    """Cable a machine to the switch and give it its address; on a bridge for guests if `bridged`, and then with a
    second cable if there are two `links`."""
    carrier = BRIDGE if bridged else UPLINK
    if bridged:
        _bridge(layout, machine, BRIDGE, guest_mac(address(machine)))
    master = BRIDGE if bridged else ""
    if bridged and links > 1:
        master = EDGE
        _bridge(layout, machine, EDGE, tree=True)
        _ip(layout, machine, "link", "add", INNER, "type", "veth", "peer", "name", OUTER)
        _port(layout, machine, INNER, BRIDGE)
        _port(layout, machine, OUTER, EDGE)
    for name, port in list(zip((UPLINK, SECOND), ports(machine), strict=True))[:links if bridged else 1]:
        _ip(layout, machine, "link", "add", name, "type", "veth", "peer", "name", port, "netns", layout.called(SWITCH))
        _port(layout, machine, name, master)
        _port(layout, SWITCH, port, FABRIC)
    _ip(layout, machine, "addr", "add", f"{address(machine)}/{NETWORK.prefixlen}", "dev", carrier)


def settle(layout: Layout, machine: str) -> None:
    """Return when the spanning tree has decided about each port of a host."""
    def settled() -> bool:
        found = json.loads(call(["bridge", "-n", layout.called(machine), "-j", "link", "show"]))
        return all(port["state"] in SETTLED for port in found)

    wait(settled, SETTLING, f"{machine}: the spanning tree")


def links(layout: Layout, machine: str) -> list[Link]:
    """Return the interfaces in a machine's network namespace, without the loopback."""
    found = json.loads(_ip(layout, machine, "-j", "link", "show"))
    return [Link(each["ifname"], "UP" in each["flags"], each.get("qdisc", "")) for each in found
            if each["ifname"] != "lo"]


def remove(layout: Layout, machine: str) -> None:
    """Remove a machine's network namespace with all in it. The kernel takes a moment for a namespace's end, so the
    cables go first: a new one of the same name can then be laid at once."""
    first, second = ports(machine)
    for where, name in ((SWITCH, first), (SWITCH, second), (machine, UPLINK), (machine, SECOND)):
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


def _bridge(layout: Layout, machine: str, name: str, mac: str = "", *, tree: bool = False) -> None:
    """A bridge that forwards at once, or that takes part in a spanning tree as fast as that goes; with an address of
    its own it does not take on that of a guest that leaves."""
    own = ["address", mac] if mac else []
    timing = ["stp_state", "1", "forward_delay", "200", "hello_time", "100", "max_age", "600", "priority",
              "0" if name == FABRIC else "32768"] if tree else ["stp_state", "0", "forward_delay", "0"]
    _ip(layout, machine, "link", "add", name, *own, "type", "bridge", *timing, "mcast_snooping", "0")
    _ip(layout, machine, "link", "set", name, "up")


def _port(layout: Layout, machine: str, name: str, master: str) -> None:
    """Put an interface up, on a bridge if there is one."""
    if master:
        _ip(layout, machine, "link", "set", name, "master", master)
    _ip(layout, machine, "link", "set", name, "up")


def _ip(layout: Layout, machine: str, *words: str) -> str:
    return call(["ip", "-n", layout.called(machine), *words])
