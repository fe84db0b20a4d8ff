"""The gate: each indicator at each point of a run against a baseline: better, same, worse, or it cannot be told. Pure.

Worse (and better) takes two things: the p of the difference, adjusted by Benjamini-Hochberg over the whole gate, is at
most 5 %, and the estimate lies beyond the noise floor. Same takes a whole interval inside the floor, or what is
tolerated; all else cannot be told, and it is said what could have been.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from harness import comparability, stats, verdict
from harness.comparability import Difference
from harness.errors import InputError
from harness.indicators import Indicator
from harness.model import Finding, Run
from harness.regression.allowance import Allowance
from harness.regression.changes import Change, Gated, Key, Outcome
from harness.regression.contrast import contrast, effect, is_share, relative, resolved
from harness.stats.records import DEFAULT_POLICY, Direction, StatsPolicy, Verdict


def gate(runs: Sequence[Run], baselines: Sequence[Run], allowance: Allowance | None = None, *, force: bool = False,
         strict: bool = False, policy: StatsPolicy = DEFAULT_POLICY,
         known: Mapping[str, Indicator] | None = None) -> Gated:
    """Hold `runs` of one target and scenario to `baselines`; the rounds of several are pooled, a round is a replicate.

    One run and one baseline of the same campaign were interleaved: their rounds are compared in pairs. InputError if
    they may not be compared (unless `force`), have nothing in common, or a limit matches nothing.
    """
    allowance = allowance or Allowance()
    differences = _differences(runs, baselines)
    if differences and not force:
        more = f", and {len(differences) - 1} more" if len(differences) > 1 else ""
        raise InputError(f"the runs are not comparable: {_told(differences[0])}{more}; --force compares them all the "
                         "same and says so")
    sides = [_side(side, known) for side in (runs, baselines)]
    keys = list(dict.fromkeys((*sides[1], *sides[0])))
    if not sides[0].keys() & sides[1].keys():
        raise InputError("the run and its baseline have no indicator at a point in common; name runs of one scenario")
    if unused := allowance.unused(keys):
        raise InputError(f"--limit: {unused[0]!r} matches nothing; there are: "
                         f"{', '.join(dict.fromkeys(name for name, _ in keys))}, and points such as {keys[0][1]!r}")
    interleaved = len(runs) == len(baselines) == 1 and runs[0].plan.campaign == baselines[0].plan.campaign
    raw = [_compared(key, sides[0].get(key, []), sides[1].get(key, []), allowance, interleaved=interleaved)
           for key in keys]
    changes = sorted(_decided(raw, policy),
                     key=lambda change: (list(Outcome).index(change.outcome), change.indicator, change.point))
    return Gated(target=runs[0].plan.target, scenario=runs[0].plan.scenario.name, changes=tuple(changes),
                 differences=differences, warnings=_warnings(baselines, sides[1], policy), forced=force,
                 strict=strict, fdr=policy.fdr, policy=policy.hash,
                 simulated=any(run.facts.get("target", {}).get("simulated") == "true" for run in (*runs, *baselines)))


def _differences(runs: Sequence[Run], baselines: Sequence[Run]) -> tuple[Difference, ...]:
    """Return what keeps any run from being compared with the first baseline, each key once."""
    first = baselines[0]
    found = [each for run in (*runs, *baselines[1:])
             for each in comparability.differences(run, first, same_product=True)]
    return tuple({each.key: each for each in reversed(found)}.values())


def _told(difference: Difference) -> str:
    one, other = difference.one or "absent", difference.other or "absent"
    return f"{difference.key} is {one!r}, in the baseline {other!r}"


def _side(runs: Iterable[Run], known: Mapping[str, Indicator] | None) -> dict[Key, list[Finding]]:
    """Return the findings of each run by indicator and point; without a profile what counts is MEASURED."""
    found: dict[Key, list[Finding]] = {}
    for run in runs:
        for finding in verdict.judge([run], catalogue=known):
            found.setdefault((finding.indicator, finding.point), []).append(finding)
    return found


def _compared(key: Key, run: Sequence[Finding], baseline: Sequence[Finding], allowance: Allowance, *,
              interleaved: bool) -> Change:
    """Return what is known before p-values are adjusted; UNDECIDED is what has still to be decided."""
    change = Change(indicator=key[0], point=key[1], outcome=Outcome.UNDECIDED)
    if told := _told_apart(run, baseline):
        return replace(change, outcome=told[0], reasons=told[1])
    counted = [[one for one in side if one.verdict is Verdict.MEASURED] for side in (run, baseline)]
    its = counted[0][0].estimate
    assert its is not None
    change = replace(change, unit=its.unit, direction=its.direction)
    if its.direction is Direction.TARGET:
        return replace(change, outcome=Outcome.UNGATED, reasons=("there is no direction of better",))
    x, y, paired = _scores(*counted, interleaved=interleaved)
    if not x or not y:
        return replace(change, reasons=("there are no scores of rounds",))
    found = contrast(x, y, direction=its.direction, share=is_share(its), paired=paired)
    if not found.se:
        found = resolved(found, *((one.estimate.ci.lo, one.estimate.ci.hi)
                                  for one in (counted[0][0], counted[1][0]) if one.estimate))
    floor, limit = allowance.floor_of(*key), allowance.limit(*key)
    log = found.scale is stats.Scale.LOG
    levels = [float(np.exp(np.mean(np.log(side))) if log else np.mean(side)) for side in (x, y)]
    few = (f"few: {len(x)} and {len(y)} rounds, a verdict needs {DEFAULT_POLICY.n_min}",
           ) * (min(len(x), len(y)) < DEFAULT_POLICY.n_min)
    left = len(baseline) - len(counted[1])
    part = (f"{left} of {len(baseline)} baselines do not count here",) * bool(left)
    return replace(change, contrast=found, run=levels[0], baseline=levels[1], floor=floor.share,
                   floor_source=floor.source, limit=limit, reasons=(*few, *part),
                   p=found.p_beyond(effect(limit, found.scale)) if min(len(x), len(y)) > 1 else None)


class _Standing(NamedTuple):
    """How one side stands at an indicator and point: its worst verdict (None: it has none), and why that."""

    worst: Verdict | None
    counts: bool
    why: tuple[str, ...]


def _standing(findings: Sequence[Finding]) -> _Standing:
    return _Standing(
        max((one.verdict for one in findings), default=None), any(one.verdict is Verdict.MEASURED for one in findings),
        tuple(dict.fromkeys(text for one in findings if one.verdict is not Verdict.MEASURED for text in one.reasons)))


def _told_apart(run: Sequence[Finding], baseline: Sequence[Finding]) -> tuple[Outcome, tuple[str, ...]] | None:
    """Return what is known without a comparison: that something is not there, does not count, or was lost."""
    its, before = _standing(run), _standing(baseline)
    if before.worst is None:
        return Outcome.NEW, ("the baseline does not have it",)
    if its.worst is Verdict.FAIL and before.worst is not Verdict.FAIL:
        return Outcome.WORSE, its.why
    if not before.counts:
        return Outcome.UNGATED, (f"the baseline is {before.worst.name}", *before.why)
    if its.worst in (Verdict.INVALID, Verdict.FAIL):
        return Outcome.INVALID, its.why
    return None if its.counts else (Outcome.MISSING, its.why or ("the run does not have it",))


def _scores(run: Sequence[Finding], baseline: Sequence[Finding], *,
            interleaved: bool) -> tuple[list[float], list[float], bool]:
    """Return the scores of both sides, in pairs where rounds were interleaved and enough of them have both."""
    if interleaved:
        one, other = (dict(zip(side[0].rounds, side[0].scores, strict=True)) for side in (run, baseline))
        shared = sorted(one.keys() & other.keys())
        if len(shared) == max(len(one), len(other)):
            return [one[turn] for turn in shared], [other[turn] for turn in shared], True
    return ([score for one in run for score in one.scores], [score for one in baseline for score in one.scores], False)


def _decided(changes: Sequence[Change], policy: StatsPolicy) -> list[Change]:
    """Return the changes with adjusted p-values and outcomes."""
    tested = [change for change in changes if change.p is not None]
    adjusted = stats.bh([change.p for change in tested if change.p is not None]).tolist()
    final = {change.key: _decide(change, p, policy.fdr / len(tested), policy)
             for change, p in zip(tested, adjusted, strict=True)}
    return [final.get(change.key, change) for change in changes]


def _decide(change: Change, p: float, alpha: float, policy: StatsPolicy) -> Change:
    """Decide one; `alpha` is the level at which BH would call a change that is the only one of the gate."""
    its = change.contrast
    assert its is not None
    floor, limit = (effect(share, its.scale) for share in (change.floor, change.limit))
    margin = max(floor, limit)
    mde = its.mde(limit, floor, alpha)
    change = replace(change, p_adjusted=p, mde=relative(mde, its.scale))
    if p <= policy.fdr and abs(its.loss) > margin:
        if its.opposed:
            return replace(change, reasons=(*change.reasons, "method_sensitive: ranks see it the other way round"))
        return replace(change, outcome=Outcome.WORSE if its.loss > 0 else Outcome.BETTER)
    if its.bounded and -margin <= its.low and its.high <= margin:
        return replace(change, outcome=Outcome.SAME)
    needed = its.rounds(limit, margin, alpha)
    more = max(needed - min(its.n), 0) if needed else None
    return replace(change, more=more or None)


def _warnings(baselines: Sequence[Run], side: Mapping[Key, Sequence[Finding]], policy: StatsPolicy) -> tuple[str, ...]:
    """Return a warning where baselines differ among themselves: their rounds are no sample of one thing then."""
    if len(baselines) < 2:
        return ()
    found: dict[str, float] = {}
    for (indicator, point), findings in side.items():
        good = [one for one in findings if one.verdict is Verdict.MEASURED and len(one.scores) > 1]
        for one in good[1:]:
            its = one.estimate
            if its is None or its.direction is Direction.TARGET:
                continue
            apart = contrast(one.scores, good[0].scores, direction=its.direction, share=is_share(its))
            found[f"{indicator} {point}".strip()] = min(found.get(f"{indicator} {point}".strip(), 1.0),
                                                        apart.p_beyond(0.0))
    adjusted = dict(zip(found, stats.holm(list(found.values())).tolist(), strict=True))
    apart_names = [name for name, p in adjusted.items() if p <= policy.alarm_alpha]
    if not apart_names:
        return ()
    where = ", ".join(apart_names[:3]) + " and others" * (len(apart_names) > 3)
    return (f"baselines differ among themselves in {where}: their pooled rounds are no sample of one thing",)


__all__ = ["gate"]
