"""What goes into a bundle: run folders, profiles with all that they extend, answers with their documents.

The one thing to know: files are carried as they are. Only to be judged by are profiles laid out anew, in a folder of
their own, so that `extends` finds the copy in the bundle and not what the same name means on this machine.
"""

from __future__ import annotations

import fcntl
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import msgspec

from harness import codec, profile, store
from harness.attestation import AnswersFile
from harness.bundle.archive import unfit
from harness.bundle.manifest import MANIFEST, RUNS, Manifest, Source, digest, lines, names
from harness.errors import InputError
from harness.scenario import find

PROFILES, ANSWERS = "profiles", "answers"
EXTENDS = re.compile(r"""(?m)^[ \t]*extends[ \t]*=[ \t]*("[^"\n]*"|'[^'\n]*')""")


class Inside(NamedTuple):
    """What findings are derived from: an unpacked bundle, and its runs, profiles and answers in their order."""

    root: Path
    runs: list[Path]
    profiles: list[str]
    answers: list[Path]


Derive = Callable[[Inside], Mapping[str, bytes]]


class Carrier:
    """Puts copies into a folder; `origin` tells from where each came, for messages."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.origin: dict[str, str] = {}
        self._sources: dict[Path, Source] = {}

    def runs(self, folders: Sequence[Path]) -> int:
        """Carry run folders in the order in which they were planned, and return how many there are.

        InputError if one is at work, unfinished or not as it was recorded.
        """
        with ExitStack() as stack:
            found = {folder.resolve(): folder for folder in folders}
            for folder in found.values():
                store.head(folder)
                stack.enter_context(_held(folder))
            ordered = sorted(found, key=_planned)
            for number, path in enumerate(ordered, 1):
                _check_run(found[path])
                name = re.sub(r"[^A-Za-z0-9._-]+", "_", path.name)
                self._run(found[path], f"{RUNS}/{number:0{len(str(len(ordered)))}}-{name}")
        return len(ordered)

    def profiles(self, wanted: Sequence[str]) -> tuple[Source, ...]:
        """Carry profiles and those that they extend."""
        for name in wanted:
            profile.load(name)  # refuses it in the words of its own file
            self._profile(find("profile", name), given=True)
        return tuple(self._sources.values())

    def answers(self, paths: Sequence[Path]) -> tuple[str, ...]:
        """Carry answers, each in a folder of its own with the documents that it names."""
        placed = []
        for number, path in enumerate(dict.fromkeys(paths), 1):
            for document in dict.fromkeys((path.name, *documents(path))):
                self._copy(path.parent / document, f"{ANSWERS}/{number}/{document}")
            placed.append(f"{ANSWERS}/{number}/{path.name}")
        return tuple(placed)

    def _run(self, folder: Path, place: str) -> None:
        self.origin[str(self.tree / place)] = str(folder)
        for path in sorted(folder.rglob("*")):
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise InputError(f"{path}: is a link or no regular file; a run folder holds files alone")
            if path.is_file() and path != folder / store.LOCK:
                self._copy(path, f"{place}/{path.relative_to(folder).as_posix()}")

    def _profile(self, path: Path, *, given: bool) -> str:
        key = path.resolve()
        if key in self._sources:
            own = self._sources[key]
            self._sources[key] = msgspec.structs.replace(own, given=own.given or given)
            return own.path
        data = codec.toml(path)
        place = f"{PROFILES}/{len(self._sources) + 1}-{data['name']}.toml"
        self._sources[key] = Source(path=place, given=given)
        self._copy(path, place)
        if data.get("extends"):
            base = self._profile(profile.below(data["extends"], path), given=False)
            self._sources[key] = msgspec.structs.replace(self._sources[key], extends=base)
        return place

    def _copy(self, path: Path, place: str) -> None:
        if problem := unfit(place):
            raise InputError(f"{path}: {problem}; rename it")
        (self.tree / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, self.tree / place)
        self.origin[str(self.tree / place)] = str(path)


def inside(tree: Path, manifest: Manifest, laid: Path) -> Inside:
    """Return what is in an unpacked bundle, its profiles laid out in the new folder `laid`.

    InputError if a profile extends what is not in the bundle, or an answer names a file outside of it.
    """
    laid.mkdir()
    there = set(names(tree))
    for place in (*(source.path for source in manifest.profiles), *manifest.answers):
        if place not in there:
            raise InputError(f"{MANIFEST}: {place!r} is not in the bundle")
    given = []
    for source in manifest.profiles:
        path = laid / PurePosixPath(source.path).name
        path.write_bytes(_laid(tree / source.path, source))
        given += [str(path)] if source.given else []
    answers = [tree / path for path in manifest.answers]
    for path in answers:
        documents(path)
    return Inside(tree, sorted(path for path in (tree / RUNS).glob("*") if path.is_dir()), given, answers)


def documents(answers: Path) -> list[str]:
    """Return the files beside answers that they name as evidence; InputError if one is elsewhere."""
    file = codec.convert(AnswersFile, codec.toml(answers), str(answers))
    found = [name for answer in file.answer for name in answer.evidence if (answers.parent / name).is_file()]
    for name in found:
        if name.startswith("/") or ".." in name.split("/"):
            raise InputError(f"{answers}: evidence: {name!r} is a file elsewhere; put it beside the answers")
    return found


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keep a run from being continued meanwhile; nothing is written into its folder for that."""
    with (folder / store.STEPS).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{folder}: is being measured by another virtmark process; wait for its end") from None
        yield


def _planned(folder: Path) -> tuple[str, int, str, str, str]:
    """Return what runs are ordered by: as `virtmark judge` does, and where that leaves it open by what is in them."""
    plan = store.head(folder).plan
    return (plan.campaign, min((step.order for step in plan.steps), default=0), digest(folder / store.RUN),
            digest(folder / store.STEPS), folder.name)


def _check_run(folder: Path) -> None:
    recorded = lines(folder / store.STEPS)
    if recorded and not recorded[-1].endswith(b"\n"):
        raise InputError(f"{folder / store.STEPS}: the last line is torn, since the run was cut off; go on with it "
                         f"first: virtmark run --resume {folder}")
    if wrong := store.verify(folder):
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise InputError(f"{folder}/{wrong[0]}{more}; only evidence that is as it was recorded goes into a bundle")


def _laid(path: Path, source: Source) -> bytes:
    """Return the text of a profile that extends its copy beside it."""
    try:
        text = path.read_bytes().decode()
        data = tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None
    if bool(data.get("extends")) != bool(source.extends):
        raise InputError(f"{path}: extends: {data.get('extends', '')!r} is not in the bundle")
    wanted = data | {"extends": f"./{PurePosixPath(source.extends).name}"}
    for match in EXTENDS.finditer(text) if source.extends else ():
        new = f'{text[:match.start(1)]}"{wanted["extends"]}"{text[match.end(1):]}'
        try:
            if tomllib.loads(new) == wanted:
                return new.encode()
        except tomllib.TOMLDecodeError:
            continue
    if source.extends:
        raise InputError(f'{path}: extends: is written in an unusual way; give it a line, as extends = "..."')
    return text.encode()
