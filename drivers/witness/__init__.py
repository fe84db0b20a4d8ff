"""The guest's own witness: a static C program that answers, beats, writes down what it promised, and guards its memory.

The one thing to know: `install` says where the program is on a machine. The lab's guest image carries it; elsewhere it
is compiled here and written there. Command lines and what is printed are pure functions of this module; `main.c` lists
the sub-commands.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from drivers.workloads import _machines
from harness.errors import ToolError, VirtmarkError
from harness.model import Record
from harness.protocols import Lab, Machine

PROGRAM = "virtmark-witness"
ELSEWHERE = f"/tmp/{PROGRAM}"     # where it is written on a machine whose image does not carry it
FOLDER = Path(__file__).parent
FLAGS = ("-O2", "-static", "-std=gnu11", "-Wall", "-Wextra")
US = 1e6
# The guest's init starts virtmark-serve again whenever it ends, so that ending it makes it look at once. $1 = a port.
_CAN = "[ -x /sbin/virtmark-serve ] && pgrep -x virtmark-serve >/dev/null"
_BEGIN = 'echo "$1" >/etc/virtmark/serve && sync && pkill -x virtmark-serve'
_END = 'rm -f /etc/virtmark/serve; pkill -f "[v]irtmark-witness serve $1"'


class Ack(NamedTuple):
    """A record that the writer promised: of which epoch, which sequence number, when by the guest's clock (s)."""

    epoch: int
    sequence: int
    mono: float


class Beat(NamedTuple):
    """A heartbeat: its number, and when it was sent by the guest's monotonic and real clock (s)."""

    sequence: int
    mono: float
    real: float


class Swept(Record, frozen=True, kw_only=True):
    """What a sweep says: since its start (s), whole passes over `pages` pages, pages dirtied and checked, mismatches.

    A `stale` page is whole, but of an older generation than it must be; a `damaged` one holds what nobody wrote.
    `first_bad` is the number of the first such page (-1: none); `final` the last word, after a check of all pages.
    """

    elapsed: float
    passes: int
    pages: int
    dirtied: int
    checked: int
    mismatches: int
    stale: int
    damaged: int
    first_bad: int
    final: bool


def sources() -> dict[str, str]:
    """Return the C source: file name -> text."""
    return {path.name: path.read_text() for path in sorted(FOLDER.glob("*.[ch]"))}


def version() -> str:
    """Return 16 hex digits that name the source and how it is compiled; the program tells its own."""
    return hashlib.sha256(json.dumps([sources(), FLAGS], sort_keys=True).encode()).hexdigest()[:16]


def compiled(place: Path) -> Path:
    """Compile the program to the file `place` and return it; ToolError with what the compiler says."""
    files = [str(FOLDER / name) for name in sources() if name.endswith(".c")]
    argv = ["gcc", *FLAGS, f'-DSOURCE="{version()}"', "-s", "-o", str(place), *files]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
    except FileNotFoundError:
        raise ToolError(f"gcc: not installed; {PROGRAM} is compiled with it (apt-get install gcc libc6-dev)") from None
    except subprocess.TimeoutExpired:
        raise ToolError(f"gcc: still compiling {PROGRAM} after 300 s; it was killed") from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
        raise ToolError(f"gcc: {PROGRAM}: {said[0] if said else f'exit status {done.returncode}'}")
    return place


def install(machine: Machine) -> str:
    """Return how the program is called on `machine`, putting it there if it is not, or is another version."""
    for program in (PROGRAM, ELSEWHERE):
        if _version_of(machine, program) == version():
            return program
    with tempfile.TemporaryDirectory(prefix="virtmark-") as folder:
        data = compiled(Path(folder) / PROGRAM).read_bytes()
    fresh = f"{ELSEWHERE}.new"      # a program that runs cannot be written over, but replaced
    machine.write(fresh, data)
    machine.run(["sh", "-c", 'chmod 755 "$1" && mv -f "$1" "$2"', "sh", fresh, ELSEWHERE], timeout=60).checked()
    if _version_of(machine, ELSEWHERE) != version():
        raise ToolError(f"{ELSEWHERE}: does not run on {machine.name}; is it of another processor family?")
    return ELSEWHERE


def _version_of(machine: Machine, program: str) -> str:
    try:
        return machine.run([program, "version"], timeout=60).stdout.strip()
    except ToolError:
        return ""


@contextmanager
def serving(lab: Lab, machine: Machine) -> Iterator[int]:
    """Serve UDP, TCP and HTTP on one free port of `machine` while the context lasts; yields the port."""
    program = install(machine)
    with _machines.serving(lab, machine, lambda port: serve(port, program=program)) as port:
        yield port


@contextmanager
def answering(lab: Lab, guest: Machine, *, patience: float) -> Iterator[int]:
    """Do as `serving` does in a guest that may be gone in the end; its port may take `patience` s to open."""
    program, port = install(guest), _machines.free_port(lab, guest)
    with _machines.in_spite(guest.start(serve(port, program=program))) as server:
        _machines.await_port(lab, guest, server, port, patience=patience)
        yield port


@contextmanager
def lasting(lab: Lab, guest: Machine, *, patience: float) -> Iterator[int]:
    """Do as `answering` does, where the guest's own init can: then the page is there again after every boot."""
    if guest.run(["sh", "-c", _CAN], timeout=60).code:
        with answering(lab, guest, patience=patience) as port:
            yield port
        return
    port = _machines.free_port(lab, guest)
    guest.run(["sh", "-c", _BEGIN, "sh", str(port)], timeout=60).checked()
    try:
        until = lab.clock.now() + patience
        while port not in _machines.open_ports(guest, "tcp"):
            if lab.clock.now() > until:
                raise ToolError(f"{PROGRAM} on {guest.name}: did not open port {port} within {patience:g} s")
            lab.clock.sleep(0.05)
        yield port
    finally:
        with suppress(VirtmarkError):       # the guest may be gone
            guest.run(["sh", "-c", _END, "sh", str(port)], timeout=60)


def serve(port: int, *, program: str = PROGRAM) -> list[str]:
    """Return the command line of the server."""
    return [program, "serve", str(port)]


def beat(address: str, port: int, interval: float, *, program: str = PROGRAM) -> list[str]:
    """Return the command line of a heart that beats towards `address` every `interval` s."""
    return [program, "beat", address, str(port), f"{interval * US:.0f}"]


def write(file: str, address: str, port: int, interval: float, *, careless: bool = False,
          program: str = PROGRAM) -> list[str]:
    """Return the command line of the sequence writer; `interval` 0: as fast as the disk allows.

    A `careless` one acknowledges before the record is on the disk: the control that a check finds losses.
    """
    return [program, "write", file, address, str(port), f"{interval * US:.0f}", *(["careless"] if careless else [])]


def check(file: str, *, program: str = PROGRAM) -> list[str]:
    """Return the command line of the verifier; `harness.integrity.written` reads what it prints."""
    return [program, "check", file]


def sweep(size: int, rate: float, *, program: str = PROGRAM) -> list[str]:
    """Return the command line that dirties `size` B at `rate` B/s (0: as fast as it can), verifying as it goes."""
    return [program, "sweep", str(size), f"{rate:.0f}"]


def parsed(datagram: str) -> Ack | Beat | None:
    """Return what a datagram of the program says; None for anybody else's."""
    word, *numbers = datagram.split() or ("",)
    if len(numbers) != 3 or not all(part.isdecimal() for part in numbers):
        return None
    first, second, third = map(int, numbers)
    if word == "ack":
        return Ack(first, second, third / 1e9)
    return Beat(first, second / 1e9, third / 1e9) if word == "beat" else None


def swept(text: str) -> list[Swept]:
    """Return what a sweep printed, in order; a last line that was cut off is left out."""
    lines: Sequence[str] = text.splitlines()
    return [Swept(**json.loads(line)) for line in lines if line.startswith("{") and line.endswith("}")]


__all__ = ["PROGRAM", "Ack", "Beat", "Swept", "answering", "beat", "check", "compiled", "install", "lasting", "parsed",
           "serve", "serving", "sources", "sweep", "swept", "version", "write"]
