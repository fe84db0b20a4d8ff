"""What stands of a lab, looked at rather than believed: machines, daemons, guests, containers, faults, leftovers.

The one thing to know: nothing here changes anything, and nothing here raises because a part is broken; a broken part
is what the report is for.
"""

from __future__ import annotations

import json
from pathlib import Path

from drivers import healing
from drivers.lab import faults, machines, podman, switch
from drivers.lab.command import call
from drivers.lab.layout import HOSTS, SWITCH, Layout, address, has_containers, stack_of
from drivers.lab.state import LabState, boot_id, load
from drivers.shell import owner
from harness.errors import LabError
from harness.model import Record


class MachineStatus(Record, frozen=True, kw_only=True):
    """A host or the client. `daemon` says whether its libvirtd answers; `guests` are those it runs, by name."""

    name: str
    address: str
    alive: bool
    stack: str = ""
    versions: dict[str, str] = {}
    daemon: bool = False
    guests: tuple[str, ...] = ()
    containers: tuple[str, ...] | None = None
    memory: int = 0


class LabStatus(Record, frozen=True, kw_only=True):
    """A lab. `leftovers` stand without belonging to it, `faults` are injected and not healed, `notes` tell what this
    machine makes it do without. `memory` of a machine is the resident set of all its processes, in B."""

    up: bool
    folder: str
    complete: bool = False
    accelerator: str = ""
    image: str = ""
    stacks: tuple[str, ...] = ()
    machines: tuple[MachineStatus, ...] = ()
    faults: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def status(layout: Layout | None = None) -> LabStatus:
    """Look at the lab and return what stands."""
    layout = layout or Layout.current()
    try:
        state = load(layout)
    except LabError as error:
        return LabStatus(up=False, folder=str(layout.root), leftovers=(str(error), *_strays(layout, None)))
    if state is None or state.boot != boot_id():
        return LabStatus(up=False, folder=str(layout.root), leftovers=tuple(_strays(layout, None)))
    found = tuple(_machine(layout, state, name) for name in state.machines)
    return LabStatus(
        up=state.complete and all(each.alive and (each.daemon or each.name not in HOSTS) for each in found),
        folder=str(layout.root), complete=state.complete, accelerator=state.accelerator, image=Path(state.image).name,
        stacks=state.stacks, machines=found, faults=tuple(_faults(layout, state)),
        leftovers=tuple(_strays(layout, state)), notes=state.notes)


def text(found: LabStatus) -> str:
    """Return the status as lines for people."""
    if not found.stacks:
        lines = ["lab: down"]
    else:
        how = "up" if found.up else "damaged" if found.complete else "half up"
        lines = [f"lab: {how} in {found.folder}; guests by {found.accelerator or 'unknown'}, image {found.image}"]
    lines += [_line(each) for each in found.machines]
    if found.stacks and not found.faults:
        lines.append("  no fault that is not healed")
    for name, what in (("fault not healed", found.faults), ("leftover", found.leftovers), ("note", found.notes)):
        lines += [f"  {name}: {each}" for each in what]
    if found.leftovers or (found.stacks and not found.up):
        lines.append("  to repair: virtmark lab up; to remove all: virtmark lab down")
    return "\n".join(lines)


def _line(machine: MachineStatus) -> str:
    said = [f"  {machine.name:7}{machine.address:13}"]
    if not machine.alive:
        return f"{said[0]}dead"
    if machine.stack:
        versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
        said.append(f"{machine.stack} ({versions}), {'' if machine.daemon else 'libvirtd does not answer, '}"
                    f"{len(machine.guests)} guests{_named(machine.guests)}")
    if machine.containers is not None:
        said.append(f", {len(machine.containers)} containers{_named(machine.containers)}")
    said.append(f"{', ' if machine.stack else ''}{machine.memory / 2**20:.0f} MiB")
    return "".join(said)


def _named(names: tuple[str, ...]) -> str:
    return f" ({', '.join(names)})" if names else ""


def _machine(layout: Layout, state: LabState, name: str) -> MachineStatus:
    known = state.machines[name]
    alive = bool(known.init and known.init.alive)
    if not alive or name not in HOSTS:
        return MachineStatus(name=name, address=address(name), alive=alive, memory=_memory(layout, name))
    guests = _guests(layout, name)
    return MachineStatus(
        name=name, address=address(name), alive=True, stack=stack_of(name).suite, versions=known.versions,
        daemon=guests is not None, guests=guests or (), memory=_memory(layout, name),
        containers=_containers(layout, name) if has_containers(name) else None)


def _guests(layout: Layout, host: str) -> tuple[str, ...] | None:
    """Return the names of a host's running guests; None if its libvirtd does not answer."""
    try:
        found = [call(["virsh", "-c", layout.libvirt_uri(host, driver), "list", "--name"], timeout=20.0).split()
                 for driver in ("qemu", "lxc")]
    except LabError:
        return None
    return tuple(name for names in found for name in names)


def _containers(layout: Layout, host: str) -> tuple[str, ...]:
    answer = podman.ask(layout.podman_socket(host), "/containers/json")
    listed = json.loads(answer) if answer else []
    return tuple(each["Names"][0].lstrip("/") for each in listed) if isinstance(listed, list) else ()


def _memory(layout: Layout, machine: str) -> int:
    pages = 0
    for pid in machines.members(layout, machine):
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return pages * 4096


def _faults(layout: Layout, state: LabState) -> list[str]:
    """Return what is broken on purpose: what was written down before it was done, and what can be seen by looking."""
    noted = [f"{each} (its controller {'is gone' if owner.left_behind(each.name) else 'lives'})"
             for each in healing.standing(faults.folder(layout))]
    return [*noted, *faults.seen(layout, state)]


def _strays(layout: Layout, state: LabState | None) -> list[str]:
    """Return what stands and does not belong to the lab in `state`."""
    known = {SWITCH, *state.machines} if state else set()
    found = [f"{layout.called(name)}: namespace or cgroup without a lab"
             for name in machines.traces(layout) if name not in known]
    foreign = [layout.called(name) for name in (*machines.EVERYONE, SWITCH)
               if switch.file_of(layout, name).exists() and not switch.ours(layout, name)]
    return found + [f"{name}: a network namespace of that name that is not this lab's" for name in foreign]


__all__ = ["LabStatus", "MachineStatus", "status", "text"]
