"""Things that take long to build and are kept: each in a folder named after the hash of its recipe.

The one thing to know: a folder that has its final name is whole. It is built under another name and renamed, by
one builder at a time; what a killed builder left is removed by the next one.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from harness.errors import LabError

MANIFEST = "manifest.json"


def key(recipe: Mapping[str, Any]) -> str:
    """Return 16 hex digits of the SHA-256 of a recipe, a JSON-ready mapping."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest(folder: Path) -> dict[str, Any]:
    """Return what is recorded beside a built thing: recipe, package versions, hashes."""
    found: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    return found


def whole(folder: Path) -> bool:
    """Say whether `folder` was built to the end."""
    return (folder / MANIFEST).is_file()


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock file; the kernel releases it when we die. Without `wait` LabError if another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise LabError(f"{path}: another virtmark is at work on this; wait for it") from None
            if _still(file, path):
                yield
                return


def _still(file: IO[str], path: Path) -> bool:
    """Say whether the open file is the one that lies at `path`: its last holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def build(folder: Path, make: Callable[[Path], Mapping[str, Any]], *, room: int) -> Path:
    """Return `folder`, building it with `make(empty folder) -> manifest` if it is not there yet.

    `room` is the free space in bytes that the build needs; LabError where there is less.
    """
    if whole(folder):
        return folder
    with locked(folder.parent / f".{folder.name}.lock"):
        if whole(folder):
            return folder
        fresh = folder.parent / f".{folder.name}.new"
        for stale in (fresh, folder):
            shutil.rmtree(stale, ignore_errors=True)
        check_room(folder.parent, room)
        fresh.mkdir(parents=True)
        try:
            found = make(fresh)
            (fresh / MANIFEST).write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
            os.sync()
            fresh.rename(folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return folder


def check_room(folder: Path, room: int) -> None:
    """Raise LabError if the file system of `folder` has less than `room` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < room:
        raise LabError(f"{folder}: {free / 1e9:.1f} GB free, {room / 1e9:.1f} GB needed; "
                       "make room, or set VIRTMARK_STATE or VIRTMARK_CACHE to a folder elsewhere")
