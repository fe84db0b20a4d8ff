"""Root file systems of lab hosts that run on another Debian release than this machine: another vendor at home.

The one thing to know: a host of this machine's own release runs on this machine's own files and packages; only the
others need a root file system of their own. It is unpacked once into the cache, and hosts write to a layer above it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from drivers.lab import cache
from drivers.lab.bootstrap import Recipe, bootstrap, codename, versions
from drivers.lab.layout import Layout, Stack

PACKAGES = (
    "hostname", "iproute2", "iptables", "kmod", "libvirt-clients", "libvirt-daemon-driver-lxc",
    "libvirt-daemon-driver-qemu", "libvirt-daemon-system", "mount", "procps", "qemu-system-x86", "qemu-utils", "tini",
    "util-linux",
)
CONTAINER_PACKAGES = ("golang-github-containers-common", "golang-github-containers-image", "netavark", "podman", "runc")
Say = Callable[[str], None]


def recipe(stack: Stack) -> Recipe:
    """Return how the root file system of a stack is made."""
    return Recipe(stack.suite, PACKAGES + (CONTAINER_PACKAGES if stack.containers else ()))


def folder(layout: Layout, stack: Stack) -> Path:
    """Return where a stack's root file system is, or will be once built."""
    return layout.cache / "roots" / f"{stack.suite}-{cache.key(vars(recipe(stack)))}"


def needed(stack: Stack) -> bool:
    """Say whether a stack needs a root file system of its own on this machine."""
    return codename() != stack.suite


def build(layout: Layout, stack: Stack, say: Say) -> Path | None:
    """Return the root of a stack's hosts, building it where it is not cached; None where this machine's own serves."""
    if not needed(stack):
        return None
    place = folder(layout, stack)
    if cache.whole(place):
        say(f"{stack.suite} hosts {place.name}: cached")
    else:
        say(f"{stack.suite} hosts: fetching and unpacking their packages (about two minutes)")
        cache.build(place, lambda fresh: _make(fresh, stack, layout), room=3 * 10**9)
    return place / "root"


def _make(fresh: Path, stack: Stack, layout: Layout) -> dict[str, Any]:
    made = recipe(stack)
    bootstrap(made, fresh / "root", layout.cache / "logs" / f"{stack.suite}.log")
    return {"recipe": vars(made), "packages": versions(fresh / "root")}
