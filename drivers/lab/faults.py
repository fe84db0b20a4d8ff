"""Faults of the lab's own machines, as pairs of functions: what breaks, and what heals by looking at what is broken.

The one thing to know: everything here heals however often it is called and whoever calls it, so that
`python -m drivers.lab.faults ACTION MACHINE` is all that a killed controller needs to leave behind.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from drivers import healing
from drivers.lab import cgroups, machines, switch
from drivers.lab.command import call
from drivers.lab.layout import HOSTS, SWITCH, Layout
from drivers.lab.state import LabState, began, boot_id, living, load
from drivers.shell import Local
from harness.errors import InputError, LabError

TABLE = "virtmark-loss"     # nft tables on the switch begin like this
DARK = "has no power"
CABLES = ("p-", "q-", "up")
QUIET = ("noqueue", "noop")     # queueing disciplines of a cable that nobody shapes
_LOSS = """
table bridge {table} {{
 chain through {{
  type filter hook forward priority 0;
{rules}
 }}
}}
"""


def folder(layout: Layout) -> Path:
    """Return where faults of a lab are written down."""
    return layout.root / "faults"


def healer(layout: Layout, action: str, what: str) -> tuple[str, ...]:
    """Return the command line that heals: an action of `HEALERS`, and the machine or table that it is about."""
    env, *rest = healing.command("drivers.lab.faults", action, what)
    return (env, f"VIRTMARK_STATE={layout.state}", f"VIRTMARK_CACHE={layout.cache}", *rest)


def power_off(layout: Layout, host: str) -> None:
    """End all processes of a host at once; its cable goes dead with it."""
    init = living(layout).machines[host].init
    if init is None or not init.alive:
        raise LabError(f"lab:{host}: has no power already")
    os.kill(init.pid, signal.SIGKILL)
    isolate(layout, host)
    machines.end(layout, host)


def power_on(layout: Layout, host: str) -> None:
    """Start a host again unless it runs, as it was: its disks, its configuration, no guests."""
    from drivers.lab import cluster, lab

    if load(layout) is not None:
        cluster.miss(layout, host)
        lab.power_on(layout, host)
        connect(layout, host)
        cluster.settle(layout, host)


def isolate(layout: Layout, machine: str) -> None:
    """Pull a machine's cables out of the switch."""
    for port in _cables(layout, machine):
        _marked(_link(layout, port, "down"))


def unplug(layout: Layout, machine: str) -> None:
    """Pull the first of a machine's two cables out of the switch."""
    first, *others = _cables(layout, machine)
    if not others:
        raise LabError(f"lab:{machine}: has one cable; run: virtmark lab down, virtmark lab up --links 2")
    _marked(_link(layout, first, "down"))


def redundant(layout: Layout) -> bool:
    """Say whether the hosts of the lab that stands have two cables each."""
    state = load(layout)
    return state is not None and state.links > 1


def connect(layout: Layout, machine: str) -> None:
    """Put a machine's cables into the switch."""
    for port in _cables(layout, machine):
        call(_link(layout, port, "up"))


def lose(layout: Layout, table: str, share: float, match: tuple[str, str]) -> None:
    """Let the switch drop a share of the packets that match either of two nft expressions, in 1/10000."""
    rules = "\n".join(f"  {each} numgen random mod 10000 < {round(share * 10000)} drop" for each in match)
    _marked(_nft(layout, "-f", "-"), _LOSS.format(table=table, rules=rules))


def keep(layout: Layout, table: str) -> None:
    """Let the switch drop nothing any more on behalf of `table`."""
    if table in tables(layout):
        call(_nft(layout, "delete", "table", "bridge", table))


def tables(layout: Layout) -> list[str]:
    """Return the tables on the switch that drop packets on purpose."""
    return re.findall(rf"^table bridge ({TABLE}\S*)$", call(_nft(layout, "list", "tables")), re.MULTILINE)


def kill_daemon(layout: Layout, host: str) -> None:
    """End a host's libvirtd with SIGKILL; the host itself starts it again."""
    found = [pid for pid in machines.members(layout, host) if _name(pid) == "libvirtd"]
    if not found:
        raise LabError(f"lab:{host}: libvirtd does not run")
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def revive_daemon(layout: Layout, host: str) -> None:
    """Return when a host's libvirtd answers; a cluster may have turned the host off meanwhile."""
    if _dark(living(layout), host):
        power_on(layout, host)
    machines.revive(layout, host)


def go_on(layout: Layout, machine: str) -> None:
    """Let all stopped processes of a machine go on; a cluster may have turned it off because of them."""
    if _dark(living(layout), machine):
        power_on(layout, machine)
    _continue(layout, machine)


def _continue(layout: Layout, machine: str) -> None:
    for pid in stopped(layout, machine):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def stopped(layout: Layout, machine: str) -> list[int]:
    """Return the processes of a machine that are stopped."""
    return [pid for pid in machines.members(layout, machine) if _stopped(pid)]


def qemu(layout: Layout, host: str, guest: str) -> int:
    """Return the process of a guest on a host; LabError if it does not run there."""
    wanted = f"guest={guest},".encode()
    for pid in machines.members(layout, host):
        with contextlib.suppress(OSError):
            if wanted in Path(f"/proc/{pid}/cmdline").read_bytes() and _name(pid).startswith("qemu"):
                return pid
    raise LabError(f"lab:{host}: guest {guest} does not run")


def seen(layout: Layout, state: LabState) -> Iterator[str]:
    """Yield what is broken on purpose, or left so, as far as it can be seen by looking."""
    for name in (SWITCH, *state.machines):
        if not switch.ours(layout, name):
            yield f"{name}: its network namespace is gone"
            continue
        for link in switch.links(layout, name):
            if not link.up:
                yield f"{name}: interface {link.name} is down"
            if link.qdisc not in QUIET and link.name.startswith(CABLES):
                yield f"{name}: interface {link.name} is shaped ({link.qdisc})"
    if switch.ours(layout, SWITCH):
        yield from (f"{SWITCH}: drops packets (table {table})" for table in tables(layout))
    groups = cgroups.current()
    yield from (f"{name}: frozen" for name in state.machines if cgroups.frozen(groups, layout.called(name)))
    for name in state.machines:
        if halted := len(stopped(layout, name)):
            yield f"{name}: {halted} processes stopped"
    yield from (f"{name}: {DARK}" for name in _dark(state))


def heal(layout: Layout, state: LabState) -> list[str]:
    """Heal what can be seen by looking but for dead machines and daemons; return what it was."""
    found = [line for line in seen(layout, state) if not line.endswith(DARK)]
    for name in (SWITCH, *state.machines):
        cgroups.thaw(cgroups.current(), layout.called(name))
        _continue(layout, name)
        if switch.ours(layout, name):
            _mend_links(layout, name)
    if switch.ours(layout, SWITCH):
        for table in tables(layout):
            keep(layout, table)
    return found


def heal_seen(layout: Layout, *, power: bool = False) -> list[str]:
    """Heal what can be seen by looking, unless a run is at work, which heals what it broke itself.

    With `power`, hosts that have none are started as well.
    """
    state = load(layout)
    if state is None or state.boot != boot_id() or healing.standing(folder(layout)):
        return []
    found = heal(layout, state)
    for name in _dark(state) if power else ():
        power_on(layout, name)
        found.append(f"{name}: {DARK}")
    return found


def _dark(state: LabState, only: str = "") -> list[str]:
    """Return the hosts whose first process has ended, or that one if it is among them."""
    return [name for name, machine in state.machines.items() if only in ("", name)
            and state.complete and name in HOSTS and not (machine.init and machine.init.alive)]


def _mend_links(layout: Layout, machine: str) -> None:
    """Put up what is down and take off what shapes a cable; what vanishes meanwhile was a guest's."""
    for link in switch.links(layout, machine):
        with contextlib.suppress(LabError):
            if not link.up:
                call(["ip", "-n", layout.called(machine), "link", "set", link.name, "up"])
            if link.qdisc not in QUIET and link.name.startswith(CABLES):
                call(["tc", "-n", layout.called(machine), "qdisc", "del", "dev", link.name, "root"])


def _cables(layout: Layout, machine: str) -> list[str]:
    """Return the ports of the switch that a machine's cables are in, the first one first."""
    there = {link.name for link in switch.links(layout, SWITCH)}
    return [port for port in switch.ports(machine) if port in there]


def _link(layout: Layout, port: str, how: str) -> list[str]:
    return ["ip", "-n", layout.called(SWITCH), "link", "set", port, how]


def _nft(layout: Layout, *words: str) -> list[str]:
    return ["ip", "netns", "exec", layout.called(SWITCH), "nft", *words]


def _marked(argv: list[str], stdin: str = "") -> None:
    """Run what breaks something so that the guard ends it before it heals: else it might come true afterwards."""
    Local().run(argv, timeout=60, stdin=stdin.encode()).checked()


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _stopped(pid: int) -> bool:
    try:
        return began(pid) is not None and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except (FileNotFoundError, ProcessLookupError):
        return False


HEALERS: dict[str, Callable[[Layout, str], None]] = {
    "power-on": power_on, "connect": connect, "keep": keep, "revive": revive_daemon, "go-on": go_on}


def main(action: str, what: str) -> None:
    """Heal one thing in the lab that the environment means; a lab that is down needs no healing."""
    layout = Layout.current()
    if action not in HEALERS:
        raise InputError(f"{action}: unknown; there are: {', '.join(HEALERS)}")
    if load(layout) is not None:
        HEALERS[action](layout, what)


if __name__ == "__main__":
    main(*sys.argv[1:3])
