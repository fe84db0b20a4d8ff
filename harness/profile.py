"""Read the file that says how good is good enough: limits on indicators, each with the source it comes from.

    [[requirement]]
    indicator = "STO-02"
    point = "disk*block=4KiB*"      # optional: points by glob; without it every point
    limit = "<= 10 ms"              # >=, >, <=, < or "between 5 ms and 10 ms"; percentages and negative values too
    source = "user"                 # or the name of a public source; never left out

Limits are read into base units and checked against the unit and direction of their indicator. A profile may also
follow a standard clause by clause (`harness.standard`), and overlay another profile:

    extends = "tiac-virtualization"
    [[clause]]
    id = "CPU-03"
    number = "6.2.1"
    limit = "<= 5 %"
    source = "user"
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from harness import codec, indicators
from harness import standard as standards
from harness.errors import InputError
from harness.indicators import Indicator
from harness.model import Name, Record
from harness.scenario import find
from harness.standard import Level, Part, Standard
from harness.stats.records import Direction, Requirement
from harness.units import BY_BASE
from harness.validity import GateLimits

LIMIT = re.compile(r"\s*(?:(?P<op>>=|<=|>|<)\s*(?P<limit>.+?)|between\s+(?P<lo>.+?)\s+and\s+(?P<hi>.+?))\s*")
WRONG_WAY = {Direction.HIGHER_IS_BETTER: ("<=", "<"), Direction.LOWER_IS_BETTER: (">=", ">")}
Text = Annotated[str, Meta(min_length=1)]


class Entry(Record, frozen=True, kw_only=True):
    """One [[requirement]] as written."""

    indicator: str
    limit: Text
    source: Text
    point: str = ""
    clause: str = ""
    required: bool = False


class ProfileFile(Record, frozen=True, kw_only=True):
    """A profile as written."""

    name: Name
    title: str = ""
    title_zh: str = ""
    extends: str = ""
    standard: Standard | None = None
    clause: tuple[standards.Clause, ...] = ()
    level: tuple[Level, ...] = ()
    requirement: tuple[Entry, ...] = ()
    gates: GateLimits = GateLimits()
    description: str = ""


@dataclass(frozen=True)
class Clause:
    """A requirement, the points it is for (a glob; empty for all), and whether lacking the capability is a FAIL."""

    requirement: Requirement
    point: str = ""
    clause: str = ""
    required: bool = False

    def covers(self, indicator: str, point: str) -> bool:
        """Return whether the requirement is about this indicator at this point."""
        return indicator == self.requirement.indicator_id and (
            not self.point or fnmatch.fnmatchcase(point, self.point))


@dataclass(frozen=True)
class Profile:
    """What is required of a target, and the limits of the validity gates.

    `clauses` are all requirements, those of `parts` among them; a part is a standard, clause by clause. `base` names
    the profiles that this one overlays.
    """

    name: str
    title: str
    clauses: tuple[Clause, ...] = ()
    gates: GateLimits = field(default_factory=GateLimits)
    description: str = ""
    parts: tuple[Part, ...] = ()
    base: tuple[str, ...] = ()
    title_zh: str = ""


def load(name: str | Path, catalogue: Mapping[str, Indicator] | None = None) -> Profile:
    """Return the profile called `name`; InputError names file, key, what is wrong and what is allowed."""
    path = find("profile", name)
    return read(codec.toml(path), str(path), catalogue)


def read(data: Mapping[str, object], where: str, catalogue: Mapping[str, Indicator] | None = None) -> Profile:
    """Return the profile in plain data; `where` begins every complaint."""
    known = indicators.catalogue() if catalogue is None else catalogue
    file, base = _extended(codec.convert(ProfileFile, data, where), where)
    if not file.title:
        raise InputError(f"{where}: key 'title' is missing")
    clauses = tuple(_clause(entry, known, f"{where}: requirement[{number}]")
                    for number, entry in enumerate(file.requirement))
    for number, clause in enumerate(clauses):
        if clause in clauses[:number]:
            raise InputError(f"{where}: requirement[{number}]: stands there twice; take one of them out")
    parts: tuple[Part, ...] = (_part(file, known, where),) if file.clause else ()
    if (file.level or file.standard) and not parts:
        raise InputError(f"{where}: {'level' if file.level else 'standard'}: there is no [[clause]] that it is of")
    own = {clause.id: _required(clause, known, where) for part in parts for clause in part.clauses if clause.limit}
    parts = tuple(replace(part, required={id_: clause.requirement for id_, clause in own.items()}) for part in parts)
    clauses = tuple(dict.fromkeys((*clauses, *own.values())))
    return Profile(file.name, file.title, clauses, file.gates, file.description, parts, base, file.title_zh)


def _extended(file: ProfileFile, where: str, seen: tuple[Path, ...] = ()) -> tuple[ProfileFile, tuple[str, ...]]:
    """Return a file laid over the one that it extends, and the names of all below it."""
    if not file.extends:
        return file, ()
    path = below(file.extends, Path(where))
    if path.resolve() in seen:
        raise InputError(f"{where}: extends: {file.extends!r} extends itself in the end; take one of them out")
    lower, names = _extended(codec.convert(ProfileFile, codec.toml(path), str(path)), str(path),
                             (*seen, path.resolve()))
    own = {key: value for key in ("title", "title_zh", "description", "standard") if (value := getattr(file, key))}
    gates = {key: value for key, value in msgspec.structs.asdict(file.gates).items()
             if value != getattr(GateLimits(), key)}
    levels = {level.name: level for level in (*lower.level, *file.level)}
    return msgspec.structs.replace(
        lower, name=file.name, extends="", clause=standards.overlaid(lower.clause, file.clause),
        level=tuple(levels.values()), requirement=(*lower.requirement, *file.requirement),
        gates=msgspec.structs.replace(lower.gates, **gates), **own), (lower.name, *names)


def below(extends: str, path: Path) -> Path:
    """Return the file that the profile at `path` extends: one beside it by its name, or a packaged one."""
    return path.parent / extends if extends.endswith(".toml") else find("profile", extends)


def _part(file: ProfileFile, known: Mapping[str, Indicator], where: str) -> Part:
    part = Part(file.name, file.title, file.title_zh, file.standard, file.clause, file.level)
    standards.check(part, where)
    for clause in part.clauses:
        named = clause.indicator or clause.check
        if not named:
            continue
        here = f"{where}: clause {clause.id!r}"
        if named not in known and not clause.pending:
            raise InputError(f"{here}: {named!r} is no indicator that virtmark measures; say why with `pending`, or "
                             f"take one of: {', '.join(sorted(known))}")
        if named in known and clause.pending:
            raise InputError(f"{here}.pending: virtmark measures {named!r}; take `pending` out")
        if clause.pending and clause.limit:
            raise InputError(f"{here}.limit: virtmark cannot measure {named!r} yet, so no limit of it can be met")
        if clause.check and known[named].unit != "1":
            raise InputError(f"{here}.check: {named!r} is in {known[named].unit}; a check is a share of trials that "
                             "succeeded")
    return part


def _required(clause: standards.Clause, known: Mapping[str, Indicator], where: str) -> Clause:
    """Return what a clause with a limit requires."""
    entry = Entry(indicator=clause.indicator, limit=clause.limit, source=clause.source, point=clause.point,
                  clause=clause.number or clause.id, required=clause.required)
    return _clause(entry, known, f"{where}: clause {clause.id!r}")


def merge(profiles: Sequence[Profile]) -> Profile | None:
    """Return one profile that requires all that `profiles` require; None for none.

    Requirements add up: where two are about one indicator and point, both have to be met. A profile that another one
    overlays is not judged beside it. InputError if two profiles set the same gate to different limits, since a number
    cannot be valid and not.
    """
    below = {name for profile in profiles for name in profile.base}
    profiles = [profile for profile in profiles if profile.name not in below]
    if len(profiles) < 2:
        return profiles[0] if profiles else None
    return Profile(
        name="+".join(profile.name for profile in profiles), title=" + ".join(profile.title for profile in profiles),
        title_zh=" + ".join(profile.title_zh or profile.title for profile in profiles),
        clauses=tuple(dict.fromkeys(clause for profile in profiles for clause in profile.clauses)),
        gates=_merged_gates(profiles), description="\n".join(filter(None, (p.description for p in profiles))),
        parts=tuple(part for profile in profiles for part in profile.parts))


def _merged_gates(profiles: Iterable[Profile]) -> GateLimits:
    normal = msgspec.structs.asdict(GateLimits())
    found: dict[str, tuple[str, object]] = {}
    for profile in profiles:
        for key, value in msgspec.structs.asdict(profile.gates).items():
            if value == normal[key]:
                continue
            owner, other = found.setdefault(key, (profile.name, value))
            if other != value:
                raise InputError(f"profiles {owner!r} and {profile.name!r}: gates.{key}: {other:g} and {value:g}; "
                                 "they must agree")
    return msgspec.structs.replace(GateLimits(), **{key: value for key, (_, value) in found.items()})


def _clause(entry: Entry, known: Mapping[str, Indicator], where: str) -> Clause:
    if entry.indicator not in known:
        raise InputError(f"{where}.indicator: {entry.indicator!r} is unknown; there are: {', '.join(sorted(known))}")
    requirement = _requirement(entry, known[entry.indicator], where)
    return Clause(requirement, entry.point, entry.clause, entry.required)


def _requirement(entry: Entry, indicator: Indicator, where: str) -> Requirement:
    match = LIMIT.fullmatch(entry.limit)
    if not match:
        raise InputError(f"{where}.limit: {entry.limit!r} is no limit; write, say, '>= 5 {indicator.unit}', "
                         "'<= 10 %' or 'between A and B'")
    op = match["op"] or "between"
    if op in WRONG_WAY.get(indicator.direction, ()):
        raise InputError(f"{where}.limit: {entry.limit!r} is the wrong way round: of {indicator.id} "
                         f"{indicator.direction.value} is better")
    low = _quantity(match["limit"] or match["lo"], indicator, f"{where}.limit")
    high = _quantity(match["hi"], indicator, f"{where}.limit") if op == "between" else None
    if high is not None and high <= low:
        raise InputError(f"{where}.limit: {entry.limit!r} is empty; the first value must be the smaller one")
    return Requirement(indicator_id=indicator.id, op=op, limit=low, limit_hi=high, unit=indicator.unit,
                       source=entry.source)


def _quantity(text: str, indicator: Indicator, where: str) -> float:
    """Read a value in the indicator's unit; limits, unlike other quantities, may be negative."""
    sign, bare = (-1.0, text[1:].lstrip()) if text.startswith("-") else (1.0, text)
    try:
        return sign * float(BY_BASE[indicator.unit].read(bare))
    except ValueError as error:
        raise InputError(f"{where}: {error}; {indicator.id} is in {indicator.unit}") from None
