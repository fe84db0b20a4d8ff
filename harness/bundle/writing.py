"""Make a bundle: gather, derive, list, sign, and put it in its place at once.

The one thing to know: everything is copied first, under the locks of the runs, and findings are derived from the
copies. What is in a bundle so fits together, whatever happens to the originals meanwhile.
"""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from harness import profile
from harness.bundle import archive, manifest
from harness.bundle.gathering import Carrier, Derive, Inside, inside
from harness.bundle.manifest import MANIFEST, VERSIONS, Manifest
from harness.errors import InputError, VirtmarkError
from harness.stats.records import DEFAULT_POLICY

Sign = Callable[[Path], object]


class Written(NamedTuple):
    """What a new bundle holds, and its size in bytes."""

    runs: int
    files: int
    size: int


def write(out: Path, folders: Sequence[Path], derive: Derive, *, profiles: Sequence[str] = (),
          answers: Sequence[Path] = (), sign: Sign | None = None) -> Written:
    """Write the bundle of runs whole or not at all; the same inputs in any order of `folders` give the same bytes.

    `derive` returns the files that follow from the rest; `sign` puts the signature of a file beside it. InputError
    where a run is unfinished or its evidence is not as recorded, or `out` is another file than a bundle.
    """
    _check_place(out, folders)
    with tempfile.TemporaryDirectory(prefix="virtmark-") as made:
        tree, laid = Path(made, "bundle"), Path(made, "laid")
        tree.mkdir()
        carrier = Carrier(tree)
        try:
            count = carrier.runs(folders)
            told = Manifest(profiles=carrier.profiles(profiles), answers=carrier.answers(answers))
            within = inside(tree, told, laid)
            _check_profiles(profiles, within)
            _put(tree, {**derive(within), VERSIONS: _document(versions())})
            _put(tree, {MANIFEST: manifest.text(manifest.listed(tree, told))})
            if sign:
                sign(tree / MANIFEST)
            archive.place(tree, out)
            return Written(count, len(manifest.names(tree)), out.stat().st_size)
        except VirtmarkError as error:
            raise type(error)(_original(str(error), carrier.origin)) from None
        except OSError as error:
            raise InputError(f"{error.filename or out}: {error.strerror}; no bundle was written") from None


def versions() -> dict[str, str]:
    """Return what findings depend on to the last digit: software, machine, and the hash of the statistical policy."""
    return {"virtmark": metadata.version("virtmark"), "python": platform.python_version(),
            "numpy": metadata.version("numpy"), "scipy": metadata.version("scipy"), "policy": DEFAULT_POLICY.hash,
            "machine": platform.machine(), "libc": " ".join(platform.libc_ver())}


def _check_place(out: Path, folders: Sequence[Path]) -> None:
    if not out.parent.is_dir():
        raise InputError(f"{out}: there is no folder {out.parent}")
    if (out.exists() or out.is_symlink()) and not archive.is_bundle(out):
        raise InputError(f"{out}: is there already and is no bundle; choose another name with -o")
    for folder in folders:
        if out.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"{out}: lies in the run folder {folder}; choose another place with -o")


def _check_profiles(wanted: Sequence[str], within: Inside) -> None:
    """Hold the copies to the originals: what is judged by must be what was asked for."""
    copies = [profile.load(path) for path in within.profiles]
    for name in wanted:
        if profile.load(name) not in copies:
            raise InputError(f"profile {name!r}: its copy in the bundle reads differently; write what it extends as a "
                             "packaged name or a path")


def _put(tree: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(data)


def _document(record: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"


def _original(text: str, origin: Mapping[str, str]) -> str:
    """Return a message with the names of files that the reader knows."""
    for copy in sorted(origin, key=len, reverse=True):
        text = text.replace(copy, origin[copy])
    return text
