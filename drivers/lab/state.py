"""What stands of a lab, as a file: written before a thing is made, so that a killed `up` leaves no unknown thing.

The one thing to know: a process is named by its id and the moment it began, since ids are used again.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from drivers.lab.layout import Layout
from harness.errors import LabError
from harness.model import Record

VERSION = 1


class Process(Record, frozen=True, kw_only=True):
    """A process on this machine: its id, and the clock tick after boot at which it began."""

    pid: int
    began: int

    @property
    def alive(self) -> bool:
        """Say whether it still runs (a zombie does not)."""
        return began(self.pid) == self.began

    @classmethod
    def of(cls, pid: int) -> Process:
        """Return the process that has this id now; LabError if there is none."""
        tick = began(pid)
        if tick is None:
            raise LabError(f"process {pid} has ended")
        return cls(pid=pid, began=tick)


class MachineState(Record, frozen=True, kw_only=True):
    """A host or the client: its process 1, and on a host the versions of what runs there."""

    name: str
    init: Process | None = None
    versions: dict[str, str] = {}


class LabState(Record, frozen=True, kw_only=True):
    """A lab, with so many `links` from each host to the switch. `complete` is False while `up` is at work, and stays so
    if it was killed."""

    version: int = VERSION
    boot: str
    complete: bool = False
    stacks: tuple[str, ...] = ()
    machines: dict[str, MachineState] = {}
    links: int = 1
    image: str = ""
    accelerator: str = ""
    made_netns_folder: bool = False
    notes: tuple[str, ...] = ()


def began(pid: int) -> int | None:
    """Return the clock tick at which a living process began; None if there is none of that id."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def boot_id() -> str:
    """Return what names the time since this machine's last start; a lab does not survive one."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def load(layout: Layout) -> LabState | None:
    """Return the lab's state; None if there is no lab; LabError if the file cannot be read."""
    try:
        return msgspec.json.decode(layout.state_file.read_bytes(), type=LabState)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise LabError(f"{layout.state_file}: {error}; run: virtmark lab down") from None


def save(layout: Layout, state: LabState) -> LabState:
    """Write the state, whole or not at all, and return it."""
    fresh = layout.state_file.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(state), indent=1))
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(layout.state_file)
    return state


def living(layout: Layout) -> LabState:
    """Return the state of a lab that is up; LabError says how to bring it up."""
    state = load(layout)
    if state is None or state.boot != boot_id():
        raise LabError(f"{layout.root}: the lab is not up; run: virtmark lab up")
    if not state.complete:
        raise LabError(f"{layout.root}: the lab is only half up; run: virtmark lab up")
    return state
