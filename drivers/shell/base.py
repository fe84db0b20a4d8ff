"""A machine from one primitive.

A kind of machine says how a command is spawned (`Shell.spawn`) and how its job is waited for and signalled (`Job`);
run, start, read, write and private directories follow from that. Kinds with a better way to move files override
`read` and `write`. Exit statuses follow the shell's convention everywhere: 128 + n for an end by signal n.
"""

from __future__ import annotations

import copy
import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol, Self

from drivers.shell import owner
from harness.errors import TargetError, ToolError, VirtmarkError
from harness.protocols import Completed

GRACE = 3.0
_PRESENT = 'path=$(command -v -- "$1") || exit 1; case $path in /*) [ -x "$path" ] && [ ! -d "$path" ];; esac'


class Job(Protocol):
    """A spawned command."""

    def wait(self, timeout: float) -> Completed | None:
        """Return what it printed, or None if it still runs after `timeout` seconds; may be called again."""

    def signal(self, name: str) -> None:
        """Send "TERM" or "KILL" to the command and all its descendants."""

    def drain(self) -> None:
        """Keep taking its output from now on, so that it never blocks on a full pipe."""


class Shell(ABC):
    """A `Machine` that derives everything from `spawn`; also a context manager, which closes it."""

    name: str
    cwd: str = ""

    @property
    def address(self) -> str:
        """The IP address that other machines of the target reach it by."""
        return "127.0.0.1"

    @abstractmethod
    def spawn(self, argv: Sequence[str], stdin: bytes) -> Job:
        """Start `argv` in `cwd`; ToolError if it is known at once that it cannot start, TargetError if unreachable."""

    @abstractmethod
    def remove_at_end(self, path: str) -> None:
        """Have `path` removed when the controller is gone, however it ends."""

    def close(self) -> None:  # noqa: B027 - most kinds hold nothing
        """Give back what the shell holds; using it again opens it again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, argv: Sequence[str], *, timeout: float, stdin: bytes = b"") -> Completed:
        """Run to completion; see `harness.protocols.Machine`."""
        job = self.spawn(argv, stdin)
        try:
            done = job.wait(timeout)
        except BaseException:
            with suppress(VirtmarkError):  # what went wrong first is the one to tell: an interrupt must not get lost
                end(job, self.name, grace=0)
            raise
        if done is None:
            end(job, self.name, grace=0)
            raise ToolError(f"{argv[0]}: still running after {timeout:g} s on {self.name}; it was killed")
        return self.started(done)

    @contextmanager
    def start(self, argv: Sequence[str]) -> Iterator[Background]:
        """Start in the background; leaving the context stops it."""
        job = self.spawn(argv, b"")
        job.drain()
        running = Background(self, job)
        try:
            yield running
        except BaseException:
            with suppress(VirtmarkError):
                running.stop()
            raise
        if not running.stopped:
            running.stop()

    def read(self, path: str) -> bytes:
        """Return the bytes of a file; relative paths lie in the machine's private directory."""
        done = self.run(["cat", "--", path], timeout=600)
        if done.code:
            raise ToolError(f"{path}: cannot be read on {self.name}: {_reason(done)}")
        return done.stdout.encode("utf-8", "surrogateescape")

    def write(self, path: str, data: bytes) -> None:
        """Create or replace a file."""
        done = self.run(["sh", "-c", 'cat >"$1"', "sh", path], timeout=600, stdin=data)
        if done.code:
            raise ToolError(f"{path}: cannot be written on {self.name}: {_reason(done)}")

    @contextmanager
    def private(self, parent: str) -> Iterator[Self]:
        """Yield this machine with a fresh directory under `parent` as working directory; it is removed at the end."""
        path = f"{parent.rstrip('/')}/{owner.new_name('work')}"
        self.remove_at_end(path)
        made = self.run(["mkdir", "-m", "700", "--", path], timeout=60)
        if made.code:
            raise TargetError(f"{self.name}: {_reason(made)}")
        inside = copy.copy(self)
        inside.cwd = path
        try:
            yield inside
        finally:
            self.run(["rm", "-rf", "--", path], timeout=600)

    def clean(self, parent: str) -> list[str]:
        """Remove the private directories that controllers which are gone left under `parent`; return their names."""
        listed = self.run(["ls", "--", parent], timeout=60).stdout.splitlines()
        left = [f"{parent.rstrip('/')}/{name}" for name in listed if owner.left_behind(name)]
        if left:
            self.run(["rm", "-rf", "--", *left], timeout=600).checked()
        return [f"{self.name}: directory {path}" for path in left]

    def started(self, done: Completed) -> Completed:
        """Return `done`; ToolError if its exit status 126 or 127 means that the program could not be started.

        Launchers word that differently and tools may use these statuses too, so the machine is asked.
        """
        if done.code in (126, 127):
            program = done.argv[0]
            found = self.spawn(["sh", "-c", _PRESENT, "sh", program], b"").wait(60)
            if found is None or found.code:
                raise ToolError(f"{program}: no such program on {self.name}")
        return done


class Inside(Shell):
    """What a launcher such as `nsenter ... --` enters on another machine."""

    def __init__(self, outer: Shell, launcher: Sequence[str], name: str, *, address: str, cwd: str = "") -> None:
        self._outer, self._launcher, self.name, self._address, self.cwd = outer, launcher, name, address, cwd

    @property
    def address(self) -> str:
        return self._address

    def spawn(self, argv: Sequence[str], stdin: bytes) -> Job:
        folder = ("env", "-C", self.cwd) if self.cwd else ()
        return Renamed(self._outer.spawn([*self._launcher, *folder, *argv], stdin), tuple(argv))

    def remove_at_end(self, path: str) -> None:
        """Do nothing: what is inside goes with it."""


class Renamed:
    """A job whose answer names the command that was asked for, without its launcher."""

    def __init__(self, job: Job, argv: tuple[str, ...]) -> None:
        self._job, self._argv = job, argv
        self.signal, self.drain = job.signal, job.drain

    def wait(self, timeout: float) -> Completed | None:
        """Return what it printed, or None if it still runs."""
        done = self._job.wait(timeout)
        return done and dataclasses.replace(done, argv=self._argv)


class Background:
    """A command in the background of a `Shell`."""

    def __init__(self, shell: Shell, job: Job) -> None:
        self._shell, self._job = shell, job
        self._done: Completed | None = None
        self.stopped = False

    def stop(self) -> Completed:
        """End it if it still runs: SIGTERM, and SIGKILL after a while; return what it printed."""
        self.stopped = True
        if self._done is None:
            self._done = end(self._job, self._shell.name)
            self._shell.started(self._done)
        return self._done


def end(job: Job, name: str, *, grace: float = GRACE) -> Completed:
    """End a job, politely for `grace` seconds; return what it printed."""
    done = job.wait(0)
    if done is None and grace:
        job.signal("TERM")
        done = job.wait(grace)
    job.signal("KILL")  # also what outlived the command itself
    done = done or job.wait(10)
    if done is None:
        raise TargetError(f"{name}: a process cannot be killed; is the machine hung?")
    return done


def _reason(done: Completed) -> str:
    said = done.stderr.strip().splitlines()
    return said[-1] if said else f"exit status {done.code}"
