"""The control groups of this machine, version 1, 2 or both, and one group in them for each machine of the lab.

The one thing to know: where a machine has version 1 controllers those are used and version 2 is left alone
("hybrid"); else version 2, whose processes live in a leaf of their own because a version 2 group with processes
cannot hand controllers on to groups below it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WANTED = ("cpu", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "cpuacct")
WANTED_V2 = ("cpu", "cpuset", "memory", "io", "pids")
LEAF = "init"


@dataclass(frozen=True)
class Hierarchies:
    """Mount points of control groups: version 1 by mount option ("cpu,cpuacct"), version 2 if it is the one in use."""

    v1: tuple[tuple[str, Path], ...] = ()
    v2: Path | None = None

    @property
    def roots(self) -> tuple[Path, ...]:
        """Return every mount point in use."""
        return tuple(path for _, path in self.v1) or ((self.v2,) if self.v2 else ())

    @property
    def controllers(self) -> str:
        """Return the version 1 mount options, separated by blanks."""
        return " ".join(option for option, _ in self.v1)


def parse(mountinfo: str) -> Hierarchies:
    """Read the hierarchies out of the text of /proc/self/mountinfo."""
    v1: dict[str, Path] = {}
    v2 = None
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        place, (kind, _, options) = Path(left.split()[4]), right.split(" ", 2)
        if kind == "cgroup2":
            v2 = v2 or place
        elif kind == "cgroup" and (named := [name for name in options.split(",") if name in WANTED]):
            v1.setdefault(",".join(named), place)
    return Hierarchies(tuple(v1.items()), None if v1 else v2)


def current() -> Hierarchies:
    """Return the hierarchies of this machine."""
    return parse(Path("/proc/self/mountinfo").read_text())


def missing(groups: Hierarchies) -> list[str]:
    """Return the controllers that a lab would use and this machine does not offer."""
    if groups.v1:
        have = {name for option, _ in groups.v1 for name in option.split(",")}
        return [name for name in WANTED if name not in have]
    have = set((groups.v2 / "cgroup.controllers").read_text().split()) if groups.v2 else set()
    return [name for name in WANTED_V2 if name not in have]


def create(groups: Hierarchies, name: str) -> list[str]:
    """Make the group `name` in every hierarchy; return the controllers that could not be handed on to it."""
    for root in groups.roots:
        (root / name).mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):
            if groups.v1 and (root / name / file).exists():
                (root / name / file).write_text((root / file).read_text())
    if not groups.v2:
        return []
    (groups.v2 / name / LEAF).mkdir(exist_ok=True)
    offered = (groups.v2 / "cgroup.controllers").read_text().split()
    return [wanted for wanted in WANTED_V2 if wanted in offered and not _hand_on(groups.v2, wanted)]


def _hand_on(group: Path, controller: str) -> bool:
    try:
        (group / "cgroup.subtree_control").write_text(f"+{controller}")
    except OSError:
        return False
    return True


def folders(groups: Hierarchies, name: str) -> list[Path]:
    """Return the folders of group `name` that exist."""
    return [root / name for root in groups.roots if (root / name).is_dir()]


def members(groups: Hierarchies, name: str) -> set[int]:
    """Return the ids of all processes in group `name` and below, in whatever hierarchy."""
    return {int(word) for file in _files(groups, name, "cgroup.procs") for word in _read(file).split()} - {0}


def thaw(groups: Hierarchies, name: str) -> None:
    """Let frozen processes of group `name` go on, since a frozen one cannot even be killed in version 1."""
    for file, running in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
        for switch in _files(groups, name, file):
            _write(switch, running)


def frozen(groups: Hierarchies, name: str) -> bool:
    """Say whether anything in group `name` is frozen."""
    return any(_read(switch).strip() in ("FROZEN", "FREEZING", "1")
               for file in ("freezer.state", "cgroup.freeze") for switch in _files(groups, name, file))


def remove(groups: Hierarchies, name: str) -> list[Path]:
    """Remove group `name` with all below it; return what could not be removed because processes are in it."""
    left = []
    for folder in folders(groups, name):
        for group in _deepest_first(folder):
            try:
                group.rmdir()
            except OSError:
                left.append(group)
    return left


def _deepest_first(folder: Path) -> Iterator[Path]:
    for place, _, _ in os.walk(folder, topdown=False):
        yield Path(place)


def _files(groups: Hierarchies, name: str, file: str) -> Iterator[Path]:
    """Yield each `file` of group `name` and below; groups may go away meanwhile, which `rglob` would not bear."""
    for folder in folders(groups, name):
        for place, _, files in os.walk(folder):
            if file in files:
                yield Path(place, file)


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""  # the group went away meanwhile, or is threaded


def _write(file: Path, text: str) -> None:
    with contextlib.suppress(OSError):  # its root has no such switch, or it went away
        file.write_text(text)
