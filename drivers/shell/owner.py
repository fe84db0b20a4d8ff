"""Who made a thing on a platform, so that cleaning removes what the dead left and nothing else.

The owner stands in the name of everything that is made: the controller's machine and its boot, its process id and
when that process began. What a controller on another machine made is left alone: whether that one lives is not known.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import re
import socket
from pathlib import Path

PREFIX = "virtmark-"
_NAME = re.compile(PREFIX + r"([0-9a-f]{6})-([0-9a-f]{6})-(\d+)-(\d+)-")
_numbers = itertools.count(1)


def new() -> str:
    """Return a name for one more owner of this controller, which tells the controller."""
    pid = os.getpid()
    return f"{_machine()}-{_boot()}-{pid}-{_began(pid)}-{next(_numbers)}"


def new_name(role: str) -> str:
    """Return the name of one more thing of this controller."""
    return f"{PREFIX}{new()}-{role}"


def left_behind(name: str) -> bool:
    """Tell whether `name` was made on this machine by a controller that is gone."""
    found = _NAME.match(name)
    if not found or found[1] != _machine():
        return False
    return found[2] != _boot() or _began(int(found[3])) != int(found[4])


@functools.cache
def _machine() -> str:
    identity = Path("/etc/machine-id")
    text = identity.read_text() if identity.is_file() else ""
    return hashlib.sha256(f"{text}{socket.gethostname()}".encode()).hexdigest()[:6]


@functools.cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text()[:6]


def _began(pid: int) -> int:
    """Return when a process began, in clock ticks since boot; 0 if there is none."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0
