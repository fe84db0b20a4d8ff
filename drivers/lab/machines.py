"""Start and end the machines of a lab: namespaces around one first process, and on a host a libvirtd of its own.

The one thing to know: everything in a machine is a descendant of its first process, in a process namespace of its
own. When that process dies the kernel ends all the rest, guests included; that is also what a host's power failure is.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

from drivers.lab import cgroups, podman, switch
from drivers.lab.command import call, environment, wait
from drivers.lab.layout import CLIENT, HOSTS, MIGRATION_PORT, SWITCH, Layout, address, has_containers, stack_of
from drivers.lab.state import MachineState, Process, began
from harness.errors import LabError

SCRIPT = Path(__file__).with_name("machine.sh")
LIBVIRTD = "/usr/sbin/libvirtd"
PATIENCE = 120.0
TRIES = 20
EVERYONE = (*HOSTS, CLIENT)
PARTS = ("etc", "lib", "log", "cache", "run", "root", "private", "scratch")
_VERSIONS = {"libvirt": r"Running against daemon: (\S+)", "qemu": r"Running hypervisor: QEMU (\S+)"}


def start(layout: Layout, machine: str, *, root: Path | None, image: Path) -> MachineState:
    """Start a machine whose network namespace and cgroups exist; `root` is its root file system, None this machine's.

    Returns when its daemon answers; LabError with the last line of its log if it does not.
    """
    folder = layout.of(machine)
    for part in PARTS:
        (folder / part).mkdir(parents=True, exist_ok=True)
    for stale in ("ready", "launcher.pid"):
        (folder / stale).unlink(missing_ok=True)
    said = layout.cache / "logs" / f"{layout.called(machine)}.log"
    said.parent.mkdir(parents=True, exist_ok=True)
    (folder / "hosts").write_text("127.0.0.1 localhost\n" + "".join(
        f"{address(each)} {each}\n" for each in (*HOSTS, CLIENT)))
    (folder / "resolv.conf").write_text("")
    if machine in HOSTS:
        _configure(layout, machine)
        if _capabilities(layout, machine).exists():
            shutil.copytree(_capabilities(layout, machine), folder / "cache", dirs_exist_ok=True)
    if has_containers(machine):
        podman.configure(layout, machine, image)
    with said.open("wb") as log:
        subprocess.run(["setsid", "--fork", "/bin/sh", str(SCRIPT), "join"], stdin=subprocess.DEVNULL, stdout=log,
                       stderr=log, cwd="/", check=True, env=environment(_variables(layout, machine, root, image)))
    launcher = _launcher(folder, said)
    wait(lambda: (folder / "ready").exists() or not launcher.alive, PATIENCE, f"{machine}: start")
    if not (folder / "ready").exists():
        raise LabError(f"{machine}: did not start: {_last_line(said)}; see {said}")
    state = MachineState(name=machine, init=_first(launcher), versions=versions(layout, machine))
    _keep_capabilities(layout, machine)
    return state


def _launcher(folder: Path, said: Path) -> Process:
    """Return the process that waits for the machine's process 1."""
    file = folder / "launcher.pid"
    try:
        wait(file.exists, 10.0, "")
    except LabError:
        raise LabError(f"{folder.name}: did not start: {_last_line(said)}; see {said}") from None
    return Process.of(int(file.read_text()))


def _first(launcher: Process) -> Process:
    return Process.of(psutil.Process(launcher.pid).children()[0].pid)


def _capabilities(layout: Layout, host: str) -> Path:
    """Return where it is kept what libvirt found out about its QEMU: that takes it seconds. It knows what is stale."""
    return layout.cache / "libvirt" / stack_of(host).suite


def _keep_capabilities(layout: Layout, machine: str) -> None:
    if machine in HOSTS and not _capabilities(layout, machine).exists():
        fresh = _capabilities(layout, machine).with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(layout.of(machine) / "cache", fresh)
        fresh.rename(_capabilities(layout, machine))


def _variables(layout: Layout, machine: str, root: Path | None, image: Path) -> dict[str, str]:
    groups, name = cgroups.current(), layout.called(machine)
    return {
        "NAME": machine, "DIR": str(layout.of(machine)), "ROOT": str(layout.root), "CACHE": str(layout.cache),
        "LOWER": str(root or ""), "TOOLS": str(image / "root"), "NETNS": str(switch.file_of(layout, machine)),
        "GROUPS": " ".join(map(str, cgroups.folders(groups, name))), "CONTROLLERS": groups.controllers,
        "LEAF": str(groups.v2 / name / cgroups.LEAF) if groups.v2 else "",
        "DAEMON": LIBVIRTD if machine in HOSTS else "",
        "CONTAINERS": str(layout.of(machine) / "containers") if has_containers(machine) else "",
    }


def _configure(layout: Layout, host: str) -> None:
    """Write the settings of a host's libvirtd: its own identity, open for migration inside the lab's network only."""
    own, ip = layout.of(host) / "etc", address(host)
    identity = uuid.uuid5(uuid.NAMESPACE_URL, f"virtmark:{layout.state}:{host}")
    (own / "libvirtd.conf").write_text("\n".join((
        f'host_uuid = "{identity}"', "listen_tls = 0", "listen_tcp = 1", f'listen_addr = "{ip}"',
        f'tcp_port = "{MIGRATION_PORT}"', 'auth_tcp = "none"', 'auth_unix_rw = "none"', 'unix_sock_rw_perms = "0700"',
        'log_outputs = "3:file:/var/log/libvirt/libvirtd.log"', "keepalive_interval = -1", "")))
    (own / "qemu.conf").write_text("\n".join((
        'security_driver = "none"', 'user = "root"', 'group = "root"', "dynamic_ownership = 0", "remember_owner = 0",
        "namespaces = []", 'stdio_handler = "file"', f'migration_address = "{ip}"', f'migration_host = "{ip}"', "")))
    (own / "lxc.conf").write_text('security_driver = "none"\n')


def revive(layout: Layout, host: str) -> bool:
    """Wait until a host's libvirtd answers, which the host starts again when it dies; say whether it did not."""
    if answers(layout, host):
        return False
    wait(lambda: answers(layout, host), PATIENCE, f"{host}: libvirtd")
    return True


def answers(layout: Layout, host: str) -> bool:
    """Say whether a host's libvirtd answers."""
    try:
        call(["virsh", "-c", layout.libvirt_uri(host), "hostname"], timeout=30.0)
    except LabError:
        return False
    return True


def versions(layout: Layout, host: str) -> dict[str, str]:
    """Ask a host's libvirtd who it is; the first question after its start may take it long. {} for the client."""
    if host not in HOSTS:
        return {}
    for left in reversed(range(TRIES)):
        try:
            said = call(["virsh", "-c", layout.libvirt_uri(host), "version", "--daemon"], timeout=PATIENCE)
            break
        except LabError:    # a daemon that has just opened its socket may close the first connection
            if not left:
                raise
            time.sleep(0.5)
    found = {name: re.search(pattern, said) for name, pattern in _VERSIONS.items()}
    return {name: match[1] for name, match in found.items() if match}


def members(layout: Layout, machine: str) -> set[int]:
    """Return the ids of all processes that belong to a machine: in its cgroups, or in its network namespace."""
    found = cgroups.members(cgroups.current(), layout.called(machine))
    try:
        network = switch.file_of(layout, machine).stat()
    except FileNotFoundError:
        return found - {os.getpid()}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            space = (folder / "ns" / "net").stat()
            if (space.st_ino, space.st_dev) == (network.st_ino, network.st_dev):
                found.add(int(folder.name))
    return found - {os.getpid()}


def end(layout: Layout, machine: str) -> int:
    """End every process of a machine; return how many there were. LabError if some cannot be killed."""
    seen: set[int] = set()
    first = _kill(layout, machine, seen)
    if first:
        wait(lambda: not _kill(layout, machine, seen), 30.0, f"{machine}: killing its processes")
    return len(seen)


def _kill(layout: Layout, machine: str, seen: set[int]) -> set[int]:
    cgroups.thaw(cgroups.current(), layout.called(machine))
    living = {pid for pid in members(layout, machine) if began(pid) is not None}
    for pid in living:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    seen |= living
    return living


def remove(layout: Layout, machine: str) -> None:
    """Remove what a machine whose processes have ended leaves: network namespace, cgroups, folder."""
    if switch.ours(layout, machine):
        switch.remove(layout, machine)
    groups, name = cgroups.current(), layout.called(machine)
    wait(lambda: not cgroups.remove(groups, name), 10.0, f"{machine}: removing its cgroups")
    shutil.rmtree(layout.of(machine), ignore_errors=True)


def forget_running(layout: Layout, host: str) -> None:
    """Remove what a host whose processes have ended keeps in memory; its disks, settings and cable stay."""
    shutil.rmtree(layout.of(host) / "run", ignore_errors=True)
    groups, name = cgroups.current(), layout.called(host)
    wait(lambda: not cgroups.remove(groups, name), 10.0, f"{host}: removing its cgroups")


def traces(layout: Layout) -> Iterator[str]:
    """Yield the machines, and the switch, of which something stands outside the lab's folder."""
    groups = cgroups.current()
    for machine in (*EVERYONE, SWITCH):
        if switch.ours(layout, machine) or cgroups.folders(groups, layout.called(machine)):
            yield machine


def _last_line(log: Path) -> str:
    said: Iterable[str] = log.read_text(errors="replace").splitlines() if log.exists() else ()
    return next((line for line in reversed(list(said)) if line.strip()), "no message")
