"""A standard clause by clause, as text: what each clause asked for and what became of it, for the reader who signs.

The one thing to know: what was measured, what was checked and what somebody signed for are told apart in every line and
counted apart; a share of clauses that hold is no share of measurements.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from analysis import quantity, tables
from analysis.rows import Material, Party, clean
from analysis.tables import Badge
from analysis.words import Words
from harness.assessment import Assessed, Assessment, Reached, Said
from harness.model import Finding
from harness.standard import Kind

LETTERS = {Said.ATTESTED: "A", Said.DENIED: "D", Said.OPEN: "O", Said.NOT_TESTABLE: "N"}
MOST = 4        # points of one clause that are told one by one


@dataclass(frozen=True, kw_only=True)
class Number:
    """One measurement of a clause as text."""

    point: str
    value: str
    interval: str
    n: str
    method: str
    badge: Badge


@dataclass(frozen=True, kw_only=True)
class Line:
    """One clause as text; a heading has a share of its items and no badge."""

    depth: int
    number: str
    title: str
    kind: str
    badge: Badge | None
    share: str
    limit: str
    source: str
    numbers: tuple[Number, ...]
    more: int
    asked: str
    evidence: tuple[str, ...]
    signed: str
    why: str
    inferred: bool


@dataclass(frozen=True, kw_only=True)
class Step:
    """A level as text: whether it is reached, and what is missing."""

    name: str
    reached: bool
    missing: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One standard held to one target; `counts` are by kind of clause, each with how often every outcome occurs."""

    party: Party
    name: str
    title: str
    issuer: str
    number: str
    status: str
    public: str
    counts: tuple[tuple[str, tuple[tuple[Badge, int], ...]], ...]
    lines: tuple[Line, ...]
    levels: tuple[Step, ...]
    reached: str
    following: str


def sheets(material: Material, assessments: Sequence[Assessment], words: Words) -> list[Sheet]:
    """Return a sheet for each standard and target, in the order of the assessments."""
    return [_sheet(assessment, material.party(assessment.target), words) for assessment in assessments]


def _sheet(assessment: Assessment, party: Party, words: Words) -> Sheet:
    part, standard = assessment.part, assessment.part.standard
    reached, following = assessment.level, assessment.following
    return Sheet(
        party=party, name=part.name, title=words.pick(part.title, part.title_zh),
        issuer=words.pick(standard.issuer, standard.issuer_zh) if standard else "",
        number=" ".join(filter(None, (standard.number, str(standard.year or "")))) if standard else "",
        status=words(f"standard.{standard.status}") if standard else "",
        public=words.pick(standard.public, standard.public_zh) if standard else "",
        counts=tuple(_counts(assessment, words)), lines=tuple(_lines(assessment.clauses, words, 0)),
        levels=tuple(_step(each, words) for each in assessment.levels),
        reached=_level(reached, words) if reached else words("level.none"),
        following=_level(following, words) if following else "")


def _level(reached: Reached, words: Words) -> str:
    return words.pick(reached.level.title, reached.level.title_zh)


def _step(each: Reached, words: Words) -> Step:
    return Step(name=_level(each, words), reached=each.reached, missing=tuple(
        f"{leaf.clause.number or leaf.clause.id} {leaf.clause.said('title', words.lang)}: {_badge(leaf, words).text}"
        for leaf in each.missing))


def _counts(assessment: Assessment, words: Words) -> Iterator[tuple[str, tuple[tuple[Badge, int], ...]]]:
    """Yield each kind of clause that occurs, with its outcomes, the worst first."""
    leaves = assessment.leaves()
    for kind in (Kind.MEASURED, Kind.CHECKED, Kind.ATTESTED, Kind.NOT_TESTABLE):
        found = Counter(_badge(leaf, words) for leaf in leaves if leaf.clause.kind is kind)
        if found:
            yield words(f"clause.{kind}"), tuple(sorted(found.items(), key=lambda each: -each[0].rank))


def _lines(clauses: Sequence[Assessed], words: Words, depth: int) -> Iterator[Line]:
    for node in clauses:
        yield _line(node, words, depth)
        yield from _lines(node.children, words, depth + 1)


def _line(node: Assessed, words: Words, depth: int) -> Line:
    clause, heading, answer = node.clause, node.clause.kind is Kind.HEADING, node.answer
    asked = clause.said("question", words.lang) or clause.said("reason", words.lang)
    if clause.kind is Kind.ATTESTED and not answer:
        asked = words("clause.asked", question=asked, evidence=clause.said("evidence", words.lang))
    return Line(
        depth=depth, number=clause.number or clause.id, title=clause.said("title", words.lang),
        kind="" if heading else words(f"clause.{clause.kind}"), badge=None if heading else _badge(node, words),
        share=words("clause.share", share=f"{node.share:.0%}") if heading else "",
        limit=words("clause.every") if clause.kind is Kind.CHECKED else _limit(node), source=words.say(clause.source),
        numbers=tuple(_number(finding, words) for finding in node.findings[:MOST]),
        more=max(0, len(node.findings) - MOST), asked=asked, evidence=answer.evidence if answer else (),
        signed=" · ".join(filter(None, (answer.signed_by, answer.date))) if answer else "",
        why="" if node.said in (Said.NOT_TESTABLE, Said.OPEN) else words.say(clean(node.why)),
        inferred=clause.inferred)


def _limit(node: Assessed) -> str:
    """Return the limit as the findings have it, else as it was written."""
    required = next((finding.requirement for finding in node.findings if finding.requirement), None)
    if required is None:
        return node.clause.limit
    limits = [limit for limit in (required.limit, required.limit_hi) if limit is not None]
    return quantity.requirement(required.op, limits, required.unit)


def _number(finding: Finding, words: Words) -> Number:
    its, value, interval = finding.estimate, "–", ""
    if its:
        limits = [finding.requirement.limit] if finding.requirement else []
        shown = quantity.together(its.estimate, its.ci.lo, its.ci.hi, unit=its.unit, limits=limits)
        value, interval = f"{shown.value} {shown.unit}".strip(), f"{shown.low} … {shown.high}"
    return Number(point=clean(finding.point), value=value, interval=interval, n=str(its.n) if its else "",
                  method=words.say(its.method) if its else "", badge=tables.badge(finding.verdict, words))


def _badge(node: Assessed, words: Words) -> Badge:
    if node.verdict is not None:
        return tables.badge(node.verdict, words)
    said = node.said or Said.OPEN
    rank = list(LETTERS).index(said)
    return Badge(LETTERS[said], words(f"said.{said}"), said.lower().replace("_", "-"), rank)


__all__ = ["Line", "Number", "Sheet", "Step", "sheets"]
