"""How to get into a machine of the lab: the beginning of a command line, computed from the lab's state.

The one thing to know: by default commands run on the guest's own root file system, so that the host arm of an overhead
uses the very same binaries as the guest. They end when their launcher ends, and with the machine.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from drivers.lab.command import environment
from drivers.lab.layout import Layout, find_machine
from drivers.lab.state import LabState, living
from harness.errors import LabError

# into the machine's own control groups (in version 2 into the leaf for processes), then on
JOIN = """
if [ -d /sys/fs/cgroup/init ]; then echo 0 > /sys/fs/cgroup/init/cgroup.procs; else
for file in /sys/fs/cgroup/*/cgroup.procs; do echo 0 > "$file"; done; fi
exec "$@"
"""
SPACES = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup")
TIED = ("setpriv", "--pdeathsig", "KILL")


def launcher(name: str, layout: Layout | None = None, *, tools: bool = True) -> tuple[str, ...]:
    """Return the argv prefix that runs a command on machine `name`; with `tools` on the guest's root file system.

    LabError if the lab or that machine is not up, InputError if a lab has no such machine.
    """
    machine, layout = find_machine(name), layout or Layout.current()
    return prefix(living(layout), layout, machine, tools=tools)


def prefix(state: LabState, layout: Layout, name: str, *, tools: bool = True) -> tuple[str, ...]:
    """Return the argv prefix for machine `name` of the lab in `state`."""
    inside = ("chroot", str(layout.tools(name))) if tools else ()
    return (*TIED, *_entry(state, name), *TIED, *inside)


def daemon(state: LabState, name: str, argv: Sequence[str], log: Path) -> None:
    """Start a program on machine `name` that stays, in the machine's control groups, until the machine ends."""
    with log.open("wb") as out:
        subprocess.run([*_entry(state, name), "setsid", "--fork", "sh", "-c", JOIN, "sh", *argv], check=True,
                       stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment())


def _entry(state: LabState, name: str) -> tuple[str, ...]:
    """Return the argv prefix that enters all namespaces of a machine."""
    machine = state.machines.get(name)
    if machine is None:
        up = ", ".join(state.machines)
        raise LabError(f"lab:{name}: not part of the lab that is up ({up}); run: virtmark lab up --stack ...")
    if machine.init is None or not machine.init.alive:
        raise LabError(f"lab:{name}: its first process has ended; run: virtmark lab up")
    return ("nsenter", "--target", str(machine.init.pid), *SPACES, "--")
