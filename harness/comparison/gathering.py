"""From runs to entries: who contends, which rounds count for whom, and why some do not. Pure.

A run is judged by itself, and no limit is held to it; the valid rounds of all runs of a contender are its replicates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness import stats, validity, verdict
from harness.comparison.records import Contender, Entry, Key
from harness.errors import InputError
from harness.indicators import Indicator
from harness.model import Finding, Run, Verdict
from harness.stats.inputs import About
from harness.stats.records import DEFAULT_POLICY, Direction, Estimate, Scale, StatsPolicy
from harness.validity import GateLimits

BY = ("target", "vendor", "product")
COUNTS = frozenset({Verdict.MEASURED, Verdict.FAIL})    # of a FAIL without a limit the number may still be good
Place = tuple[str, str]    # indicator and point
Found = dict[Place, Finding]


def contenders(runs: Sequence[Run], numbers: Iterable[int], by: str) -> tuple[Contender, ...]:
    """Return who contends among these runs, in the order in which they first appear."""
    found: dict[str, list[int]] = {}
    for number in numbers:
        found.setdefault(name(runs[number], by), []).append(number)
    return tuple(_contender(who, own, runs) for who, own in found.items())


def name(run: Run, by: str) -> str:
    """Return for whom a run counts: its target, its vendor, or vendor, product and version; the target if unknown."""
    if by not in BY:
        raise InputError(f"--by {by}: is unknown; allowed: {', '.join(BY)}")
    facts, keys = run.facts.get("target", {}), {"vendor": ("vendor",), "product": ("vendor", "product", "version")}
    text = " ".join(facts.get(key, "") for key in keys.get(by, ()))
    return " ".join("".join(char if char.isprintable() else " " for char in text).split()) or run.plan.target


def judged(run: Run, gates: GateLimits | None, policy: StatsPolicy, catalogue: Mapping[str, Indicator]) -> Found:
    """Return the findings of one run by place; no requirement is held to them."""
    return {(finding.indicator, finding.point): finding
            for finding in verdict.judge([run], policy=policy, gates=gates, catalogue=catalogue)}


def entry(who: Contender, place: Place, found: Sequence[Found], policy: StatsPolicy = DEFAULT_POLICY) -> Entry:
    """Return what a contender has at a place: its valid rounds over all its runs, and why others do not count."""
    own = {number: found[number][place] for number in who.runs if place in found[number]}
    if not own:
        return Entry(who.name, Verdict.NOT_RUN, reasons=("no step that measures it was planned",))
    valid = {number: finding for number, finding in own.items() if _counts(finding)}
    if not valid:
        shown = max(own.values(), key=lambda finding: finding.verdict)
        return Entry(who.name, shown.verdict, shown.estimate, reasons=shown.reasons)
    scores: dict[Key, float] = {(number, at): score for number, finding in valid.items()
                                for at, score in zip(finding.rounds, finding.scores, strict=True)}
    said = dict.fromkeys(reason for finding in valid.values() for reason in finding.reasons)    # lost data, say
    bad = [f"{len(own) - len(valid)} of {len(own)} runs do not count: {_why(own, valid)}"] * (len(own) > len(valid))
    estimate, unlike = _pooled(valid, scores, place[0], policy)
    return Entry(who.name, max(finding.verdict for finding in valid.values()), estimate, scores, valid=True,
                 reasons=(*said, *bad, *unlike), doubts=_doubts(valid.values(), len(scores), policy))


def _counts(finding: Finding) -> bool:
    return finding.verdict in COUNTS and finding.estimate is not None and not validity.failures(finding.gates)


def _doubts(valid: Iterable[Finding], rounds: int, policy: StatsPolicy) -> tuple[str, ...]:
    """Return why nothing may be claimed of a valid number, as the verdict would have it: few rounds, or a gate of the
    indicator's own that could not be judged."""
    own = [(check, finding.estimate.assumptions) for finding in valid if finding.estimate for check in finding.gates]
    open_ = dict.fromkeys(f"{check.name} is not judged: {check.note}" for check, assumed in own
                          if check.passed is None and check in assumed)
    few = (f"{rounds} rounds; a claim needs {policy.n_min}",) * (rounds < policy.n_min)
    return (*few, *open_)


def _why(own: Mapping[int, Finding], valid: Mapping[int, Finding]) -> str:
    return "; ".join(dict.fromkeys(f"{finding.verdict.name}: {'; '.join(finding.reasons)}"
                                   for number, finding in own.items() if number not in valid))


def _pooled(valid: Mapping[int, Finding], scores: Mapping[Key, float], indicator: str,
            policy: StatsPolicy) -> tuple[Estimate | None, tuple[str, ...]]:
    """Return the estimate over all runs, and a warning where the runs differ among themselves."""
    estimates = [finding.estimate for finding in valid.values() if finding.estimate]
    first, values = estimates[0], list(scores.values())
    if len(valid) == 1:
        return first, ()
    about = About(unit=first.unit, direction=first.direction, indicator_id=indicator, measurand=first.measurand,
                  policy=policy, resolution=max(each.resolution for each in estimates))
    if first.scale is Scale.LOG and min(values) > 0:
        return stats.gm_ci(values, **about), _unlike(valid, first.direction)
    if first.estimand == "arithmetic mean" or first.method.startswith("overhead"):
        return stats.mean_ci(values, **about), ()
    return None, (f"{len(valid)} runs: a {first.estimand} of several runs is not made; look at each run alone",)


def _unlike(valid: Mapping[int, Finding], direction: Direction) -> tuple[str, ...]:
    scores = {str(number): finding.scores for number, finding in valid.items() if len(finding.scores) > 1}
    if len(scores) < 2 or direction is Direction.TARGET or not stats.rank_vendors(scores, direction).different:
        return ()
    return ("its runs differ among themselves: rounds of one run are alike, and the interval is too narrow",)


def _contender(who: str, numbers: Sequence[int], runs: Sequence[Run]) -> Contender:
    facts = [runs[number].facts.get("target", {}) for number in numbers]

    def distinct(*keys: str) -> tuple[str, ...]:
        texts = (" ".join(filter(None, (each.get(key, "").strip() for key in keys))) for each in facts)
        return tuple(dict.fromkeys(filter(None, texts)))

    about: dict[str, Any] = {"products": distinct("vendor", "product", "version"),
                             "accelerators": distinct("accelerator")}
    return Contender(who, tuple(numbers), tuple(dict.fromkeys(runs[number].plan.target for number in numbers)),
                     simulated=any(each.get("simulated") == "true" for each in facts), **about)
