"""Containers of libvirt's lxc driver: a root folder each, and a way in.

libvirt has no guest agent for containers, and its own way in loses exit statuses; so a command enters from the host,
first the container's control groups (its limits hold for what enters), then its namespaces.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from drivers.shell import Inside, Shell, owner
from drivers.targets._site import Site
from harness.errors import TargetError

INIT = ("/usr/bin/tini", "--", "sleep", "infinity")
_MAKE = """
set -e
mkdir -p "$1"/upper "$1"/work "$1"/root
mount -t overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
"""
_REMOVE = 'umount -l "$1/root" 2>/dev/null; rm -rf -- "$1"'
# $1 = process 1 of the container as its host counts it, then the command
_ENTER = """
pid=$1
shift
while IFS=: read -r number controllers path; do
  for folder in "/sys/fs/cgroup/$controllers" "/sys/fs/cgroup/${controllers#name=}"; do
    [ ! -w "$folder$path/cgroup.procs" ] || { echo $$ >"$folder$path/cgroup.procs" && break; }
  done
done <"/proc/$pid/cgroup"
exec nsenter --target "$pid" --mount --uts --ipc --net --pid -- "$@"
"""
_FIRST = 'for child in $(cat "/proc/$1/task/$1/children"); do echo "$child"; break; done'


@contextmanager
def root(place: Site, base: str, name: str) -> Iterator[str]:
    """Yield a root folder for a container: `base`, with what is changed kept beside it and removed at the end."""
    folder = f"{place.host.images}/{name}"
    script(place.system, _MAKE, folder, base)
    try:
        yield f"{folder}/root"
    finally:
        script(place.system, _REMOVE, folder)


def machine(place: Site, domain: Any, name: str, address: str, cwd: str) -> Shell:
    """Return the container as a machine; TargetError if its first process does not start."""
    deadline = time.monotonic() + 30
    controller = str(domain.ID())  # the process that libvirt set up for the container
    while not (first := script(place.system, _FIRST, controller).strip()):
        if time.monotonic() > deadline:
            raise TargetError(f"{name}: the container's first process does not start")
        time.sleep(0.02)
    return Inside(place.system, ("sh", "-c", _ENTER, "sh", first), name, address=address, cwd=cwd)


def clean(place: Site) -> list[str]:
    """Remove the root folders of containers whose controllers are gone."""
    listed = place.system.run(["ls", "--", place.host.images], timeout=60).stdout.split()
    left = [name for name in listed if owner.left_behind(name)]
    for name in left:
        script(place.system, _REMOVE, f"{place.host.images}/{name}")
    return [f"{place.system.name}: folder {name}" for name in left]


def script(host: Shell, text: str, *arguments: str) -> str:
    """Run a script on the host and return what it prints; TargetError if it fails."""
    done = host.run(["sh", "-c", text, "sh", *arguments], timeout=120)
    if done.code:
        said = (done.stderr.strip() or f"exit status {done.code}").splitlines()[-1]
        raise TargetError(f"{host.name}: {said}")
    return done.stdout
