"""Results of other programs as a run: what `virtmark import` reads. How each format is read is in `drivers/imports/`.

The one thing to know: files of one kind of load are rounds of one point, in the order given; whether they are true
repetitions (a fresh boot each) only who made them knows. What a file does not say is left out, never guessed: a
network path, a history of rates. Old versions, whose fields mean something else, are refused by name, and so are files
that say themselves that they belong to different things: another commit, another system.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from drivers.imports._measured import Format, Measured
from harness import codec, evidence, registry
from harness.errors import InputError, ToolError
from harness.model import Evidence, Plan, Repetition, Run, Scenario, Stage, Status, Step, StepResult, Value

KIND = "imports"
TARGET_FACTS = ("system", "commit", "branch", "dirty", "commit.time")
ONE_ONLY = ("system", "commit")
LOOSE = ("duration", "gives")  # parameters that do not tell one kind of load from another


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A run with its results, and the untouched bytes that their evidence names, by path below the run folder.

    `unscored` names what is kept but reaches no indicator.
    """

    run: Run
    raw: Mapping[str, bytes]
    unscored: tuple[str, ...] = ()


@dataclass(frozen=True)
class Read:
    """One load, the file that it stands in, and the number of that file."""

    path: Path
    data: bytes
    number: int
    load: Measured


def formats() -> dict[str, str]:
    """Return what can be read: the output that is expected, by the name of the tool."""
    return {name.replace("_", "-"): registry.find(KIND, name).EXPECTED for name in registry.names(KIND)}


def load(tool: str, files: Sequence[Path], *, target: str = "imported", version: str = "",
         params: Mapping[str, Value] | None = None) -> Imported:
    """Read the files of a tool; `params` adds what they cannot say, such as path = "cross-host".

    InputError names the file, what is wrong with it and what is expected.
    """
    if tool not in (known := [name.replace("_", "-") for name in registry.names(KIND)]):
        raise InputError(f"import: tool {tool!r} is unknown; there are: {', '.join(known)}")
    if not files:
        raise InputError(f"import {tool}: no file is given")
    form: type[Format] = registry.find(KIND, tool.replace("-", "_"))
    read = [Read(path, data, number, each) for number, (path, data) in enumerate(map(_bytes, files))
            for each in _measured(form, tool, path, data, params or {})]
    facts = {"target": {"vendor": "unknown", "product": target, "version": "unknown", "accelerator": "unknown",
                        "imported": "true"}, "guest": {}}
    facts["guest"][f"tool.{tool}"] = ", ".join(sorted({each.load.version for each in read}))
    for key, value in _facts(read):
        facts["target" if key in TARGET_FACTS else "guest"][key] = value
    steps = list(_steps(read, target))
    plan = Plan(campaign=f"imported-{_digest(read)}", scenario=_scenario(tool, read), target=target, seed=0,
                steps=tuple(steps))
    results, raw = _results(steps, read)
    created = max((result.started for result in results), default="")
    mute = dict.fromkeys(each.load.stage for each in read if each.load.params.get("gives") == "")
    return Imported(run=Run(plan=plan, facts=facts, created=created, version=version, results=results), raw=raw,
                    unscored=tuple(mute))


def _bytes(path: Path) -> tuple[Path, bytes]:
    try:
        return path, path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None


def _measured(form: type[Format], tool: str, path: Path, data: bytes, params: Mapping[str, Value]) -> list[Measured]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not text (byte {error.start}); the output of {tool} is expected") from None
    try:
        made = form.read(text, params)
    except ToolError as error:
        raise InputError(f"{path}: {error}; expected: {form.EXPECTED}") from None
    for each in made:
        each.params.update({key: value for key, value in params.items() if key not in form.OPTIONS})
    seen: set[tuple[str, str]] = set()
    for each in made:
        if (key := (_point(each), each.part)) in seen:
            raise InputError(f"{path}: holds {each.stage!r} twice with like parameters; one of each is expected, since "
                             "repetitions are files")
        seen.add(key)
    return made


def _facts(read: Sequence[Read]) -> Iterable[tuple[str, str]]:
    """Yield what the files say of the system; InputError where they say that they are of different ones."""
    for key in dict.fromkeys(key for each in read for key in each.load.facts):
        seen = {each.load.facts[key]: each.path for each in read if key in each.load.facts}
        if key in ONE_ONLY and len(seen) > 1:
            (one, first), (other, second) = list(seen.items())[:2]
            raise InputError(f"{second}: is of {key} {other}, {first} of {key} {one}; they are no rounds of one thing, "
                             "import them as runs of their own")
        yield key, ", ".join(sorted(seen))


def _scenario(tool: str, read: Sequence[Read]) -> Scenario:
    firsts: dict[str, Measured] = {}
    counts: dict[str, int] = {}
    for each in read:
        point = _point(each.load)
        firsts.setdefault(point, each.load)
        counts[point] = counts.get(point, 0) + 1
    stages = tuple(Stage(workload=each.workload, name=point, params=each.params) for point, each in firsts.items())
    return Scenario(name=f"imported-{tool}", title=f"Imported results of {tool}", stage=stages,
                    repetition=Repetition(rounds=max(counts.values())))


def _point(each: Measured) -> str:
    """Return what tells one kind of load from another: its name, and a short digest of its parameters."""
    kept = {key: value for key, value in each.params.items() if key not in LOOSE}
    return f"{_name(each.stage)[:80]}-{hashlib.sha256(codec.encode(kept)).hexdigest()[:6]}"


def _steps(read: Iterable[Read], target: str) -> Iterable[Step]:
    counts: dict[str, int] = {}
    for order, each in enumerate(read):
        point = _point(each.load)
        turn = counts[point] = counts.get(point, -1) + 1
        yield Step(id=f"{point}#{turn}", stage=point, workload=each.load.workload, params=each.load.params, point=point,
                   grid={}, arm={}, round=turn, order=order, target=target)


def _results(steps: Sequence[Step], read: Sequence[Read]) -> tuple[tuple[StepResult, ...], dict[str, bytes]]:
    """Return what became of each step, and the files by path: a file is kept once, where its first load is."""
    places: dict[int, str] = {}
    raw: dict[str, bytes] = {}
    made = []
    for step, each in zip(steps, read, strict=True):
        place = places.setdefault(each.number, f"raw/{evidence.name(step)}/01-{_name(each.path.name)}")
        raw[place] = each.data
        kept = Evidence(path=place, sha256=hashlib.sha256(each.data).hexdigest(), size=len(each.data),
                        source=each.path.name)
        when = each.load.started if each.load.started > 0 else each.path.stat().st_mtime
        made.append(StepResult(step=step, status=Status.DONE, series=tuple(each.load.series), evidence=(kept,),
                               elapsed=each.load.elapsed,
                               started=datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds")))
    return tuple(made), raw


def _digest(read: Sequence[Read]) -> str:
    files = {each.number: each.data for each in read}
    return hashlib.sha256(b"".join(hashlib.sha256(data).digest() for data in files.values())).hexdigest()[:12]


def _name(text: str) -> str:
    """Return text as part of a name: no spaces, no separators."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._") or "file"
