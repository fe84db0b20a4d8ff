"""The zip archive of a bundle: written in one way only, and taken apart with suspicion.

The one thing to know: there is one archive for a set of files, byte for byte. Hence whatever was changed in headers,
comments and gaps is found by writing the archive again, and nothing in it need be understood for that.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO
from zipfile import ZipFile, ZipInfo

from harness import store
from harness.bundle.manifest import CHUNK, FORMAT, MANIFEST, VERSIONS, Damaged, Manifest, names, read
from harness.errors import InputError

PLACES = re.compile(r"manifest\.json(\.sig)?|(findings|assessments|versions)\.json|"
                    r"runs/[^/]+/.+|(profiles|answers|report)/.+")
OWN = {MANIFEST, "findings.json", VERSIONS}
BEGINS, TIME = b"PK\3\4", (1980, 1, 1, 0, 0, 0)
MODE = stat.S_IFREG | 0o644
UNIX, PLAIN_FLAGS, LONGEST = 3, 0x800, 255


def pack(tree: Path, file: IO[bytes]) -> None:
    """Write the archive of all files in a folder; same files, same bytes."""
    with ZipFile(file, "w") as archive:
        for name in names(tree):
            info = ZipInfo(name, TIME)
            info.create_system, info.external_attr = UNIX, MODE << 16
            info.file_size = (tree / name).stat().st_size  # decides whether the entry needs fields of 64 bits
            with (tree / name).open("rb") as source, archive.open(info, "w") as sink:
                shutil.copyfileobj(source, sink, CHUNK)


def place(tree: Path, out: Path) -> None:
    """Put the archive of a folder at `out` whole or not at all, synced; InputError where that cannot be done."""
    name = ""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{out.name[:40]}.", dir=out.parent)
        with os.fdopen(handle, "w+b") as file:
            pack(tree, file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, stat.S_IMODE(MODE))
        os.replace(name, out)
        store.sync(out.parent)
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}; choose another place with -o") from None
    finally:
        with suppress(FileNotFoundError):  # it is there no more if all went well
            os.unlink(name)


def is_bundle(path: Path) -> bool:
    """Say whether a file is a bundle of ours, sound or not as to the rest."""
    try:
        with ZipFile(path) as archive, archive.open(MANIFEST) as file:
            return f'"format": "{FORMAT.rpartition("-")[0]}-'.encode() in file.read(100)
    except Exception:
        return False


def unfit(name: str) -> str:
    """Return why a path can be none of a bundle; "" if it can."""
    parts = name.split("/")
    if not PLACES.fullmatch(name) or {"", ".", ".."} & set(parts):
        return "is no path that a bundle has"
    if not name.isprintable() or '"' in name or "\\" in name:
        return "holds characters that no path of a bundle may: quotes, backslashes, what cannot be printed"
    return "has a name that is too long" if max(len(part.encode()) for part in parts) > LONGEST else ""


def unpack(file: IO[bytes], path: Path, tree: Path) -> Manifest:
    """Unpack a bundle into a new folder and return its manifest.

    InputError if the file is no bundle, Damaged with all that is wrong as far as one can see from the archive alone.
    """
    archive = _opened(file, path)
    infos = archive.infolist()
    if len(OWN & {info.filename for info in infos}) < 2:
        raise InputError(f"{path}: is no bundle: {MANIFEST} is not in it")
    stop(_wrong(infos, file.seek(0, os.SEEK_END)))
    stop(line for info in infos for line in _damage(archive, info))
    tree.mkdir()
    for info in infos:
        (tree / info.filename).parent.mkdir(parents=True, exist_ok=True)
        with (tree / info.filename).open("xb") as sink:
            sink.writelines(_chunks(archive, info))
    if not (tree / MANIFEST).exists():
        raise Damaged(f"{MANIFEST}: is missing")
    return read(tree / MANIFEST, path)


def rewritten(tree: Path, file: IO[bytes], again: Path) -> Iterator[str]:
    """Yield where an archive is not what `pack` makes of the files in it; `again` is where that is put meanwhile."""
    with again.open("w+b") as other:
        pack(tree, other)
        file.seek(0)
        other.seek(0)
        start = 0
        while (one := file.read(CHUNK)) == (two := other.read(CHUNK)) and one:
            start += len(one)
        if one != two:
            pairs = enumerate(zip(one, two, strict=False))
            same = next((at for at, (left, right) in pairs if left != right), min(len(one), len(two)))
            yield f"byte {start + same}: the archive is not as virtmark writes it, though each file in it is well"


def stop(problems: Iterable[str]) -> None:
    """Raise Damaged if there are any problems."""
    if found := list(problems):
        raise Damaged(*found)


def _opened(file: IO[bytes], path: Path) -> ZipFile:
    begins = file.read(4)
    try:
        return ZipFile(file)
    except Exception as error:  # whatever a damaged directory makes zipfile trip over
        if begins != BEGINS:
            raise InputError(f"{path}: is no bundle: no zip archive") from None
        raise Damaged(f"the archive cannot be read: {error}") from None


def _wrong(infos: Sequence[ZipInfo], room: int) -> Iterator[str]:
    """Yield what no archive of ours has, before a byte of a file is read."""
    times = Counter(info.filename for info in infos)
    folders = {str(parent) for name in times for parent in PurePosixPath(name).parents}
    for info in infos:
        if problem := unfit(info.filename) or _kind(info):
            yield f"{info.filename}: {problem}"
        elif info.filename in folders:
            yield f"{info.filename}: is a file and a folder at once"
    yield from (f"{name}: is in the archive {number} times" for name, number in times.items() if number > 1)
    if (declared := sum(info.file_size for info in infos)) > room:
        yield f"the archive has {room} bytes and declares files of {declared}"


def _kind(info: ZipInfo) -> str:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind != stat.S_IFREG:
        return "is a symbolic link" if kind == stat.S_IFLNK else "is no regular file"
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        return (f"is compressed, {info.file_size} bytes to {info.compress_size}; in a bundle files are stored "
                "as they are")
    return "has flags that no file of a bundle has" if info.flag_bits & ~PLAIN_FLAGS else ""


def _damage(archive: ZipFile, info: ZipInfo) -> Iterator[str]:
    """Read a file once without writing it, which is quick, and yield why it cannot be read."""
    try:
        for _ in _chunks(archive, info):
            pass
    except Damaged as found:
        yield str(found)


def _chunks(archive: ZipFile, info: ZipInfo) -> Iterator[bytes]:
    try:
        with archive.open(info) as source:
            while data := source.read(CHUNK):
                yield data
    except Exception as error:  # whatever a damaged entry makes zipfile trip over
        raise Damaged(f"{info.filename}: is damaged: {error}") from None
