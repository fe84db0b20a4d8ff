"""The embedded lab as a whole: up, down, status.

The one thing to know: `up` heals. On a lab that stands it changes nothing; what is missing, dead or half made, by
a killed `up` for instance, is removed and made again. `down` needs no state: it also removes what a killed `up` left.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil

from drivers import healing
from drivers.lab import accelerator, cache, cgroups, cluster, faults, image, machines, needs, podman, rootfs, switch
from drivers.lab.enter import prefix
from drivers.lab.layout import CLIENT, HOSTS, STACKS, SWITCH, Layout, has_containers, stack_of
from drivers.lab.report import LabStatus, MachineStatus, status, text
from drivers.lab.state import LabState, MachineState, boot_id, load, save
from harness.errors import InputError, LabError, TargetError

Say = Callable[[str], None]
DEFAULT = ("bookworm",)
ROOM = 2 * 10**9


def silent(_: str) -> None:
    """Say nothing."""


def up(stacks: Sequence[str] = DEFAULT, *, links: int | None = None, layout: Layout | None = None, say: Say = silent
       ) -> LabState:
    """Bring the lab up with the hosts of `stacks`, in addition to what already stands; return its state.

    Each host has so many `links` to the switch, 1 or 2: 1 unless the lab stands, and what it has if it does.
    `say` gets one line for each part. LabError if this machine lacks a right, a program or a kernel feature;
    InputError if there is no such stack.
    """
    layout = (layout or Layout.current()).checked()
    for stack in stacks:
        if stack not in STACKS:
            raise InputError(f"stack {stack!r}: unknown; there are: {', '.join(STACKS)}")
    needs.check(stacks)
    mend_left(layout, say)
    with _plainly(), cache.locked(layout.lock, wait=False):
        cache.check_room(layout.state, ROOM)
        picture = image.build(layout, say)
        for stack in stacks:
            rootfs.build(layout, STACKS[stack], say)
        before = _usable(layout)
        try:
            state = _begin(layout, stacks, picture, links, say)
            for line in faults.heal_seen(layout):
                say(f"healed: {line}")
            for machine in _wanted(state.stacks):
                state = _ensure(layout, state, machine, say)
            return _finish(layout, state, say)
        except BaseException:
            _undo(layout, before)
            raise


def down(*, layout: Layout | None = None, say: Say = silent) -> int:
    """Take the lab down, however much of it stands; return the number of processes ended. Images stay in the cache."""
    layout = layout or Layout.current()
    if not layout.lock.exists() and not layout.root.exists() and not any(machines.traces(layout)):
        say("lab: nothing stands")
        return 0
    needs.check_root()
    with _plainly(), cache.locked(layout.lock, wait=False):
        ended = _raze(layout)
    say(f"lab: down, {ended} processes ended")
    return ended


def mend_left(layout: Layout, say: Say = silent) -> None:
    """Heal what controllers that are gone left broken, where the lab still stands."""
    if _usable(layout) is None:
        return
    try:
        for line in healing.mend_left(faults.folder(layout)):
            say(line)
    except TargetError as error:
        say(f"lab: {error}")  # what `up` does next mends it, or makes it anew


def power_on(layout: Layout, host: str) -> None:
    """Start a host whose processes have ended, unless it runs; its disks and settings are as they were."""
    with _plainly(), cache.locked(layout.lock):
        state = _usable(layout)
        known = state and state.machines.get(host)
        if not state or not known or (known.init and known.init.alive and known.versions):
            return
        machines.end(layout, host)
        machines.forget_running(layout, host)
        cgroups.create(cgroups.current(), layout.called(host))
        made = machines.start(layout, host, root=rootfs.build(layout, stack_of(host), silent), image=Path(state.image))
        state = _note(layout, state, made)
        if has_containers(host):
            version = podman.start(layout, state, host, silent)
            _note(layout, state, msgspec.structs.replace(made, versions={**made.versions, "podman": version}))
        if cluster.stands(layout, host):
            cluster.join(layout, host)


@contextmanager
def _plainly() -> Iterator[None]:
    """Turn what the system refuses into one line."""
    try:
        yield
    except OSError as error:
        raise LabError(f"{error.filename or 'lab'}: {error.strerror or error}") from None
    except (subprocess.SubprocessError, psutil.Error) as error:
        raise LabError(f"lab: {error}") from None


def _begin(layout: Layout, stacks: Sequence[str], picture: Path, links: int | None, say: Say) -> LabState:
    """Return the state to build on: of the lab that stands, else a fresh one with its switch."""
    old = _usable(layout)
    if old is None:
        say("switch: making it")
        made_folder = _made_folder(layout) or not switch.folder_mounted()
        _clear(layout)
        shutil.rmtree(layout.root, ignore_errors=True)
        layout.shared.mkdir(parents=True)
        notes = tuple(needs.shortcomings())
        old = save(layout, LabState(boot=boot_id(), links=links or 1, image=str(picture), made_netns_folder=made_folder,
                                    notes=notes))
        layout.image.symlink_to(picture)
        switch.raise_switch(layout, links=old.links)
    elif old.image != str(picture):
        raise LabError(f"{layout.root}: the lab that is up has another guest image; run: virtmark lab down")
    elif links not in (None, old.links):
        raise LabError(f"{layout.root}: the lab that is up has {old.links} link(s) a host; run: virtmark lab down")
    both = tuple(stack for stack in STACKS if stack in (*old.stacks, *stacks))
    return save(layout, msgspec.structs.replace(old, complete=False, stacks=both))


def _usable(layout: Layout) -> LabState | None:
    """Return the state of a lab of this boot whose switch stands."""
    try:
        state = load(layout)
    except LabError:
        return None
    return state if state and state.boot == boot_id() and switch.standing(layout) else None


def _undo(layout: Layout, before: LabState | None) -> None:
    """Go back to the lab that stood before, if any, after a failure or an interruption."""
    kept = before.machines if before else {}
    for machine in machines.traces(layout):
        if machine not in kept and not (before and machine == SWITCH):
            machines.end(layout, machine)
            machines.remove(layout, machine)
    if before:
        save(layout, before)
    else:
        _raze(layout)


def _raze(layout: Layout) -> int:
    """Remove the whole lab; return the number of processes ended. The lock goes last, and the folder if it is empty."""
    ended, made_folder = _clear(layout), _made_folder(layout)
    shutil.rmtree(layout.root, ignore_errors=True)
    if made_folder:
        switch.forget_folder()
    layout.lock.unlink(missing_ok=True)
    if not any(layout.state.iterdir()):
        layout.state.rmdir()
    return ended


def _clear(layout: Layout) -> int:
    """Remove everything outside the lab's folder; return the number of processes ended."""
    standing = list(machines.traces(layout))
    ended = sum(machines.end(layout, machine) for machine in standing)
    for machine in standing:
        machines.remove(layout, machine)
    return ended


def _wanted(stacks: Sequence[str]) -> list[str]:
    return [CLIENT, *(host for stack in stacks for host in STACKS[stack].hosts)]


def _ensure(layout: Layout, state: LabState, machine: str, say: Say) -> LabState:
    """Start a machine unless it runs; a dead one is removed first."""
    known = state.machines.get(machine)
    if known and known.init and known.init.alive and known.versions.keys() >= _due(machine):
        if machine in HOSTS and machines.revive(layout, machine):
            say(f"{machine}: libvirtd was dead; started again")
        return state
    if switch.ours(layout, machine) or cgroups.folders(cgroups.current(), layout.called(machine)):
        machines.end(layout, machine)
        machines.remove(layout, machine)
    say(f"{machine}: starting")
    state = _note(layout, state, MachineState(name=machine))
    switch.create(layout, machine)
    switch.connect(layout, machine, bridged=machine in HOSTS, links=state.links)
    lacking = cgroups.create(cgroups.current(), layout.called(machine))
    root = rootfs.build(layout, stack_of(machine), silent) if machine in HOSTS else None
    made = machines.start(layout, machine, root=root, image=Path(state.image))
    notes = dict.fromkeys((*state.notes, *(f"cgroup controller {name} cannot be handed on" for name in lacking)))
    return _note(layout, msgspec.structs.replace(state, notes=tuple(notes)), made)


def _finish(layout: Layout, state: LabState, say: Say) -> LabState:
    """Start what runs inside the hosts, and find out how guests can be run."""
    for machine in _wanted(state.stacks):
        if machine in HOSTS and state.links > 1:
            switch.settle(layout, machine)
        if has_containers(machine):
            known = state.machines[machine]
            version = podman.start(layout, state, machine, say)
            state = _note(layout, state, msgspec.structs.replace(known, versions={**known.versions, "podman": version}))
    if not state.accelerator:
        say("guests: finding out whether kvm boots one")
        host = STACKS[state.stacks[0]].hosts[0]
        kind = accelerator.find(layout, prefix(state, layout, host, tools=False), Path(state.image))
        state = msgspec.structs.replace(state, accelerator=kind)
    return save(layout, msgspec.structs.replace(state, complete=True))


def _due(machine: str) -> set[str]:
    """Return what a machine's versions tell once its start went through."""
    return {"libvirt"} if machine in HOSTS else set()


def _note(layout: Layout, state: LabState, machine: MachineState) -> LabState:
    known = {**state.machines, machine.name: machine}
    return save(layout, msgspec.structs.replace(state, machines=known))


def _made_folder(layout: Layout) -> bool:
    try:
        state = load(layout)
    except LabError:
        return False
    return bool(state and state.made_netns_folder)


__all__ = ["DEFAULT", "LabState", "LabStatus", "MachineStatus", "down", "silent", "status", "text", "up"]
