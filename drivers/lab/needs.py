"""What the lab needs of this machine, and for each thing that is missing what to do about it.

The one thing to know: features of the kernel are tried, not looked up, in namespaces that vanish at once.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from drivers.lab import cgroups
from drivers.lab.command import call, contained, environment
from drivers.lab.layout import STACKS
from drivers.lab.rootfs import needed
from harness.errors import LabError

TABLE = Path(__file__).parents[1] / "packages.txt"
ALWAYS = ("ip", "tini", "setpriv", "mmdebstrap", "mke2fs", "cpio", "zstd", "depmod", "qemu-img", "ssh-keygen", "virsh")
HOST = ("qemu-system-x86_64", "libvirtd")
CONTAINER = ("podman", "runc", "netavark")
OTHERS = {"ssh-keygen": "openssh-client", "netavark": "netavark"}
_OVERLAY = """
mount -t tmpfs memory /tmp
mkdir /tmp/lower /tmp/upper /tmp/work /tmp/both
mount -t overlay -o lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work overlay /tmp/both
"""
FEATURES = (
    ("namespaces", ("true",), "run as root with CAP_SYS_ADMIN (a container needs --privileged)"),
    ("network namespaces", ("unshare", "--net", "true"), "a kernel with CONFIG_NET_NS"),
    ("control group namespaces", ("unshare", "--cgroup", "true"), "a kernel with CONFIG_CGROUPS"),
    ("virtual cables", ("unshare", "--net", "ip", "link", "add", "type", "veth"), "a kernel with CONFIG_VETH"),
    ("bridges", ("unshare", "--net", "ip", "link", "add", "type", "bridge"), "a kernel with CONFIG_BRIDGE"),
    ("overlay file systems", ("sh", "-ec", _OVERLAY), "a kernel with CONFIG_OVERLAY_FS, or modprobe overlay"),
    ("tap devices", ("test", "-c", "/dev/net/tun"), "a kernel with CONFIG_TUN, or modprobe tun"),
)


@dataclass(frozen=True)
class Lack:
    """One thing that is missing: what, and what to do or to run."""

    what: str
    remedy: str


ROOT = Lack("root", "run as root: the lab makes and removes namespaces, mounts and control groups")


def check_root(user: int | None = None) -> None:
    """Raise LabError unless this process, or `user`, is root."""
    if (os.geteuid() if user is None else user) != 0:
        raise LabError(f"lab: {ROOT.remedy}")


def lacks(stacks: Sequence[str], *, user: int | None = None) -> list[Lack]:
    """Return what stands in the way of a lab with the hosts of `stacks`; [] if nothing does.

    `user` is who would make it, this process's effective user by default.
    """
    if (os.geteuid() if user is None else user) != 0:
        return [ROOT]
    absent = [name for name in programs(stacks) if shutil.which(name, path=search_path()) is None]
    found = []
    if absent:
        packages = " ".join(dict.fromkeys(package_of(name) for name in absent))
        found.append(Lack(f"programs {', '.join(absent)}", f"apt-get install --no-install-recommends {packages}"))
    return found + list(_missing_features())


def search_path() -> str:
    """Return the folders in which programs are looked for."""
    return environment()["PATH"] + ":/usr/lib/podman"


def programs(stacks: Sequence[str]) -> list[str]:
    """Return the programs that this machine itself must have for `stacks`."""
    local = [STACKS[name] for name in stacks if not needed(STACKS[name])]
    return [*ALWAYS, *(HOST if local else ()), *(CONTAINER if any(each.containers for each in local) else ())]


def package_of(program: str) -> str:
    """Return the Debian package that brings a program."""
    rows = (line.split() for line in TABLE.read_text().splitlines() if not line.startswith("#"))
    table = {row[0]: row[1] for row in rows if len(row) > 1}
    return OTHERS.get(program) or table.get(program, program)


def check(stacks: Sequence[str]) -> None:
    """Raise LabError that names everything missing and what to do about it."""
    found = lacks(stacks)
    if found:
        raise LabError("lab: " + "; ".join(f"{lack.what} missing: {lack.remedy}" for lack in found))


def shortcomings() -> list[str]:
    """Return what a lab does without on this machine, one line each."""
    return [f"no cgroup controller {name}: limits of that kind do not bind"
            for name in cgroups.missing(cgroups.current())]


def _missing_features() -> Iterable[Lack]:
    for name, argv, remedy in FEATURES:
        try:
            call(contained(argv), timeout=30.0)
        except LabError:
            yield Lack(name, remedy)
            if name == "namespaces":
                return  # the others are tried inside one
