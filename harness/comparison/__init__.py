"""Vendors side by side: which runs may be compared, and what the comparison of each indicator and area says. Pure.

    compare(runs, by="vendor", reference="lab")

The one thing to know: only valid numbers of comparable runs are held against each other. The rest is shown apart with
its reason; `force` compares it all the same, and the result says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness import comparability, indicators
from harness.comparison import gathering, holding
from harness.comparison.floors import Floors
from harness.comparison.gathering import BY, Found
from harness.comparison.records import (
    Against,
    Apart,
    Cell,
    Comparison,
    Composite,
    Contender,
    Entry,
    Group,
    How,
    Outcome,
)
from harness.errors import InputError
from harness.indicators import Indicator
from harness.model import Run
from harness.stats.records import DEFAULT_POLICY, StatsPolicy
from harness.validity import GateLimits


def compare(runs: Sequence[Run], *, by: str = "target", reference: str = "", floors: Floors | None = None,
            force: bool = False, gates: GateLimits | None = None, policy: StatsPolicy = DEFAULT_POLICY,
            catalogue: Mapping[str, Indicator] | None = None) -> Comparison:
    """Compare `runs`, grouped `by` target, vendor or product, with `reference` (a name or a target; else the first).

    Sets of runs that may be compared become groups. `gates` say what is valid. InputError where there are not two
    contenders, or nobody is called like the reference.
    """
    everyone = gathering.contenders(runs, range(len(runs)), by)
    if len(everyone) < 2:
        raise InputError(f"compare: all runs are of {everyone[0].name if everyone else 'nobody'}; two contenders are"
                         f" needed; --by {' or '.join(BY)} says who is one")
    base = _reference(everyone, reference)
    known = indicators.catalogue() if catalogue is None else catalogue
    found = [gathering.judged(run, gates, policy, known) for run in runs]
    lenient, sets = floors or Floors(), [range(len(runs))] if force else comparability.sets(runs)
    groups, apart = [], []
    for members in sorted(sets, key=lambda members: not set(members) & set(base.runs)):
        here = gathering.contenders(runs, members, by)
        if len(here) > 1:
            groups.append(_group(here, runs, found, base.name, lenient, policy))
        else:
            apart += [_apart(number, here[0], base.runs[0], runs, found) for number in members]
    forced = [_apart(number, who, base.runs[0], runs, ()) for who in everyone for number in who.runs] if force else []
    return Comparison(by, tuple(groups), tuple(apart), lenient.assumed,
                      tuple(each for each in forced if each.differences))


def _reference(everyone: Sequence[Contender], wanted: str) -> Contender:
    if not wanted:
        return everyone[0]
    for who in everyone:
        if wanted == who.name or wanted in who.targets:
            return who
    raise InputError(f"--reference {wanted}: nobody is called so; allowed: {', '.join(who.name for who in everyone)}")


def _group(here: Sequence[Contender], runs: Sequence[Run], found: Sequence[Found], wanted: str, floors: Floors,
           policy: StatsPolicy) -> Group:
    names = [who.name for who in here]
    reference = wanted if wanted in names else names[0]
    places = dict.fromkeys(place for who in here for number in who.runs for place in found[number])
    cells = tuple(holding.cell(place, [gathering.entry(who, place, found, policy) for who in here], reference, floors,
                               policy) for place in sorted(places, key=lambda place: place[0]))
    made = [holding.composite(area, cells, names, reference, policy)
            for area in dict.fromkeys(each.area for each in cells)]
    base = next(who.runs[0] for who in here if who.name == reference)
    others = [(who.name, runs[number]) for who in here for number in who.runs if number != base]
    noted = dict.fromkeys((name, each) for name, run in others for each in comparability.noted(runs[base], run))
    doubts = dict.fromkeys((name, each) for name, run in others for each in comparability.doubts(runs[base], run))
    return Group(tuple(here), reference, cells, tuple(filter(None, made)), _warnings(here, runs), tuple(noted),
                 tuple(doubts))


def _warnings(here: Sequence[Contender], runs: Sequence[Run]) -> tuple[str, ...]:
    """Return the codes of what a reader must know of all numbers of a group."""
    own = [runs[number] for who in here for number in who.runs]
    return tuple(code for code, holds in {
        "pooled": any(len(who.runs) > 1 for who in here),
        "mixed": any(len(who.products) > 1 for who in here),
        "apart in time": len({run.plan.campaign for run in own}) > 1,
        "two-stage": any(run.plan.scenario.repetition.rule == "two-stage" for run in own),
    }.items() if holds)


def _apart(number: int, who: Contender, base: int, runs: Sequence[Run], found: Sequence[Found]) -> Apart:
    alone = Contender(who.name, (number,), who.targets, who.products, who.accelerators, who.simulated)
    entries = tuple((*place, gathering.entry(alone, place, found)) for place in (found[number] if found else ()))
    return Apart(number, alone, comparability.differences(runs[base], runs[number]), entries)


__all__ = ["BY", "Against", "Apart", "Cell", "Comparison", "Composite", "Contender", "Entry", "Floors", "Group", "How",
           "Outcome", "compare"]
