"""A standard held to a target: the tree of clauses with what became of each, and the level that is reached. Pure.

The one thing to know: measured, checked and attested never mix. A clause holds when its measurement is PASS, its check
succeeded in every trial, or somebody signed for it with evidence; a level when each of its clauses holds.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.attestation import Answer
from harness.model import Finding, Verdict
from harness.profile import Profile
from harness.standard import Clause, Kind, Level, Part

FOUND = (Verdict.MEASURED, Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.INVALID, Verdict.FAIL)


class Said(StrEnum):
    """What became of a clause that no measurement decides."""

    ATTESTED = "ATTESTED"
    DENIED = "DENIED"
    OPEN = "OPEN"
    NOT_TESTABLE = "NOT_TESTABLE"


@dataclass(frozen=True, kw_only=True)
class Assessed:
    """A clause and what became of it: `verdict` of what was measured or checked, `said` of everything else.

    A heading has the share of its items' weight that holds, and neither. `why` is for the reader.
    """

    clause: Clause
    holds: bool
    verdict: Verdict | None = None
    said: Said | None = None
    findings: tuple[Finding, ...] = ()
    answer: Answer | None = None
    why: str = ""
    share: float = 0.0
    children: tuple[Assessed, ...] = ()

    @property
    def outcome(self) -> str:
        """Return verdict or answer by name, "" for a heading."""
        return self.verdict.name if self.verdict is not None else str(self.said or "")

    def leaves(self) -> tuple[Assessed, ...]:
        """Return the items at and below it in order."""
        if self.clause.kind is not Kind.HEADING:
            return (self,)
        return tuple(leaf for child in self.children for leaf in child.leaves())


@dataclass(frozen=True, kw_only=True)
class Reached:
    """A level, whether it is reached, and the items that keep it from being so."""

    level: Level
    reached: bool
    missing: tuple[Assessed, ...]


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """One standard held to one target: the top clauses, and the levels from the lowest."""

    part: Part
    target: str
    clauses: tuple[Assessed, ...]
    levels: tuple[Reached, ...]

    @property
    def level(self) -> Reached | None:
        """Return the highest level that is reached with all below it."""
        found = None
        for each in self.levels:
            if not each.reached:
                break
            found = each
        return found

    @property
    def following(self) -> Reached | None:
        """Return the lowest level that is not reached."""
        return next((each for each in self.levels if not each.reached), None)

    def leaves(self) -> tuple[Assessed, ...]:
        """Return all items in the order of the text."""
        return tuple(leaf for clause in self.clauses for leaf in clause.leaves())


def assess(profile: Profile, findings: Sequence[Finding], answers: Iterable[Answer] = ()) -> list[Assessment]:
    """Return each standard of a profile held to each target that has findings."""
    given = tuple(answers)
    return [_assessment(part, target, given, [finding for finding in findings if finding.target == target])
            for part in profile.parts for target in dict.fromkeys(finding.target for finding in findings)]


@dataclass(frozen=True)
class _Known:
    """What is known of one target: its findings, and the answers about it."""

    part: Part
    findings: Sequence[Finding]
    answers: Mapping[str, Answer]


def _assessment(part: Part, target: str, answers: Sequence[Answer], findings: Sequence[Finding]) -> Assessment:
    said = {answer.clause: answer for answer in answers if answer.target == ""}
    said |= {answer.clause: answer for answer in answers if answer.target == target}
    known = _Known(part, findings, said)
    clauses = tuple(_assessed(clause, known) for clause in part.children())
    leaves = {leaf.clause.id: leaf for clause in clauses for leaf in clause.leaves()}
    levels, open_below = [], False
    for level in part.levels:
        missing = tuple(leaves[item.id] for item in part.of(level) if not leaves[item.id].holds)
        open_below |= bool(missing)
        levels.append(Reached(level=level, reached=not open_below, missing=missing))
    return Assessment(part=part, target=target, clauses=clauses, levels=tuple(levels))


def _assessed(clause: Clause, known: _Known) -> Assessed:
    if clause.kind is Kind.MEASURED:
        return _measured(clause, known)
    if clause.kind is Kind.CHECKED:
        return _checked(clause, known.findings)
    if clause.kind is Kind.ATTESTED:
        return _attested(clause, known.answers.get(clause.id))
    if clause.kind is Kind.NOT_TESTABLE:
        return Assessed(clause=clause, holds=False, said=Said.NOT_TESTABLE, why=clause.reason)
    children = tuple(_assessed(child, known) for child in known.part.children(clause.id))
    leaves = [leaf for child in children for leaf in child.leaves()]
    whole = math.fsum(leaf.clause.weight for leaf in leaves)
    held = math.fsum(leaf.clause.weight for leaf in leaves if leaf.holds)
    return Assessed(clause=clause, holds=bool(leaves) and all(leaf.holds for leaf in leaves), children=children,
                    share=held / whole if whole else 0.0)


def _measured(clause: Clause, known: _Known) -> Assessed:
    """A clause is as good as its worst finding; it holds only where each was passed, and a limit was there to pass.

    What other clauses require of the same indicator, such as those of other levels, is not held against it.
    """
    its = _of(clause.indicator, clause.point, known.findings)
    if own := known.part.required.get(clause.id):
        its = tuple(finding for finding in its if finding.requirement == own)
    if not its:
        return Assessed(clause=clause, holds=False, verdict=Verdict.NOT_RUN,
                        why=clause.pending or "no step that measures it was planned")
    worst = max(its, key=lambda finding: finding.verdict)
    passed = all(finding.verdict in (Verdict.PASS, Verdict.MEASURED) for finding in its) and any(
        finding.verdict is Verdict.PASS for finding in its)
    return Assessed(clause=clause, holds=passed, verdict=Verdict.PASS if passed else worst.verdict, findings=its,
                    why="" if passed else "; ".join(worst.reasons))


def _checked(clause: Clause, findings: Sequence[Finding]) -> Assessed:
    """A function works if it did in every trial: no statistics, and said so."""
    its = _of(clause.check, clause.point, findings)
    tried = [finding for finding in its if finding.verdict in FOUND and finding.estimate]
    if not tried:
        reasons = [reason for finding in its for reason in finding.reasons]
        verdict = max((finding.verdict for finding in its), default=Verdict.NOT_RUN)
        return Assessed(clause=clause, holds=False, verdict=verdict, findings=its,
                        why="; ".join(reasons) or f"not tried; run scenario {clause.scenario}")
    invalid = [finding for finding in tried if finding.verdict is Verdict.INVALID]
    failed = [finding for finding in tried if finding.estimate and finding.estimate.estimate < 1]
    verdict = Verdict.FAIL if failed else Verdict.INVALID if invalid else Verdict.PASS
    return Assessed(clause=clause, holds=verdict is Verdict.PASS, verdict=verdict, findings=tuple(tried),
                    why="; ".join(reason for finding in invalid for reason in finding.reasons))


def _attested(clause: Clause, answer: Answer | None) -> Assessed:
    if answer is None or answer.answer == "":
        return Assessed(clause=clause, holds=False, said=Said.OPEN, why="not answered")
    said = Said.ATTESTED if answer.counts else Said.DENIED
    return Assessed(clause=clause, holds=answer.counts, said=said, answer=answer, why=answer.remark)


def _of(indicator: str, point: str, findings: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(finding for finding in findings if finding.indicator == indicator and (
        not point or fnmatch.fnmatchcase(finding.point, point)))


__all__ = ["Assessed", "Assessment", "Reached", "Said", "assess"]
