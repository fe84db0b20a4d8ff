"""From runs to findings: one for each target, indicator and point, and for each requirement that it has to meet. Pure.

PASS and FAIL need the whole interval on one side of the limit (`harness.stats.decide`). Everything that keeps a number
from meaning what it says makes the finding INVALID: a step that broke, a failed gate, an evaluation that crashed.
What an indicator itself calls a failure (lost data) is FAIL all the same, required or not; no gate hides it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from harness import cells, extension, indicators, validity
from harness.cells import Cell
from harness.errors import Unsupported
from harness.indicators import Evaluated, Indicator
from harness.model import Finding, Run, StepResult
from harness.profile import Clause, Profile
from harness.stats import decide
from harness.stats.records import DEFAULT_POLICY, Check, Estimate, Requirement, StatsPolicy, Verdict
from harness.validity import GateLimits

EXIT = {Verdict.FAIL: 1, Verdict.INVALID: 3, Verdict.INCONCLUSIVE: 3, Verdict.NOT_RUN: 2}


class Overall(NamedTuple):
    """The worst verdict of many findings, and how many findings have each."""

    verdict: Verdict
    counts: dict[Verdict, int]

    @property
    def exit_code(self) -> int:
        """0 fine; 1 measured and missed; 2 not run; 3 inconclusive or invalid."""
        return EXIT.get(self.verdict, 0)


def judge(runs: Sequence[Run], profile: Profile | None = None, *, policy: StatsPolicy = DEFAULT_POLICY,
          gates: GateLimits | None = None, catalogue: Mapping[str, Indicator] | None = None) -> list[Finding]:
    """Return the findings of `runs`, ordered by target, indicator and point.

    Without a profile nothing is required and valid numbers are MEASURED. A requirement for which a target has no step
    at all is NOT_RUN. `gates` replaces the limits of the profile's table [gates].
    """
    known = indicators.catalogue() if catalogue is None else catalogue
    limits = gates or (profile.gates if profile else GateLimits())
    clauses = profile.clauses if profile else ()
    findings: list[Finding] = []
    for target in dict.fromkeys(run.plan.target for run in runs):
        own = [run for run in runs if run.plan.target == target]
        found = list(cells.cells(own, known))
        checks = {id(result): validity.gates(result, limits) for run in own for result in run.results}
        by = _Judge(policy, limits, checks)
        met: set[Clause] = set()
        for cell in found:
            due = [clause for clause in clauses if clause.covers(cell.indicator.id, cell.point)]
            met.update(due)
            findings += _findings(cell, due, by)
        findings += [_not_run(target, clause) for clause in clauses if clause not in met]
    return findings


def overall(findings: Iterable[Finding]) -> Overall:
    """Return the worst verdict with counts; nothing at all is NOT_RUN."""
    counts = Counter(finding.verdict for finding in findings)
    return Overall(max(counts, default=Verdict.NOT_RUN), {verdict: counts[verdict] for verdict in sorted(counts)})


@dataclass(frozen=True)
class _Judge:
    """By what is judged; the checks of steps, and of rounds together, are kept, since several indicators share them."""

    policy: StatsPolicy
    limits: GateLimits
    checks: Mapping[int, tuple[Check, ...]]
    together: dict[tuple[int, ...], tuple[Check, ...]] = field(default_factory=dict)

    def campaign(self, cell: Cell, results: Sequence[StepResult]) -> tuple[Check, ...]:
        """Return the checks of the rounds of a cell together."""
        key = tuple(map(id, results))
        if results and key not in self.together:
            self.together[key] = validity.campaign_gates(results, self.limits, facts=cell.run.facts)
        return self.together.get(key, ())


def _findings(cell: Cell, clauses: Sequence[Clause], judge: _Judge) -> Iterator[Finding]:
    """Yield the finding of a cell against each requirement, or the one without any."""
    base: dict[str, Any] = {"indicator": cell.indicator.id, "target": cell.run.plan.target, "point": cell.point}
    rounds = cells.sorted_rounds(cell)
    try:
        if rounds.unsupported:
            raise Unsupported(rounds.unsupported)
        found, crash = cells.evaluated(cell, rounds.complete, judge.policy) if rounds.complete else (None, ())
    except Unsupported as reason:
        yield from (_inapplicable(base, clause, str(reason)) for clause in clauses or (None,))
        return
    gates = _gates(cell, rounds.complete, found, judge)
    base["gates"] = gates
    if found:
        base |= {"estimate": _honest(found, cell), "scores": found.scores, "rounds": found.rounds}
    invalid = (*rounds.broken, *crash, *validity.failures(gates))
    for clause in clauses or (None,):
        requirement = clause.requirement if clause else None
        if found and found.fail:
            yield Finding(**base, verdict=Verdict.FAIL, requirement=requirement, reasons=(found.fail, *invalid))
        elif invalid:
            yield Finding(**base, verdict=Verdict.INVALID, requirement=requirement, reasons=invalid)
        elif rounds.open:
            yield Finding(**base, verdict=Verdict.NOT_RUN, requirement=requirement, reasons=(rounds.open,))
        else:
            yield _decided(base, requirement, judge.policy)


def _inapplicable(base: Mapping[str, Any], clause: Clause | None, reason: str) -> Finding:
    if clause is None or not clause.required:
        requirement = clause.requirement if clause else None
        return Finding(**base, verdict=Verdict.NOT_APPLICABLE, requirement=requirement, reasons=(reason,))
    return Finding(**base, verdict=Verdict.FAIL, requirement=clause.requirement,
                   reasons=(reason, "the profile marks this clause as required"))


def _gates(cell: Cell, results: Sequence[StepResult], found: Evaluated | None, judge: _Judge) -> tuple[Check, ...]:
    """Return the worst check of each gate over all steps, then what concerns the rounds together."""
    worst: dict[str, tuple[int, int, Check]] = {}
    for result in results:
        for check in judge.checks[id(result)]:
            rank = _severity(check)
            if check.name not in worst or rank > worst[check.name][0]:
                worst[check.name] = rank, result.step.round, check
    steps = (replace(check, note=f"{check.note} [round {number}]") if check.note and rank != 1 else check
             for rank, number, check in worst.values())
    return (*steps, *judge.campaign(cell, results), *(found.checks if found else ()))


def _honest(found: Evaluated, cell: Cell) -> Estimate:
    """Return the estimate; after a second stage with the interval that the choice of its length asks for."""
    rule = cell.run.plan.scenario.repetition
    if rule.rule == "two-stage":
        return extension.widened(found.estimate, found.scores, rule.rounds)
    return found.estimate


def _severity(check: Check) -> int:
    if check.passed is None:
        return 1
    return 3 if not check.passed else 2 if check.note.startswith(validity.CAUTION) else 0


def _decided(base: Mapping[str, Any], requirement: Requirement | None, policy: StatsPolicy) -> Finding:
    estimate = base.get("estimate")
    if estimate is None:
        return Finding(**base, verdict=Verdict.INVALID, requirement=requirement, reasons=("there is no estimate",))
    if requirement is None:
        return Finding(**base, verdict=Verdict.MEASURED)
    try:
        decision = decide(estimate, requirement, policy=policy)
    except Exception as error:
        reason = f"the decision failed: {type(error).__name__}: {error}"
        return Finding(**base, verdict=Verdict.INVALID, requirement=requirement, reasons=(reason,))
    return Finding(**base, verdict=decision.verdict, requirement=requirement, decision=decision,
                   reasons=decision.reasons)


def _not_run(target: str, clause: Clause) -> Finding:
    where = f"at points like {clause.point!r} " if clause.point else ""
    return Finding(indicator=clause.requirement.indicator_id, target=target, point=clause.point,
                   verdict=Verdict.NOT_RUN, requirement=clause.requirement,
                   reasons=(f"no step that measures it {where}was planned",))
