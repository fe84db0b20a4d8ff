"""Machines whose every command and file is kept: untouched output under `raw/<step>/`, with its SHA-256.

A number in a report can so be followed to the bytes that a tool printed. Secrets are masked in what is kept; that is
the only change ever made.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from harness import store
from harness.clock import Clock
from harness.errors import VirtmarkError
from harness.masking import UNMASKED, Mask
from harness.model import Evidence, Step
from harness.protocols import Completed, Machine, Running


class Call(NamedTuple):
    """Where a file comes from: machine (or machine:path), when, by which command, how that ended; s of its clock."""

    source: str
    start: float
    argv: tuple[str, ...] = ()
    code: int = 0
    elapsed: float = 0.0


class Recorder:
    """Keeps what one step leaves behind, in the folder of its run; machines may be used from several threads."""

    def __init__(self, folder: Path, step: Step, clock: Clock, mask: Mask = UNMASKED) -> None:
        self.folder, self.clock, self.mask = folder, clock, mask
        self.place = f"{store.RAW}/{name(step)}"
        self.begin = clock.now()
        self._numbers = itertools.count(1)
        self._kept: list[Evidence] = []
        self._lock = threading.Lock()

    def machine(self, machine: Machine) -> Recorded:
        """Return `machine`, recorded."""
        return Recorded(machine, self)

    def kept(self) -> tuple[Evidence, ...]:
        """Return all that was kept so far, in the order of the calls."""
        with self._lock:
            return tuple(sorted(self._kept, key=_call))

    def number(self) -> int:
        """Return the number of the next call."""
        return next(self._numbers)

    def completed(self, number: int, done: Completed, source: str, start: float) -> None:
        """Keep what a command printed; standard error only if there is some."""
        tool = _plain(PurePosixPath(done.argv[0]).name)
        streams = {"out": done.stdout} | ({"err": done.stderr} if done.stderr else {})
        for ending, text in streams.items():
            self.keep(f"{number:02d}-{tool}.{ending}", text.encode("utf-8", "surrogateescape"),
                      Call(source, start, done.argv, done.code, done.elapsed))

    def keep(self, file: str, data: bytes, call: Call) -> None:
        """Write `data` as `file` of this step and remember its hash."""
        masked = self.mask.data(data)
        with self._lock:
            folder = self.folder / self.place
            folder.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(masked)
            self._kept.append(Evidence(
                path=f"{self.place}/{file}", sha256=hashlib.sha256(masked).hexdigest(), size=len(masked),
                source=call.source, argv=tuple(map(self.mask.text, call.argv)), code=call.code,
                start=round(call.start - self.begin, 6), elapsed=round(call.elapsed, 6)))

    def sync(self) -> None:
        """Make all that was kept durable, before the line that points to it.

        Linux file systems make the name of a new file durable with its bytes; folders need no sync of their own.
        """
        for item in self.kept():
            file = os.open(self.folder / item.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fdatasync(file)
            finally:
                os.close(file)


class Recorded:
    """A machine that tells its recorder of every command and file; otherwise the machine itself."""

    def __init__(self, machine: Machine, recorder: Recorder) -> None:
        self.machine, self._recorder = machine, recorder

    @property
    def name(self) -> str:
        """The machine's name."""
        return self.machine.name

    @property
    def address(self) -> str:
        """The machine's address."""
        return self.machine.address

    def run(self, argv: Sequence[str], *, timeout: float, stdin: bytes = b"") -> Completed:
        """Run, and keep stdin, stdout and stderr; see `Machine`."""
        recorder, start = self._recorder, self._recorder.clock.now()
        number = recorder.number()
        if stdin:
            file = f"{number:02d}-{_plain(PurePosixPath(argv[0]).name)}.in"
            recorder.keep(file, stdin, Call(self.name, start, tuple(argv)))
        done = self.machine.run(argv, timeout=timeout, stdin=stdin)
        recorder.completed(number, done, self.name, start)
        return done

    @contextmanager
    def start(self, argv: Sequence[str]) -> Iterator[Running]:
        """Start in the background, and keep what it printed when it is stopped."""
        recorder, start = self._recorder, self._recorder.clock.now()
        number = recorder.number()
        with self.machine.start(argv) as running:
            try:
                yield running
            except BaseException:
                with suppress(VirtmarkError):  # the first error is the one to tell
                    recorder.completed(number, running.stop(), self.name, start)
                raise
            recorder.completed(number, running.stop(), self.name, start)

    def read(self, path: str) -> bytes:
        """Read a file, and keep it."""
        number, start = self._recorder.number(), self._recorder.clock.now()
        data = self.machine.read(path)
        file = f"{number:02d}-{_plain(PurePosixPath(path).name)}"
        self._recorder.keep(file, data, Call(f"{self.name}:{path}", start))
        return data

    def write(self, path: str, data: bytes) -> None:
        """Write a file, and keep what was written."""
        file = f"{self._recorder.number():02d}-{_plain(PurePosixPath(path).name)}.in"
        self._recorder.keep(file, data, Call(f"{self.name}:{path}", self._recorder.clock.now()))
        self.machine.write(path, data)


def name(step: Step) -> str:
    """Return the folder name of a step below raw/: its order in the campaign, and its id as far as names allow."""
    return f"{max(step.order, 0):05d}-{_plain(step.id)}"


def _call(item: Evidence) -> tuple[int, str]:
    file = PurePosixPath(item.path).name
    return int(file.partition("-")[0]), file


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._=@,#+-]+", "_", text)[:120].lstrip(".") or "_"
