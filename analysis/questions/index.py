"""The index of `virtmark query`: the flat tables of each run as Parquet files in the user's cache.

    $XDG_CACHE_HOME/virtmark/query/<run>/<table>-<key>.parquet

The one thing to know: the key is a hash of all that a table follows from: the folder, identity, size and times of its
`run.json` and `steps.jsonl`, virtmark's own code, and for findings the profile. What changed has another key, so
nothing stale is ever read, and the whole cache may be deleted at any time. A file appears by rename, whole or not at
all, so any number of processes may index at once, and a killed one leaves nothing that is read.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache as once
from pathlib import Path

import analysis
import harness
from analysis.exchange import columns, tabular
from analysis.questions import packs
from harness import store, verdict
from harness.errors import InputError
from harness.profile import Profile

SETTLED = 0.1        # s: a file that was written to more lately than this may change again without its times showing it
ABANDONED = 86400.0  # s: after that a folder of one question belongs to a process that was killed
Step = Callable[[], None]


@dataclass(frozen=True)
class Indexed:
    """The files of each table; the runs that could not be read, one line each; how many runs were indexed anew."""

    files: dict[str, list[Path]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    made: int = 0


def place() -> Path:
    """Return the folder of the index: below XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "virtmark" / "query"


@contextmanager
def aside(cache: Path) -> Iterator[Path]:
    """Yield a folder for one question, removed after it; those of processes that were killed go after a day."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        for path in cache.glob(".aside-*"):
            if time.time() - path.stat().st_mtime > ABANDONED:
                shutil.rmtree(path, ignore_errors=True)
        private = Path(tempfile.mkdtemp(prefix=".aside-", dir=cache))
    except OSError as error:
        raise InputError(f"{cache}: {error.strerror}; set XDG_CACHE_HOME to a folder that can be written to") from None
    try:
        yield private
    finally:
        shutil.rmtree(private, ignore_errors=True)


def index(folders: Sequence[Path], tables: Sequence[str], cache: Path, private: Path, *,
          profile: Profile | None = None, profiles: Sequence[str] = (), step: Step = lambda: None) -> Indexed:
    """Return files below `cache` that hold `tables` of the runs in `folders`, made where they are not there yet.

    `profiles` are the texts that `profile` was made of. What must not be kept (a run that is being written to) is put
    into the folder `private` instead. A run that cannot be read is left out, and told. `step` is called after each run.
    """
    about = hashlib.sha256("\0".join(profiles).encode()).hexdigest()
    found = Indexed({table: [] for table in tables})
    _unique(folders)
    made = 0
    for folder in folders:
        try:
            files, anew = _run(folder, tables, cache, private, profile, about)
        except InputError as error:
            found.left_out.append(str(error))
        else:
            made += anew
            for table, path in files.items():
                found.files[table].append(path)
        step()
    packed = {table: packs.packed(table, files, cache) for table, files in found.files.items()}
    return Indexed(packed, found.left_out, made)


def _unique(folders: Iterable[Path]) -> None:
    seen: dict[str, Path] = {}
    for folder in folders:
        name = columns.called(folder)
        if name in seen:
            raise InputError(f"{folder}: is called {name!r}, and so is {seen[name]}; ask about them apart")
        seen[name] = folder


def _run(folder: Path, tables: Sequence[str], cache: Path, private: Path, profile: Profile | None,
         about: str) -> tuple[dict[str, Path], bool]:
    """Return the files of one run, and whether any had to be made."""
    state = _state(folder)
    home = cache / hashlib.sha256(os.path.abspath(folder).encode()).hexdigest()[:24]
    names = {table: f"{table}-{_key(folder, state, about if table == 'findings' else '')}.parquet" for table in tables}
    files = {table: home / name for table, name in names.items()}
    missing = [table for table, file in files.items() if not os.path.exists(file)]
    if not missing:
        return files, False
    run = store.load(folder, lambda text: None)
    lasting = _state(folder) == state and time.time() - max(times for each in state for times in each[:2]) > SETTLED
    target = home if lasting else private / home.name
    target.mkdir(parents=True, exist_ok=True)
    findings = verdict.judge([run], profile) if "findings" in missing else []
    for table in missing:
        with packs.landing(target / names[table]) as made:
            tabular.write("parquet", table, columns.of(table, columns.called(folder), run, findings), made)
    if lasting:
        packs.sweep(home, set(tables), set(names.values()))
    return files | {table: target / names[table] for table in missing}, True


def _state(folder: Path) -> tuple[tuple[float, float, int, int], ...]:
    """Return times, size and identity of the files that a run is read from."""
    return tuple(_stat(os.path.join(folder, name)) for name in (store.RUN, store.STEPS))


def _stat(path: str) -> tuple[float, float, int, int]:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return (0.0, 0.0, -1, 0)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    return (found.st_mtime_ns / 1e9, found.st_ctime_ns / 1e9, found.st_size, found.st_ino)


def _key(folder: Path, state: object, about: str) -> str:
    text = json.dumps([code(), columns.called(folder), state, about])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@once
def code() -> str:
    """Return a hash over virtmark's own files: what it computes may change with any of them."""
    found = sorted((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in _sources())
    return hashlib.sha256(repr(found).encode()).hexdigest()


def _sources() -> Iterator[Path]:
    for package in (harness, analysis):
        for top in package.__path__:
            yield from Path(top).rglob("*.py")
