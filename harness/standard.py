"""What a standard asks for, clause by clause: a tree of items, each with one way to tell whether it holds.

    [standard]                      # whose it is, and what of it is public
    [[clause]]                      # a heading, or one item:
    id = "4.2"                      #   measured     indicator = "CPU-03", and limit + source once somebody sets one
    under = "4"                     #   checked      check = "MIG-05": every trial of a scenario must succeed
    title = "Isolation"             #   attested     question = "...", with the evidence asked for and who signs
    title_zh = "隔离性"             #   not testable reason = "..."
    [[level]]                       # lowest first; holds when each of its clauses does

The one thing to know: an overlay (`extends`) changes clauses by their id, key by key, so that a user's file holds
nothing but thresholds, clause numbers and what else differs. A clause without a limit is measured, never passed.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from harness.errors import InputError
from harness.model import Name, Record
from harness.stats.records import Requirement

Text = Annotated[str, Meta(min_length=1)]
Weight = Annotated[float, Meta(gt=0)]


class Kind(StrEnum):
    """How it is told whether a clause holds."""

    HEADING = "heading"
    MEASURED = "measured"
    CHECKED = "checked"
    ATTESTED = "attested"
    NOT_TESTABLE = "not testable"


class Standard(Record, frozen=True, kw_only=True):
    """Whose standard a profile follows; `public` says what of its text is known, and from where."""

    issuer: Text
    issuer_zh: Text
    title: Text
    title_zh: Text
    status: Literal["planned", "draft", "in force", "reference"]
    public: Text
    public_zh: str = ""
    number: str = ""
    year: int | None = None


class Clause(Record, frozen=True, kw_only=True):
    """One [[clause]] as written; `number` is where it stands in the user's copy of the text.

    `inferred`: the mapping is virtmark's, not the standard's. `pending`: why virtmark cannot measure the indicator yet.
    """

    id: Name
    under: str = ""
    number: str = ""
    title: str = ""
    title_zh: str = ""
    inferred: bool = False
    weight: Weight = 1.0
    indicator: str = ""
    point: str = ""
    limit: str = ""
    source: str = ""
    required: bool = False
    pending: str = ""
    check: str = ""
    scenario: str = ""
    question: str = ""
    question_zh: str = ""
    evidence: str = ""
    evidence_zh: str = ""
    signs: str = ""
    reason: str = ""
    reason_zh: str = ""

    @property
    def kind(self) -> Kind:
        """Return how it is told whether this clause holds."""
        return next((kind for kind, (key, *_) in KEYS.items() if getattr(self, key)), Kind.HEADING)

    def said(self, key: str, lang: str) -> str:
        """Return the text `key` (title, question, evidence, reason) in a language, English where there is none."""
        found: str = getattr(self, key if lang == "en" else f"{key}_{lang}") or getattr(self, key)
        return found


# What makes a clause be of a kind, and the keys that belong to it alone.
KEYS: Mapping[Kind, tuple[str, ...]] = {
    Kind.MEASURED: ("indicator", "point", "limit", "source", "required", "pending"),
    Kind.CHECKED: ("check", "scenario", "point", "source"),
    Kind.ATTESTED: ("question", "question_zh", "evidence", "evidence_zh", "signs"),
    Kind.NOT_TESTABLE: ("reason", "reason_zh"),
}
BOTH = {Kind.ATTESTED: ("question", "evidence"), Kind.NOT_TESTABLE: ("reason",)}
NEEDED = {Kind.CHECKED: ("scenario", "source"), Kind.ATTESTED: ("signs",)}


class Level(Record, frozen=True, kw_only=True):
    """A level that a target can reach: `clauses` are ids or globs, and stand for all items below them."""

    name: Name
    title: Text
    title_zh: Text
    clauses: Annotated[tuple[str, ...], Meta(min_length=1)]


@dataclass(frozen=True)
class Part:
    """One standard of a profile, called as its file is: clauses in the order of the text, levels from the lowest.

    `required` is what each clause with a limit requires, by its id.
    """

    name: str
    title: str
    title_zh: str
    standard: Standard | None
    clauses: tuple[Clause, ...]
    levels: tuple[Level, ...] = ()
    required: Mapping[str, Requirement] = field(default_factory=dict)

    def children(self, under: str = "") -> list[Clause]:
        """Return the clauses directly below one, the top ones for ""."""
        return [clause for clause in self.clauses if clause.under == under]

    def items(self, under: str) -> Iterator[Clause]:
        """Yield the clause and all below it that are no headings."""
        yield from (clause for clause in self.clauses if clause.id == under and clause.kind is not Kind.HEADING)
        for child in self.children(under):
            yield from self.items(child.id)

    def of(self, level: Level) -> list[Clause]:
        """Return the items of a level, in the order of the text."""
        named = [clause.id for clause in self.clauses
                 if any(fnmatch.fnmatchcase(clause.id, each) for each in level.clauses)]
        wanted = {item.id for each in named for item in self.items(each)}
        return [clause for clause in self.clauses if clause.id in wanted]


def overlaid(base: Sequence[Clause], over: Sequence[Clause]) -> tuple[Clause, ...]:
    """Return clauses with those of an overlay laid over them by id; what is new comes last.

    A clause that becomes one of another kind loses the keys of the kind that it had.
    """
    found = {clause.id: clause for clause in base}
    for clause in over:
        old = found.get(clause.id)
        found[clause.id] = clause if old is None else msgspec.structs.replace(_stripped(old, clause), **_set(clause))
    return tuple(found.values())


def _set(clause: Clause) -> dict[str, object]:
    """Return the keys that a clause sets to something else than their default."""
    return {field.name: value for field in msgspec.structs.fields(Clause)
            if (value := getattr(clause, field.name)) != field.default}


def _stripped(old: Clause, over: Clause) -> Clause:
    if over.kind in (Kind.HEADING, old.kind):
        return old
    defaults = {field.name: field.default for field in msgspec.structs.fields(Clause)}
    return msgspec.structs.replace(old, **{key: defaults[key] for key in KEYS.get(old.kind, ())})


def check(part: Part, where: str) -> None:
    """Refuse what is no tree of clauses in two languages; InputError names file, clause, what is wrong and allowed."""
    seen: set[str] = set()
    for clause in part.clauses:
        _check_clause(clause, part, f"{where}: clause {clause.id!r}")
        if clause.id in seen:
            raise InputError(f"{where}: clause {clause.id!r}: stands there twice; take one of them out")
        if clause.under and clause.under not in seen:
            raise InputError(f"{where}: clause {clause.id!r}: under: {clause.under!r} is no clause before it; there "
                             f"are: {', '.join(sorted(seen)) or 'none'}")
        seen.add(clause.id)
    for level in part.levels:
        _check_level(level, part, f"{where}: level {level.name!r}")
    if len({level.name for level in part.levels}) < len(part.levels):
        raise InputError(f"{where}: level: two have the same name; give each its own")


def _check_clause(clause: Clause, part: Part, where: str) -> None:
    kinds = [kind for kind, (key, *_) in KEYS.items() if getattr(clause, key)]
    if len(kinds) > 1:
        raise InputError(f"{where}: is {' and '.join(kinds)} at once; keep one of: "
                         f"{', '.join(KEYS[kind][0] for kind in kinds)}")
    for kind, keys in KEYS.items():
        stray = [key for key in keys if key in _set(clause) and key not in KEYS.get(clause.kind, ())]
        if stray:
            raise InputError(f"{where}.{stray[0]}: belongs to {KEYS[kind][0]}, which is not set; the clause is "
                             f"{clause.kind}")
    both = ("title", *BOTH.get(clause.kind, ()))
    for key in (*both, *(f"{key}_zh" for key in both), *NEEDED.get(clause.kind, ())):
        if not getattr(clause, key):
            raise InputError(f"{where}: key {key!r} is missing; a clause that is {clause.kind} needs "
                             f"{', '.join((*both, *(f'{one}_zh' for one in both), *NEEDED.get(clause.kind, ())))}")
    if clause.kind is Kind.MEASURED and bool(clause.limit) != bool(clause.source):
        raise InputError(f"{where}: {'source' if clause.limit else 'limit'} is missing; a limit comes with the source "
                         "that it is from, such as source = \"user\"")
    if clause.kind is not Kind.HEADING and part.children(clause.id):
        raise InputError(f"{where}: is {clause.kind} and has clauses below it; only a heading may have them")


def _check_level(level: Level, part: Part, where: str) -> None:
    for each in level.clauses:
        if not any(fnmatch.fnmatchcase(clause.id, each) for clause in part.clauses):
            raise InputError(f"{where}: clauses: {each!r} is none; there are: {', '.join(ids(part.clauses))}")
    for item in part.of(level):
        if item.kind is Kind.NOT_TESTABLE:
            raise InputError(f"{where}: clauses: {item.id!r} is not testable, so that nothing could reach the level")


def ids(clauses: Iterable[Clause]) -> list[str]:
    """Return the ids of clauses."""
    return [clause.id for clause in clauses]


__all__ = ["KEYS", "Clause", "Kind", "Level", "Part", "Standard", "check", "ids", "overlaid"]
