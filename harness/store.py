"""The run folder: `run.json` and `target.json` written first, then one synced line per finished step.

    results/<target>/<utc>-<scenario>/run.json      plan, facts, versions
                                      target.json   the settings the target was built from; secrets are only named
                                      steps.jsonl   one StepResult a line
                                      raw/          untouched tool output, its SHA-256 in the line of its step

Whatever moment the controller dies at, the folder loads: a line counts once its newline is there. One process writes
a folder at a time; the kernel drops its lock with it.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from harness import codec
from harness.errors import InputError
from harness.masking import UNMASKED, Mask
from harness.model import Plan, Run, StepResult

RUN, TARGET, STEPS, RAW, LOCK = "run.json", "target.json", "steps.jsonl", "raw", ".lock"
Note = Callable[[str], None]
_log = logging.getLogger("virtmark")


def create(folder: Path, run: Run, settings: Mapping[str, Any], mask: Mask = UNMASKED) -> None:
    """Start a run folder: it appears whole or not at all; InputError if there is one already."""
    if folder.exists():
        raise InputError(f"{folder}: exists already; a run folder is never used twice")
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        made.chmod(0o755)
        (made / RAW).mkdir()
        write(made / STEPS, b"")
        write(made / TARGET, _document(dict(settings), UNMASKED))
        write(made / RUN, _document(msgspec.structs.replace(run, results=()), mask))
        sync(made)
        made.rename(folder)
        sync(folder.parent)
    except OSError as error:
        shutil.rmtree(made, ignore_errors=True)
        if folder.exists():
            raise InputError(f"{folder}: exists already; a run folder is never used twice") from error
        raise


def replan(folder: Path, plan: Plan) -> None:
    """Replace the plan of a run by a longer one, at once or not at all."""
    path, new = folder / RUN, folder / f".{RUN}"
    run = codec.decode(Run, path.read_bytes(), str(path))
    write(new, _document(msgspec.structs.replace(run, plan=plan), UNMASKED))
    new.rename(path)
    sync(folder)


class Journal:
    """The open `steps.jsonl` of one run, locked against a second writer."""

    def __init__(self, folder: Path, mask: Mask = UNMASKED) -> None:
        self.folder, self.mask = folder, mask
        self._file = os.open(folder / STEPS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _lock(self._file, folder)
            data = (folder / STEPS).read_bytes()
            self._end = data.rfind(b"\n") + 1
            os.ftruncate(self._file, self._end)
        except BaseException:
            os.close(self._file)
            raise

    def append(self, result: StepResult) -> None:
        """Add one finished step and sync it; after an error the file holds what it held before."""
        line = _line(result, self.mask)
        try:
            _write_at(self._file, line, self._end)
            os.fdatasync(self._file)
        except BaseException:
            with suppress(OSError):
                os.ftruncate(self._file, self._end)
            raise
        self._end += len(line)

    def close(self) -> None:
        """Give the lock back."""
        os.close(self._file)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def load(folder: Path, note: Note = _log.warning) -> Run:
    """Return a run, finished or not; a torn last line is dropped and told to `note`.

    InputError if `folder` is no run, or holds a line that is whole but cannot be read.
    """
    run = head(folder)
    path = folder / STEPS
    lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
    if lines[-1]:
        note(f"{path}: the last line is torn, {len(lines[-1])} bytes without an end; its step counts as not run")
    results = (codec.decode(StepResult, line, f"{path}:{number}") for number, line in enumerate(lines[:-1], 1))
    return msgspec.structs.replace(run, results=tuple(results))


def head(folder: Path) -> Run:
    """Return a run without its results: plan and facts."""
    path = folder / RUN
    try:
        return codec.decode(Run, path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"{folder}: is no run folder: {RUN}: {error.strerror}") from None


def settings(folder: Path) -> dict[str, Any]:
    """Return the settings that the target of a run was built from."""
    path = folder / TARGET
    try:
        return codec.decode(dict[str, Any], path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; a run without it cannot be resumed") from None


def runs(out: Path) -> list[Path]:
    """Return the run folders below `out`, which may be one itself, a target's folder, or hold folders of targets."""
    found = {path.parent for depth in ("", "*/", "*/*/") for path in out.glob(f"{depth}{RUN}")}
    return sorted(path for path in found if not path.name.startswith("."))


def verify(folder: Path) -> list[str]:
    """Return what is wrong with the evidence of a run, one line each; nothing if every byte is as it was recorded."""
    wrong = []
    known = set()
    for result in load(folder).results:
        for item in result.evidence:
            known.add(item.path)
            wrong += [f"{item.path}: {problem}" for problem in _problems(folder / item.path, item.size, item.sha256)]
    present = {str(path.relative_to(folder)) for path in (folder / RAW).rglob("*") if path.is_file()}
    return wrong + [f"{path}: belongs to no finished step" for path in sorted(present - known)]


def drop_unfinished(folder: Path) -> list[str]:
    """Remove raw files of steps that have no line, and return their names: what a killed run left half-done."""
    done = {Path(item.path).parent.name for result in load(folder).results for item in result.evidence}
    left = [path for path in sorted((folder / RAW).iterdir()) if path.name not in done]
    for path in left:
        shutil.rmtree(path)
    return [path.name for path in left]


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold `folder` against other virtmark processes; InputError if one has it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _lock(file, folder)
        yield
    finally:
        os.close(file)


def write(path: Path, data: bytes) -> None:
    """Write a file and sync its bytes."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _document(record: Any, mask: Mask) -> bytes:
    return msgspec.json.format(msgspec.json.encode(mask.tree(codec.plain(record))), indent=1) + b"\n"


def _line(result: StepResult, mask: Mask) -> bytes:
    return (msgspec.json.encode(mask.tree(codec.plain(result))) if mask.secrets else codec.encode(result)) + b"\n"


def _write_at(file: int, data: bytes, place: int) -> None:
    """Write all of `data` at `place`; the kernel may take it in parts."""
    start = 0
    while start < len(data):
        start += os.pwrite(file, data[start:], place + start)


def _problems(path: Path, size: int, digest: str) -> Iterator[str]:
    try:
        data = path.read_bytes()
    except OSError as error:
        yield error.strerror or "cannot be read"
        return
    if len(data) != size:
        yield f"{len(data)} bytes instead of {size}"
    if hashlib.sha256(data).hexdigest() != digest:
        yield "changed since it was recorded: its SHA-256 is another"


def _lock(file: int, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"{folder}: another virtmark process is at work here; wait for it or end it") from None
