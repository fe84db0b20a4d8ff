"""The embedded lab as a whole: up, down. (What stands of it: drivers.lab.report.)

The one thing to know: `up` heals. On a lab that stands it changes nothing; what is missing, dead or half made, by
a killed `up` for instance, is removed and made again. `down` needs no state: it also removes what a killed `up` left.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from drivers.lab import cache, cgroups, image, machines, switch
from drivers.lab.layout import CLIENT, HOSTS, STACKS, SWITCH, Layout
from drivers.lab.state import LabState, MachineState, boot_id, load, save
from harness.errors import InputError, LabError

Say = Callable[[str], None]
EVERYONE = (*HOSTS, CLIENT)


def silent(_: str) -> None:
    """Say nothing."""


def up(stacks: Sequence[str] = ("bookworm",), *, layout: Layout | None = None, say: Say = silent) -> LabState:
    """Bring the lab up with the hosts of `stacks`, in addition to what already stands; return its state.

    `say` gets one line for each part. LabError if this machine lacks a right, a program or a kernel feature;
    InputError if there is no such stack.
    """
    layout = (layout or Layout.current()).checked()
    for stack in stacks:
        if stack not in STACKS:
            raise InputError(f"stack {stack!r}: unknown; there are: {', '.join(STACKS)}")
    with cache.locked(layout.lock, wait=False):
        picture = image.build(layout, say)
        state = _begin(layout, stacks, picture, say)
        for machine in _wanted(state.stacks):
            state = _ensure(layout, state, machine, say)
        return save(layout, msgspec.structs.replace(state, complete=True))


def down(*, layout: Layout | None = None, say: Say = silent) -> int:
    """Take the lab down, however much of it stands; return the number of processes ended. Images stay in the cache."""
    layout = layout or Layout.current()
    if not layout.lock.exists() and not layout.root.exists() and not any(_traces(layout)):
        say("lab: nothing stands")
        return 0
    with cache.locked(layout.lock, wait=False):
        ended = sum(machines.end(layout, machine) for machine in EVERYONE)
        made_folder = _made_folder(layout)
        for machine in (*EVERYONE, SWITCH):
            machines.remove(layout, machine)
        if made_folder:
            switch.forget_folder()
        shutil.rmtree(layout.root, ignore_errors=True)
        layout.lock.unlink(missing_ok=True)
    if layout.state.is_dir() and not any(layout.state.iterdir()):
        layout.state.rmdir()
    say(f"lab: down, {ended} processes ended")
    return ended


def _begin(layout: Layout, stacks: Sequence[str], picture: Path, say: Say) -> LabState:
    """Return the state to build on: of the lab that stands, else a fresh one with its switch."""
    old = _usable(layout)
    if old is None:
        say("lab: making the switch")
        _clear(layout)
        layout.shared.mkdir(parents=True)
        old = save(layout, LabState(boot=boot_id(), made_netns_folder=not switch.folder_mounted()))
        switch.raise_switch(layout)
    elif old.image != str(picture):
        raise LabError(f"{layout.root}: the lab that is up has another guest image; run: virtmark lab down")
    link = layout.image
    if not link.is_symlink():
        link.symlink_to(picture)
    both = tuple(stack for stack in STACKS if stack in (*old.stacks, *stacks))
    return save(layout, msgspec.structs.replace(old, complete=False, stacks=both, image=str(picture)))


def _usable(layout: Layout) -> LabState | None:
    """Return the state of a lab of this boot whose switch stands."""
    try:
        state = load(layout)
    except LabError:
        return None
    return state if state and state.boot == boot_id() and state.image and switch.ours(layout, SWITCH) else None


def _clear(layout: Layout) -> None:
    """Remove what an earlier lab left."""
    for machine in EVERYONE:
        if switch.ours(layout, machine) or cgroups.folders(cgroups.current(), layout.called(machine)):
            machines.end(layout, machine)
    for machine in (*EVERYONE, SWITCH):
        machines.remove(layout, machine)
    shutil.rmtree(layout.root, ignore_errors=True)


def _wanted(stacks: Sequence[str]) -> list[str]:
    return [CLIENT, *(host for stack in stacks for host in STACKS[stack].hosts)]


def _ensure(layout: Layout, state: LabState, machine: str, say: Say) -> LabState:
    """Start a machine unless it runs; a dead one is removed first."""
    known = state.machines.get(machine)
    if known and known.init and known.init.alive:
        return state
    machines.end(layout, machine)
    machines.remove(layout, machine)
    say(f"{machine}: starting")
    state = _note(layout, state, MachineState(name=machine))
    switch.create(layout, machine)
    switch.connect(layout, machine, bridged=machine in HOSTS)
    lacking = cgroups.create(cgroups.current(), layout.called(machine))
    made = machines.start(layout, machine, root=_root(machine), image=Path(state.image))
    notes = dict.fromkeys((*state.notes, *(f"no cgroup control of {name}" for name in lacking)))
    return _note(layout, msgspec.structs.replace(state, notes=tuple(notes)), made)


def _note(layout: Layout, state: LabState, machine: MachineState) -> LabState:
    known = {**state.machines, machine.name: machine}
    return save(layout, msgspec.structs.replace(state, machines=known))


def _root(machine: str) -> Path | None:
    """Return the root file system of a host; None where this machine's own serves."""
    return None


def _made_folder(layout: Layout) -> bool:
    try:
        state = load(layout)
    except LabError:
        return False
    return bool(state and state.made_netns_folder)


def _traces(layout: Layout) -> Iterator[str]:
    """Yield the names of what this lab has outside its folder."""
    groups = cgroups.current()
    for machine in (*EVERYONE, SWITCH):
        if switch.ours(layout, machine) or cgroups.folders(groups, layout.called(machine)):
            yield layout.called(machine)
