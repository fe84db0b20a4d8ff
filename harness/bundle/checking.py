"""Check a bundle: the archive, every hash and chain, the signature, the raw output, and what follows from it.

The one thing to know: nothing in a bundle is believed. Its names stay inside a temporary folder, its steps are not
followed out of their run, and whatever crashes on its files counts as a problem of the bundle.
"""

from __future__ import annotations

import json
import math
import operator
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from harness import store
from harness.bundle import archive, manifest
from harness.bundle.archive import stop
from harness.bundle.gathering import Derive, inside
from harness.bundle.manifest import MANIFEST, SIGNATURE, VERSIONS, Damaged, Manifest
from harness.bundle.writing import versions
from harness.errors import InputError, VirtmarkError
from harness.model import Run

REPORT = "report"
DERIVED = ("findings.json", "assessments.json")


class Signed(NamedTuple):
    """Who signed, and what is wrong with it ("" if nothing)."""

    signer: str
    problem: str = ""


class Checked(NamedTuple):
    """What was found in a bundle: what is wrong, one line each, and what else a reader should know.

    `signature` is "none", "not checked", "bad", "good: <signer>", or "" where it did not come to that.
    """

    problems: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    signature: str = ""
    files: int = 0
    runs: int = 0
    steps: int = 0


Check = Callable[[Path, Path], Signed]


def verify(path: Path, derive: Derive, check: Check | None = None) -> Checked:
    """Return what is wrong with a bundle; nothing is left on the disk. InputError if it is none or cannot be read.

    `check` says who signed its first argument. Cheap checks come first, and a bundle that fails one of them is not
    looked at further, since what follows from spoilt files tells nothing.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="virtmark-") as made, path.open("rb") as file:
            tree = Path(made, "bundle")
            try:
                told = archive.unpack(file, path, tree)
                stop(manifest.changed(tree, told))
                if manifest.text(manifest.listed(tree, told)) != (tree / MANIFEST).read_bytes():
                    raise Damaged(f"{MANIFEST}: is not what virtmark writes of these files")
                stop(archive.rewritten(tree, file, Path(made, "again")))
            except Damaged as found:
                return Checked(tuple(map(_shown, map(str, found.args))))
            return _looked_into(tree, told, Path(made, "laid"), derive, check)
    except OSError as error:
        raise InputError(f"{path}: cannot be checked: {error.strerror or error}") from None


def _looked_into(tree: Path, told: Manifest, laid: Path, derive: Derive, check: Check | None) -> Checked:
    """Return what the files of a bundle, each as it was written, say against it."""
    signature, problems = _signature(tree, check)
    other = list(_other_versions(tree))
    remarks = list(other)
    runs = sorted((tree / manifest.RUNS).glob("*"))
    for run in runs:
        try:
            loaded = store.load(run, lambda _: None)
            problems += _evidence(run, loaded)
            remarks += _unfinished(run, loaded)
        except VirtmarkError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{error.filename}: {error.strerror}")
    try:
        for name, line, only_digits in _underived(tree, derive(inside(tree, told, laid))):
            (remarks if only_digits and other else problems).append(f"{name}: {line}")
    except Exception as error:  # whatever forged files make it do, they prove nothing
        kind = "" if isinstance(error, VirtmarkError) else f"{type(error).__name__}: "
        problems.append(f"{DERIVED[0]}: cannot be derived again: {kind}{error}")
    clean = [[_shown(line.replace(f"{laid}/", "profiles/").replace(f"{tree}/", "")) for line in each]
             for each in (problems, remarks)]
    return Checked(tuple(clean[0]), tuple(clean[1]), signature, len(told.files), len(runs), len(told.chain) - len(runs))


def _signature(tree: Path, check: Check | None) -> tuple[str, list[str]]:
    if not (tree / SIGNATURE).exists():
        return "none", [f"{SIGNATURE}: is missing: the bundle is not signed"] if check else []
    if check is None:
        return "not checked", []
    signed = check(tree / MANIFEST, tree / SIGNATURE)
    if signed.problem:
        return "bad", [f"{SIGNATURE}: {signed.problem}"]
    return f"good: {signed.signer}", []


def _evidence(run: Path, loaded: Run) -> Iterator[str]:
    """Yield what of the raw output of a run is not as its steps say. No path of theirs is followed out of the run."""
    place = f"{manifest.RUNS}/{run.name}"
    if any(not line.endswith(b"\n") for line in manifest.lines(run / store.STEPS)):
        yield f"{place}/{store.STEPS}: the last line is torn"
    kept, there = {item.path for result in loaded.results for item in result.evidence}, set(manifest.names(run))
    if kept <= there:
        yield from (f"{place}/{line}" for line in store.verify(run))
    yield from (f"{place}/{path}: is evidence of a step and is missing" for path in sorted(kept - there))


def _unfinished(run: Path, loaded: Run) -> Iterator[str]:
    if left := {step.id for step in loaded.plan.steps} - {result.step.id for result in loaded.results}:
        yield (f"{manifest.RUNS}/{run.name}: {len(left)} of {len(loaded.plan.steps)} planned steps have no result, "
               f"such as {min(left)!r}")


def _other_versions(tree: Path) -> Iterator[str]:
    try:
        theirs = msgspec.json.decode((tree / VERSIONS).read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError):
        theirs = {}
    for name, ours in versions().items():
        if theirs.get(name) != ours:
            yield f"{VERSIONS}: written with {name} {theirs.get(name, '(not told)')}; derived again with {ours}"


def _underived(tree: Path, derived: Mapping[str, bytes]) -> Iterator[tuple[str, str, bool]]:
    """Yield which files are not what follows from the evidence, how so, and whether it is only the last digits."""
    for name in DERIVED:
        there = (tree / name).read_bytes() if (tree / name).exists() else None
        ours = derived.get(name)
        if there != ours:
            yield name, *_difference(there, ours)
        if (copy := tree / REPORT / name).exists() and copy.read_bytes() != there:
            yield f"{REPORT}/{name}", f"is not the same as {name}", False


def _difference(there: bytes | None, ours: bytes | None) -> tuple[str, bool]:
    if there is None or ours is None:
        return ("is missing, and follows from the evidence" if there is None else "follows from no evidence"), False
    try:
        theirs, derived = json.loads(there), json.loads(ours)
        exact, roughly = _first(theirs, derived, "", operator.eq), _first(theirs, derived, "", _close)
    except (ValueError, RecursionError):
        return "is no JSON", False
    if not exact or roughly:
        return f"does not follow from the evidence: {roughly or 'it is spelt differently'}", False
    return f"follows from the evidence but for the last digits: {exact}", True


def _close(one: Any, two: Any) -> bool:
    """Say whether values are equal, or numbers that differ as the arithmetic of two machines may."""
    numbers = all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in (one, two))
    return math.isclose(one, two, rel_tol=1e-9, abs_tol=1e-12) if numbers else bool(one == two)


def _first(theirs: Any, ours: Any, path: str, equal: Callable[[Any, Any], bool]) -> str:
    """Return the first difference of two documents: where, what the bundle says, what was derived again."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        keys = dict.fromkeys(key for key in ("findings", *ours, *theirs) if key in ours or key in theirs)
        told = (_first(theirs.get(key), ours.get(key), f"{path}.{key}".lstrip("."), equal) for key in keys)
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        told = (_first(one, two, f"{path}[{number}]{_named(two)}", equal)
                for number, (one, two) in enumerate(zip(theirs, ours, strict=True)))
    elif equal(theirs, ours):
        return ""
    else:
        one, two = (f"{len(each)} of them" if isinstance(each, list) else repr(each)[:80] for each in (theirs, ours))
        return f"{path}: {one} in the bundle, {two} derived again"
    return next(filter(None, told), "")


def _named(item: Any) -> str:
    """Return what a finding or clause is called, for those who do not count them."""
    keys = ("indicator", "target", "point") if isinstance(item, dict) and "indicator" in item else ("clause",)
    words = [str(item[key]) for key in keys if isinstance(item, dict) and item.get(key)]
    return f" ({' '.join(words)})" if words else ""


def _shown(text: str) -> str:
    """Return text as one line, whatever names and messages of others it holds."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
