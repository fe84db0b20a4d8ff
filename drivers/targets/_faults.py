"""What can be broken on hosts with libvirt, and by what means: guests, their disks and memory, packets, lab hosts.

The one thing to know: each fault is one thing to do and the commands that undo it (see `drivers.healing`). A guest
that is gone needs no healing, so what lies in a guest heals with it if the controller is killed.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import libvirt
import libvirt_qemu

from drivers import healing
from drivers.lab import faults as lab
from drivers.lab import switch
from drivers.lab.layout import Layout
from drivers.shell import Local, Shell, Ssh, owner
from drivers.targets._agent import Agent
from drivers.targets._site import Image, Site
from harness.clock import Clock
from harness.errors import TargetError, Unsupported, VirtmarkError
from harness.protocols import Fault, Injected, Machine

PATIENCE = 30.0
NODE = "virtmark-fault"
FILLER = "virtmark-full"
ANYWHERE = {
    "guest-panic": "sysrq c in the guest, noticed through a panic device",
    "storage-error": "QEMU's blkdebug filter over the guest's disk: reads, writes and flushes fail (EIO)",
    "storage-read-only": "QEMU's blkdebug filter over the guest's disk: writes and flushes fail (EIO)",
    "storage-slow": "libvirt's limit of operations per second on the guest's disk, one each `delay`",
    "disk-full": "a file that takes `share` of the file system in the guest",
    "memory-pressure": "the balloon takes `share` of the guest's memory, through libvirt",
    "packet-loss": "netem in the guest drops `share` of what it sends",
    "packet-delay": "netem in the guest holds up what it sends for `delay`",
}
BY_SHELL = {
    "guest-kill": "SIGKILL of the guest's QEMU on its host",
    "guest-hang": "SIGSTOP of the guest's QEMU on its host",
    "manager-kill": "SIGKILL of the host's libvirtd; its init system starts it again",
}
IN_LAB = BY_SHELL | {
    "host-power-off": "SIGKILL of the host's first process, and its cable dead",
    "host-isolated": "the host's cables out of the switch",
    "packet-loss": "nftables on the switch drops `share` of the packets of the guest, or of the host",
}
TWO_LINKS = {"link-down": "the first of the host's two cables out of the switch"}
CONTAINERS = ("manager-kill", "host-power-off", "host-isolated", "link-down", "packet-loss")
HOST_KINDS = ("host-power-off", "host-isolated", "link-down", "manager-kill")
ERRORS = {"storage-error": ("read", "write", "flush"), "storage-read-only": ("write", "flush")}
PID = "/run/libvirt/qemu/{}.pid"
# $1 = libvirt's URI, $2 = a guest, then a command of virsh about it; a guest that is gone needs none.
_VIRSH = """
uri=$1 name=$2 verb=$3; shift 3
names=$(virsh -q -c "$uri" list --name) || exit 1
printf '%s\\n' "$names" | grep -qxF -e "$name" || exit 0
virsh -q -c "$uri" "$verb" "$name" "$@"
"""
# $1 = libvirt's URI, $2 = a guest, $3 = its disk's device, $4 = the node below the filter. QEMU dies of being given the
# node that it has already, so it is asked first.
_UNFILTER = f"""
uri=$1 name=$2
names=$(virsh -q -c "$uri" list --name) || exit 1
printf '%s\\n' "$names" | grep -qxF -e "$name" || exit 0
ask() {{ virsh -q -c "$uri" qemu-monitor-command "$name" "$1"; }}
said=$(ask '{{"execute": "query-block"}}') || exit 1
case $said in *'"node-name": "{NODE}"'* | *'"node-name":"{NODE}"'*)
  ask '{{"execute": "qom-set", "arguments": {{"path": "'"$3"'", "property": "drive", "value": "'"$4"'"}}}}' || exit 1 ;;
esac
ask '{{"execute": "blockdev-del", "arguments": {{"node-name": "{NODE}"}}}}'
"""
# $1 = share of the file system to take, in 1/10000; at most what is free.
_FILL = f"""
set -- "$1" $(stat -f -c '%b %a %S' .)
want=$(($2 * $1 / 10000)); [ "$want" -le "$3" ] || want=$3
fallocate -l $((want * $4)) {FILLER}
"""
# The rest = the options of netem, on the interface that the guest has.
_NETEM = """
modprobe -q sch_netem
for dev in $(ls /sys/class/net); do
  [ "$dev" = lo ] || tc qdisc replace dev "$dev" root netem "$@" || exit 1
done
"""
_NO_NETEM = 'for dev in $(ls /sys/class/net); do tc qdisc del dev "$dev" root 2>/dev/null; done; true'
_PANIC = "modprobe -q pvpanic-mmio; (sleep 0.2; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 &"


class Platform(Protocol):
    """What a fault needs to know of the target: its hosts, and the domain of a guest."""

    @property
    def clock(self) -> Clock: ...
    @property
    def hosts(self) -> tuple[Any, ...]: ...
    @property
    def _kind(self) -> str: ...
    @property
    def _image(self) -> Image: ...
    def _site(self, index: int) -> Site: ...


@dataclass(frozen=True, kw_only=True)
class Break:
    """How to break one thing: `do` it; `heal` undoes it without a controller, `inside` what the guest can do itself."""

    where: str
    do: Callable[[], object]
    heal: healing.Commands = ()
    inside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Victim:
    """A guest with its domain, and the host on which it runs."""

    machine: Machine
    domain: Any
    site: Site

    @property
    def name(self) -> str:
        return str(self.domain.name())

    def virsh(self, verb: str, *arguments: str) -> tuple[str, ...]:
        """Return a command about this guest that needs no controller."""
        return ("sh", "-c", _VIRSH, "sh", self.site.host.uri, self.name, verb, *arguments)

    def ended(self) -> bool:
        """Say whether libvirt knows that it runs no more."""
        try:
            return not self.domain.isActive()
        except libvirt.libvirtError:
            return True

    def monitor(self, command: str, **arguments: Any) -> Any:
        """Return QEMU's answer to a command of its monitor."""
        request = json.dumps({"execute": command, "arguments": arguments})
        try:
            answer = json.loads(libvirt_qemu.qemuMonitorCommand(self.domain, request, 0))
        except libvirt.libvirtError as error:
            raise TargetError(f"{self.name}: {command}: {error}") from None
        if "error" in answer:
            raise TargetError(f"{self.name}: {command}: {answer['error']['desc']}")
        return answer["return"]


def kinds(target: Platform) -> Mapping[str, str]:
    """Return the faults that the hosts of a target can have, and by what means."""
    found = dict(ANYWHERE)
    if all(host.lab for host in target.hosts):
        found |= IN_LAB | (TWO_LINKS if lab.redundant(Layout.current()) else {})
    elif all(host.shell for host in target.hosts):
        found |= BY_SHELL
    return {kind: how for kind, how in found.items() if target._kind != "lxc" or kind in CONTAINERS}


@contextmanager
def inject(target: Platform, fault: Fault, guest: Machine | None) -> Iterator[Injected]:
    """Break it and yield when that was; leaving the context heals."""
    how = kinds(target).get(fault.kind)
    if how is None:
        raise Unsupported(f"libvirt: {fault.kind} is none of the faults that these hosts can have: "
                          f"{', '.join(kinds(target))}")
    act = _about_host(target, fault) if guest is None or fault.kind in HOST_KINDS else _about_guest(
        target, fault, victim(target, guest))
    if not act.heal:
        start = target.clock.now()
        act.do()
        yield Injected(start=start, end=target.clock.now(), how=how)
        return
    folder = folder_of(target)
    injected, entry = None, None
    try:
        with healing.broken(folder, fault.kind, act.where, act.heal) as entry:
            start = target.clock.now()
            act.do()
            injected = Injected(start=start, end=target.clock.now(), how=how)
            try:
                yield injected
            finally:
                if guest is not None and act.inside:
                    with suppress(VirtmarkError):  # what heals without us comes afterwards
                        guest.run(act.inside, timeout=PATIENCE)
    finally:
        if injected and entry and entry not in healing.standing(folder):
            injected.healed = target.clock.now()


def folder_of(target: Platform) -> Path:
    """Return where faults of a target are written down."""
    return lab.folder(Layout.current()) if any(host.lab for host in target.hosts) else healing.usual_folder()


def mend(target: Platform) -> list[str]:
    """Heal what controllers that are gone left broken; return a line for each fault."""
    found = healing.mend_left(folder_of(target))
    if any(host.lab for host in target.hosts):
        found += [f"fault {line}, healed" for line in lab.heal_seen(Layout.current(), power=True)]
    return found


def victim(target: Platform, guest: Machine) -> Victim:
    """Return a guest with its domain and its host; TargetError where it runs on none of the target's."""
    domain = _domain(guest)
    uri = domain.connect().getURI()
    for index in range(len(target.hosts)):
        if target._site(index).host.uri == uri:
            return Victim(guest, domain, target._site(index))
    raise TargetError(f"{guest.name}: runs on no host of the target")


def _domain(guest: Machine) -> Any:
    if not isinstance(guest, Agent):
        raise Unsupported(f"{guest.name}: only guests that are spoken to through their agent can be broken")
    return guest.channel.domain


def _about_host(target: Platform, fault: Fault) -> Break:
    host = target._site(fault.host).host
    where = host.lab or host.uri
    if not host.lab:
        if fault.kind != "manager-kill":
            raise Unsupported(f"libvirt: {fault.kind} needs a guest")
        system = target._site(fault.host).system
        return Break(where=where, do=_on(system, "systemctl", "kill", "-s", "KILL", "libvirtd"),
                     heal=(_alone(system, "systemctl", "start", "libvirtd"),))
    layout, name = Layout.current(), host.lab
    table = owner.new_name("loss").replace(owner.PREFIX, f"{lab.TABLE}-")
    cables = ", ".join(f'"{port}"' for port in switch.ports(name))
    either = (f"iifname {{ {cables} }}", f"oifname {{ {cables} }}")
    acts: dict[str, tuple[Callable[[], object], tuple[str, ...]]] = {
        "host-power-off": (lambda: lab.power_off(layout, name), lab.healer(layout, "power-on", name)),
        "host-isolated": (lambda: lab.isolate(layout, name), lab.healer(layout, "power-on", name)),
        "link-down": (lambda: lab.unplug(layout, name), lab.healer(layout, "connect", name)),
        "manager-kill": (lambda: lab.kill_daemon(layout, name), lab.healer(layout, "revive", name)),
        "packet-loss": (lambda: lab.lose(layout, table, fault.share, either), lab.healer(layout, "keep", table)),
    }
    if fault.kind not in acts:
        raise Unsupported(f"libvirt: {fault.kind} needs a guest")
    do, heal = acts[fault.kind]
    return Break(where=where, do=do, heal=(heal,))


def _about_guest(target: Platform, fault: Fault, guest: Victim) -> Break:
    if fault.kind in ("guest-kill", "guest-hang"):
        return _signalled(fault, guest)
    if fault.kind == "packet-loss" and guest.site.host.lab:
        layout, address = Layout.current(), guest.machine.address
        table = owner.new_name("loss").replace(owner.PREFIX, f"{lab.TABLE}-")
        match = (f"ip saddr {address}", f"ip daddr {address}")
        return Break(where=guest.name, do=lambda: lab.lose(layout, table, fault.share, match),
                     heal=(lab.healer(layout, "keep", table),))
    if fault.kind in ERRORS:
        return _failing_disk(fault, guest)
    if fault.kind == "storage-slow":
        limit = max(1, round(1 / fault.delay)) if fault.delay else 1
        return Break(where=guest.name, do=lambda: guest.domain.setBlockIoTune(
            "vda", {"total_iops_sec": limit}, libvirt.VIR_DOMAIN_AFFECT_LIVE),
            heal=(guest.virsh("blkdeviotune", "vda", "--total-iops-sec", "0", "--live"),))
    if fault.kind == "memory-pressure":
        whole = int(guest.domain.maxMemory())
        return Break(where=guest.name, do=lambda: _squeeze(guest, int(whole * (1 - fault.share))),
                     heal=(guest.virsh("setmem", str(whole), "--live"),))
    return _within(target, fault, guest)


def _within(target: Platform, fault: Fault, guest: Victim) -> Break:
    """Return what a command in the guest breaks, and what another heals, which the agent can be given as well."""
    def run(*argv: str) -> Callable[[], object]:
        return lambda: guest.machine.run(argv, timeout=2 * PATIENCE).checked()

    if fault.kind == "guest-panic":
        return Break(where=guest.name, do=lambda: _panic(guest))
    if fault.kind == "disk-full":
        heal = f"rm -f {target._image.directory.rstrip('/')}/{FILLER}"
        do = run("sh", "-c", _FILL, "sh", str(round(fault.share * 10000)))
    else:
        how = ("delay", f"{fault.delay * 1e6:.0f}us") if fault.kind == "packet-delay" else (
            "loss", f"{fault.share * 100:g}%")
        heal, do = _NO_NETEM, lambda: _netem(guest, how)
    asked = json.dumps({"execute": "guest-exec", "arguments": {"path": "/bin/sh", "arg": ["-c", heal]}})
    return Break(where=guest.name, do=do, inside=("sh", "-c", heal), heal=(guest.virsh("qemu-agent-command", asked),))


def _netem(guest: Victim, how: Sequence[str]) -> None:
    """Have the guest's kernel lose or hold up what it sends; Unsupported where it has no netem."""
    done = guest.machine.run(["sh", "-c", _NETEM, "sh", *how], timeout=2 * PATIENCE)
    if done.code and "kind is unknown" in done.stderr:
        raise Unsupported(f"{guest.name}: its kernel has no netem")
    done.checked()


def _failing_disk(fault: Fault, guest: Victim) -> Break:
    """Return how to put a filter that fails over the guest's first disk, and how to take it off again."""
    disk = guest.monitor("query-block")[0]
    device, below = disk["qdev"], disk["inserted"]["node-name"]

    def do() -> None:
        errors = [{"event": "none", "iotype": each, "errno": 5} for each in ERRORS[fault.kind]]
        guest.monitor("blockdev-add", driver="blkdebug", image=below, **{"node-name": NODE, "inject-error": errors})
        guest.monitor("qom-set", path=device, property="drive", value=NODE)

    heal = ("sh", "-c", _UNFILTER, "sh", guest.site.host.uri, guest.name, device, below)
    return Break(where=guest.name, do=do, heal=(heal,))


def _signalled(fault: Fault, guest: Victim) -> Break:
    """Return how to send a signal to the guest's QEMU, and for a guest that is only stopped how to let it go on."""
    kill = fault.kind == "guest-kill"
    name, number = guest.name, signal.SIGKILL if kill else signal.SIGSTOP
    host, file, system = guest.site.host, PID.format(guest.name), guest.site.system
    if host.lab:
        pid = lab.qemu(Layout.current(), host.lab, name)
        heal = lab.healer(Layout.current(), "go-on", host.lab)
    else:
        heal = _alone(system, "sh", "-c", f'[ ! -e "{file}" ] || kill -CONT "$(cat "{file}")"')

    def do() -> None:
        if host.lab:
            os.kill(pid, number)
        else:
            _on(system, "sh", "-c", 'kill "-$1" "$(cat "$2")"', "sh", str(int(number)), file)()
        if kill:
            _await_end(guest)

    return Break(where=name, do=do, heal=() if kill else (heal,))


def _panic(guest: Victim) -> None:
    guest.machine.run(["sh", "-c", _PANIC], timeout=PATIENCE).checked()
    _await_end(guest)


def _await_end(guest: Victim) -> None:
    """Return when libvirt has noticed that the guest is gone."""
    _await(guest.ended, f"{guest.name}: libvirt has not noticed its end")


def _squeeze(guest: Victim, memory: int) -> None:
    """Return when the balloon has left the guest `memory` KiB, or as much as its driver could take."""
    guest.domain.setMemoryFlags(memory, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    _await(lambda: guest.domain.memoryStats().get("actual", 0) <= memory * 1.01,
           f"{guest.name}: its balloon does not give memory back")


def _await(true: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise TargetError(f"{otherwise} after {PATIENCE:g} s")
        time.sleep(0.01)


def _on(machine: Shell, *argv: str) -> Callable[[], object]:
    return lambda: machine.run(argv, timeout=PATIENCE).checked()


def _alone(machine: Shell, *argv: str) -> tuple[str, ...]:
    """Return a command line that runs `argv` on a machine without this controller's connections."""
    if isinstance(machine, Ssh):
        return machine.alone(argv)
    if isinstance(machine, Local):
        return (*machine.prefix, *argv)
    raise Unsupported(f"{machine.name}: cannot be healed if the controller is killed")

