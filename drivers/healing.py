"""What is broken on purpose, on disk: written before it is broken, together with the commands that heal it.

The one thing to know: there is one way of healing. The same commands run at the end of a context, by the guard of a
controller that was killed, and at the next start if the guard was killed as well; so they need no controller, and
running them twice or on something that was never broken does no harm.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from drivers.shell import guard, owner
from harness.errors import TargetError
from harness.model import Record

PATIENCE = 180.0
ATTEMPTS, PAUSE = 10, 2.0
ROOT = Path(__file__).parents[1]
Commands = tuple[tuple[str, ...], ...]
_watched: list[ExitStack] = []


class Broken(Record, frozen=True, kw_only=True):
    """A fault that may have been injected: its name, which tells its controller; what it is; what heals it."""

    name: str
    kind: str
    where: str
    heal: Commands

    def __str__(self) -> str:
        return f"{self.kind} of {self.where}"


def usual_folder() -> Path:
    """Return where faults of platforms other than the embedded lab are written down."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "virtmark" / "faults"


@contextmanager
def broken(folder: Path, kind: str, where: str, heal: Commands) -> Iterator[Broken]:
    """Write down what is about to be broken; whatever happens, `heal` runs: at the end of the context, or without us.

    TargetError if a command that heals fails when the context is left; then it is tried again at the next start.
    """
    entry = Broken(name=owner.new_name("fault"), kind=kind, where=where, heal=heal)
    folder.mkdir(parents=True, exist_ok=True)
    fresh = _file(folder, entry.name).with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(msgspec.json.encode(entry))
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(_file(folder, entry.name))
    watched = ExitStack()
    watched.enter_context(guard.local().run_at_end(command("drivers.healing", str(folder), entry.name)))
    _watched.append(watched)  # while it is not healed the guard is to know of it, whatever goes wrong here
    try:
        yield entry
    finally:
        mend(folder, entry.name)
        _watched.remove(watched)
        watched.close()


def command(module: str, *arguments: str) -> tuple[str, ...]:
    """Return a command line that runs one of our own modules, from wherever it is called."""
    return ("env", f"PYTHONPATH={ROOT}", sys.executable, "-m", module, *arguments)


def standing(folder: Path) -> list[Broken]:
    """Return the faults that are written down, the oldest first."""
    found = []
    for path in sorted(folder.glob("*.json"), key=lambda each: each.stat().st_mtime_ns if each.exists() else 0):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Broken))
        except FileNotFoundError:
            continue  # healed meanwhile
    return found


def left_behind(folder: Path) -> list[Broken]:
    """Return the faults whose controller is gone."""
    return [each for each in standing(folder) if owner.left_behind(each.name)]


def mend_left(folder: Path) -> list[str]:
    """Heal what controllers that are gone left broken, the last one first; return a line for each.

    TargetError, after all were tried, with the first that could not be healed.
    """
    healed, errors = [], []
    for each in reversed(left_behind(folder)):
        try:
            if mend(folder, each.name):
                healed.append(f"fault {each}, healed")
        except TargetError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return healed


def mend(folder: Path, name: str) -> bool:
    """Heal one fault and strike it out; say whether it was still to do. TargetError if a command fails."""
    with _locked(folder):
        path = _file(folder, name)
        if not path.exists():
            return False
        entry = msgspec.json.decode(path.read_bytes(), type=Broken)
        for argv in reversed(entry.heal):
            _run(argv, entry)
        path.unlink()
        return True


def _run(argv: Sequence[str], entry: Broken) -> None:
    said = f"{entry} is not healed: {shlex.join(argv)}"
    try:
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False,
                              stdin=subprocess.DEVNULL, cwd="/",
                              env={name: value for name, value in os.environ.items() if name != guard.MARK})
    except subprocess.TimeoutExpired:
        raise TargetError(f"{said}: did not end within {PATIENCE:g} s") from None
    except OSError as error:
        raise TargetError(f"{said}: {error.strerror}") from None
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise TargetError(f"{said}: {lines[-1] if lines else f'exit status {done.returncode}'}")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let only one heal at a time, so that the guard and the next start do not do the same at once."""
    with (folder / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def insist(folder: Path, name: str) -> None:
    """Heal one fault, trying again for a while: what the dead controller was at may still hold a lock of libvirt's."""
    for left in reversed(range(ATTEMPTS)):
        try:
            mend(folder, name)
            return
        except TargetError:
            if not left:
                raise
            time.sleep(PAUSE)


if __name__ == "__main__":
    insist(Path(sys.argv[1]), sys.argv[2])
