"""A lab of a test's own: where it is, what it leaves on the machine, and a process that brings it up."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from drivers.lab import cgroups, enter, lab, machines, needs, switch
from drivers.lab.command import wait
from drivers.lab.layout import SWITCH, Layout
from drivers.lab.state import began

LACKS = needs.lacks(["bookworm"])
MARKS = [
    pytest.mark.live,
    pytest.mark.skipif(bool(LACKS), reason="; ".join(f"{lack.what} missing: {lack.remedy}" for lack in LACKS)),
]
ROOT = Path(__file__).parents[2]
OWN, PLACE = "virtmark-test-", "/var/tmp"      # what folders of tests' own labs begin with, before the process id
SPACES = ("net", "mnt", "uts", "ipc", "pid", "cgroup")


def own_layout():
    return Layout(Path(tempfile.mkdtemp(prefix=f"{OWN}{os.getpid()}-", dir=PLACE)), Layout.current().cache)


def mend_left():
    """Take down the labs of test processes that were killed."""
    for folder in Path(PLACE).glob(f"{OWN}[0-9]*-*"):
        if began(int(folder.name.removeprefix(OWN).partition("-")[0])) is None:
            lab.down(layout=Layout(folder, Layout.current().cache))
            shutil.rmtree(folder, ignore_errors=True)


def run(layout, machine, *argv, tools=True):
    return subprocess.run([*enter.launcher(machine, layout, tools=tools), *argv], capture_output=True, text=True,
                          timeout=60, check=False)


def eventually(true, seconds=20.0):
    """Wait until `true()`; a test that waits in vain fails here."""
    wait(true, seconds, "the test")


def spaces_of(pids):
    """Return the namespaces of processes that are not also this process's."""
    found = set()
    for pid in pids:
        for kind in SPACES:
            with contextlib.suppress(OSError):
                found.add((kind, os.readlink(f"/proc/{pid}/ns/{kind}")))
    return found - {(kind, os.readlink(f"/proc/self/ns/{kind}")) for kind in SPACES}


def inhabitants(pids):
    """Return all processes of this machine in the namespaces of those, with when each began.

    Ask before the namespaces end: the kernel gives their numbers to new ones at once.
    """
    spaces = spaces_of(pids)
    living = {int(name): began(int(name)) for name in os.listdir("/proc") if name.isdigit()}
    return {pid: at for pid, at in living.items() if at is not None and spaces_of([pid]) & spaces}


def alive(processes):
    """Return which of `inhabitants` live on."""
    return [pid for pid, at in processes.items() if began(pid) == at]


def traces(layout):
    """Return everything on this machine that bears the name or the path of this lab."""
    names = list(switch.NAMES.glob(f"{layout.prefix}*")) if switch.NAMES.is_dir() else []
    groups = [path for root in cgroups.current().roots for path in root.glob(f"{layout.prefix}*")]
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines()
              if layout.prefix in line or str(layout.state) in line]
    return [*names, *groups, *mounts, *([layout.state] if layout.state.exists() else [])]


def everyone(layout):
    return {pid for machine in (*machines.EVERYONE, SWITCH) for pid in machines.members(layout, machine)}


UP = "from drivers.lab import lab; lab.up(say=lambda line: print(line, flush=True))"


def up_process(layout, **streams):
    return subprocess.Popen([sys.executable, "-c", UP], stdout=subprocess.PIPE, text=True, cwd=ROOT, **streams,
                            env={**os.environ, "VIRTMARK_STATE": str(layout.state)})
