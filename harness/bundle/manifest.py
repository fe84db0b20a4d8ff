"""What a bundle says of itself: every file with size and SHA-256, and a chain over the lines of each run.

    first link = SHA-256 of the SHA-256 of run.json; next link = SHA-256 of the link before and the SHA-256 of the line

The one thing to know: hashes are joined as text of 64 hexadecimal digits, and a line has its newline, so that a shell
with `sha256sum` makes the same chain. Each link binds all lines before it: none can be left out, moved or changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

import msgspec

from harness import store
from harness.errors import InputError
from harness.model import Record

FORMAT = "virtmark-bundle-1"
MANIFEST, SIGNATURE, VERSIONS = "manifest.json", "manifest.json.sig", "versions.json"
RUNS, CHUNK, MOST = "runs", 2**20, 20


class File(Record, frozen=True, kw_only=True):
    """A file of the bundle."""

    path: str
    size: int
    sha256: str


class Link(Record, frozen=True, kw_only=True):
    """A link of the chain of a run: that of run.json where `step` is "", else that of the line of a step."""

    run: str
    step: str
    link: str


class Source(Record, frozen=True, kw_only=True):
    """A profile; one that is not `given` is there because another one `extends` it."""

    path: str
    given: bool
    extends: str = ""


class Manifest(Record, frozen=True, kw_only=True):
    """What a bundle holds; profiles and answers in the order in which they were given."""

    format: Literal["virtmark-bundle-1"] = "virtmark-bundle-1"
    profiles: tuple[Source, ...] = ()
    answers: tuple[str, ...] = ()
    files: tuple[File, ...] = ()
    chain: tuple[Link, ...] = ()


class Damaged(Exception):
    """A bundle that is not worth a further look; its arguments are what is wrong with it, one line each."""


class _Head(msgspec.Struct):
    format: str


class _Id(msgspec.Struct):
    id: str


class _Line(msgspec.Struct):
    step: _Id


def names(tree: Path) -> list[str]:
    """Return the files below a folder, sorted."""
    return sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file())


def listed(tree: Path, manifest: Manifest) -> Manifest:
    """Return the manifest of the files in a folder, with profiles and answers as they stand in `manifest`."""
    files = tuple(_file(tree, name) for name in names(tree) if name not in (MANIFEST, SIGNATURE))
    runs = sorted(path.name for path in (tree / RUNS).glob("*") if path.is_dir())
    chain = (link for run in runs for link in _chain(tree, f"{RUNS}/{run}"))
    return msgspec.structs.replace(manifest, files=files, chain=tuple(chain))


def text(manifest: Manifest) -> bytes:
    """Return a manifest as JSON with one row a line, for `sed` and people."""
    rows = {key: b",\n  ".join(map(msgspec.json.encode, getattr(manifest, key)))
            for key in ("profiles", "answers", "files", "chain")}
    tables = (b' "%s": [%s]' % (key.encode(), b"\n  %s\n " % its if its else b"") for key, its in rows.items())
    return b'{\n "format": "%s",\n%s\n}\n' % (FORMAT.encode(), b",\n".join(tables))


def read(path: Path, where: Path) -> Manifest:
    """Return the manifest in a file; InputError if `where` is no bundle of this format, Damaged if it is ill-formed."""
    data = path.read_bytes()
    try:
        its = msgspec.json.decode(data, type=_Head).format
        if its == FORMAT:
            return msgspec.json.decode(data, type=Manifest)
    except msgspec.MsgspecError as error:
        raise Damaged(f"{MANIFEST}: {error}") from None
    raise InputError(f"{where}: {MANIFEST}: format: {its!r} is unknown to this virtmark; allowed: {FORMAT}")


def changed(tree: Path, manifest: Manifest) -> Iterator[str]:
    """Yield what is different from a manifest; a change in the lines of a run is told by step."""
    chains: dict[str, list[Link]] = {}
    for link in manifest.chain:
        chains.setdefault(link.run, []).append(link)
    there = {file.path: file for file in listed(tree, Manifest()).files}
    known = {file.path: file for file in manifest.files}
    broken = {f"{run}/{store.STEPS}": found for run, chain in chains.items()
              if f"{run}/{store.STEPS}" in there and (found := list(_broken(tree, run, chain)))}
    yield from (line for found in broken.values() for line in found)
    for path in sorted(known.keys() | there.keys()):
        if problem := "" if path in broken else _unlike(known.get(path), there.get(path)):
            yield f"{path}: {problem}"


def lines(path: Path) -> list[bytes]:
    """Return the lines of a file, each with its newline."""
    *whole, torn = path.read_bytes().split(b"\n")
    return [line + b"\n" for line in whole] + ([torn] if torn else [])


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _file(tree: Path, name: str) -> File:
    return File(path=name, size=(tree / name).stat().st_size, sha256=digest(tree / name))


def _unlike(known: File | None, there: File | None) -> str:
    if known is None:
        return f"is not in {MANIFEST}"
    if there is None:
        return f"is missing; it is in {MANIFEST}"
    if known.size != there.size:
        return f"{there.size} bytes instead of {known.size}"
    return "" if known == there else f"was changed: its SHA-256 is not that of {MANIFEST}"


def _chain(tree: Path, run: str) -> Iterator[Link]:
    if not (tree / run / store.RUN).exists() or not (tree / run / store.STEPS).exists():
        return
    link = _first(tree / run)
    yield Link(run=run, step="", link=link)
    for line in lines(tree / run / store.STEPS):
        link = _next(link, hashlib.sha256(line).hexdigest())
        yield Link(run=run, step=_step(line), link=link)


def _broken(tree: Path, run: str, chain: Sequence[Link]) -> Iterator[str]:
    """Yield which steps of a run are missing, changed, moved or new; at most the first few."""
    found = lines(tree / run / store.STEPS)
    places = _places([hashlib.sha256(line).hexdigest() for line in found], chain)
    steps = [_step(line) for line in found]
    told = list(_astray(chain[1:], places, steps))
    where = f"{run}/{store.STEPS}"
    yield from (f"{where}: {line}" for line in told[:MOST])
    if len(told) > MOST:
        yield f"{where}: and {len(told) - MOST} more like these"


def _places(digests: Sequence[str], chain: Sequence[Link]) -> list[int | None]:
    """Return for each link after the first which line it is of.

    Tried are the line after the last one that was found, the line that would be next if those since had only been
    changed, and then, for the first few links that are astray, every line.
    """
    place, lost, patience = -1, 0, MOST
    found: list[int | None] = []
    for before, link in pairwise(chain):
        fits = _fitting((place + 1, place + 1 + lost), digests, before, link)
        if fits is None and patience:
            patience -= 1
            fits = _fitting(range(len(digests)), digests, before, link)
        found.append(fits)
        place, lost = (place, lost + 1) if fits is None else (fits, 0)
    return found


def _fitting(candidates: Iterable[int], digests: Sequence[str], before: Link, link: Link) -> int | None:
    return next((at for at in candidates if at < len(digests) and _next(before.link, digests[at]) == link.link), None)


def _astray(chain: Sequence[Link], places: Sequence[int | None], steps: Sequence[str]) -> Iterator[str]:
    taken = {place for place in places if place is not None}
    spare: dict[str, list[int]] = {step: [] for step in steps}
    for at, step in enumerate(steps):
        if at not in taken:
            spare[step].append(at)
    last = -1
    for number, (link, place) in enumerate(zip(chain, places, strict=True), 1):
        if place is None and spare.get(link.step):
            yield f"line {spare[link.step].pop(0) + 1}: step {link.step!r}: was changed"
        elif place is None:
            yield f"step {link.step!r}: its line, number {number}, is missing"
        elif place < last:
            yield f"line {place + 1}: step {link.step!r}: was moved; it is number {number} in the chain"
        last = last if place is None else max(last, place)
    for at in sorted(at for left in spare.values() for at in left):
        yield f"line {at + 1}: step {steps[at]!r}: is not in the chain"


def _step(line: bytes) -> str:
    try:
        return msgspec.json.decode(line, type=_Line).step.id
    except msgspec.MsgspecError:
        return "?"


def _first(run: Path) -> str:
    return hashlib.sha256(digest(run / store.RUN).encode()).hexdigest()


def _next(link: str, line: str) -> str:
    return hashlib.sha256(f"{link}{line}".encode()).hexdigest()
