"""Contenders held against a reference at one cell, and over an area: ratios, letters, ranks, outcomes. Pure.

Ratios are Welch on logs of round scores. Rounds are not paired across targets, even where a campaign interleaved them:
that costs some width and never coverage, and one test serves ratio, letters and ranks. Holm is over all pairs of a
cell, not over cells.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from harness import stats
from harness.comparison.floors import Floors
from harness.comparison.records import Against, Cell, Composite, Entry, How, Key, Outcome
from harness.model import Verdict
from harness.stats.inputs import About
from harness.stats.moments import t_quantile
from harness.stats.power import POWER
from harness.stats.ranking import rank_intervals
from harness.stats.records import DEFAULT_POLICY, Direction, Estimate, Scale, StatsPolicy

OVERHEAD = "overhead"
Scores = Mapping[str, Sequence[float]]


class Order(NamedTuple):
    """Who differs from whom: letters, rank intervals, Holm-adjusted p by pair (best first), pairs that differ."""

    letters: Mapping[str, str]
    ranks: Mapping[str, tuple[int, int]]
    p: Mapping[tuple[str, str], float]
    different: frozenset[tuple[str, str]]


def cell(place: tuple[str, str], entries: Sequence[Entry], reference: str, floors: Floors,
         policy: StatsPolicy = DEFAULT_POLICY) -> Cell:
    """Return the entries of a place held against the reference, or side by side with the reason."""
    estimates = [entry.estimate for entry in entries if entry.estimate]
    unit, direction = (estimates[0].unit, estimates[0].direction) if estimates else ("1", Direction.TARGET)
    how, reason = way([entry for entry in entries if entry.valid], estimates)
    floor, measured = floors.of(*place)
    if how is How.DIFFERENCE and not measured and not estimates[0].method.startswith(OVERHEAD):
        floor = 0.0    # what is assumed is relative and says nothing of a share; of an overhead it is one in points
    made = Cell(place[0], place[1], unit, direction, how, tuple(entries), floor, measured, reason)
    if how is How.SIDE:
        return made
    return dataclasses.replace(made, entries=held(made, reference, policy))


def way(valid: Sequence[Entry], estimates: Sequence[Estimate]) -> tuple[How, str]:
    """Return how these may be held against each other, and why not by a ratio."""
    if not estimates:
        return How.SIDE, "nobody has a number"
    first, values = estimates[0], [score for entry in valid for score in entry.scores.values()]
    if len({(each.unit, each.direction, each.estimand) for each in estimates}) > 1:
        return How.SIDE, "the numbers are not of one kind"
    if first.direction is Direction.TARGET:
        return How.SIDE, "neither more nor less of it is better"
    if first.scale is Scale.LOG:
        if all(0 < value < math.inf for value in values):
            return How.RATIO, ""
        return How.SIDE, "a score is zero, negative or infinite, of which there is no ratio"
    if first.method.startswith(OVERHEAD) or first.estimand == "arithmetic mean":
        what = "an overhead" if first.method.startswith(OVERHEAD) else "a share or a difference"
        return How.DIFFERENCE, f"{what} may be zero or negative: the difference is what has a meaning"
    return How.SIDE, f"a {first.estimand} is no mean of rounds: each stands with its own interval"


def held(made: Cell, reference: str, policy: StatsPolicy = DEFAULT_POLICY) -> tuple[Entry, ...]:
    """Return the entries of a cell with ratio or difference to the reference, letters, ranks and outcome."""
    scores = {entry.contender: tuple(entry.scores.values()) for entry in made.entries
              if entry.valid and not entry.doubts}
    order = ordered(scores, made.direction, made.floor, made.how, policy)
    base = next((entry for entry in made.entries if entry.contender == reference and entry.valid), None)
    return tuple(_held(entry, base, made, order, policy) if entry.valid else entry for entry in made.entries)


def ordered(scores: Scores, direction: Direction, floor: float, how: How,
            policy: StatsPolicy = DEFAULT_POLICY) -> Order:
    """Return the order of contenders (each with two scores or more); nothing where there are not two of them."""
    if len(scores) < 2:
        return Order({}, {}, {}, frozenset())
    if how is How.RATIO:
        found = stats.rank_vendors(scores, direction, floor, policy=policy)
        return Order(found.letters, found.rank_intervals, found.p_adj, found.different)
    sign = -1 if direction is Direction.HIGHER_IS_BETTER else 1
    names = sorted(scores, key=lambda name: (sign * math.fsum(scores[name]) / len(scores[name]), name))
    tests = {(a, b): stats.welch(scores[a], scores[b], confidence=policy.confidence) for a, b in combinations(names, 2)}
    p = dict(zip(tests, stats.holm([test.p if test.se else 1.0 for test in tests.values()]).tolist(), strict=True))
    different = frozenset(pair for pair, test in tests.items()
                          if p[pair] <= 1 - policy.confidence and abs(test.difference) > floor)
    return Order(stats.compact_letters(names, different), rank_intervals(names, different), p, different)


def against(one: Sequence[float], base: Sequence[float], how: How, resolution: float = 0.0,
            policy: StatsPolicy = DEFAULT_POLICY) -> Against:
    """Return scores against those of the reference: the ratio, or else the difference, with its interval."""
    n = min(len(one), len(base))
    if how is How.RATIO:
        found = stats.ratio_welch(one, base, policy=policy, resolution=resolution)
        return _as_against(found, n)
    if n < 2:
        value = math.fsum(one) / len(one) - math.fsum(base) / len(base)
        return Against(value, -math.inf, math.inf, policy.confidence, n, "Welch interval")
    test = stats.welch(one, base, confidence=policy.confidence)
    if not test.se:    # no spread on either side: nothing bounds the difference
        return Against(test.difference, -math.inf, math.inf, policy.confidence, n, "Welch interval")
    mde = test.se * (t_quantile(test.dof, (1 + policy.confidence) / 2) + t_quantile(test.dof, POWER))
    return Against(test.difference, test.ci.lo, test.ci.hi, policy.confidence, n, "Welch interval", mde)


def outcome(found: Against, shown: bool, made: Cell) -> Outcome:
    """Return what is shown: a difference beyond the floor, equality within it, or neither."""
    ratio = made.how is How.RATIO
    if shown:
        more = found.value > (1 if ratio else 0)
        return Outcome.BETTER if more == (made.direction is Direction.HIGHER_IS_BETTER) else Outcome.WORSE
    low, high = (1 / (1 + made.floor), 1 + made.floor) if ratio else (-made.floor, made.floor)
    inside = low <= found.low and found.high <= high
    return Outcome.TIE if made.floor and inside else Outcome.UNDECIDED


def composite(area: str, cells: Sequence[Cell], names: Sequence[str], reference: str,
              policy: StatsPolicy = DEFAULT_POLICY) -> Composite | None:
    """Return the composite of an area: the geometric mean of its main indicators (no sub-metrics) that have ratios.

    Indicators weigh alike, and so do the points of one. None where the area has no such indicator.
    """
    mine = [one for one in cells if one.area == area and "." not in one.indicator and _rated(one)]
    absent = [one for one in mine if all(entry.verdict is Verdict.NOT_APPLICABLE for entry in one.entries)]
    parts = [one for one in mine if one not in absent]
    if not parts:
        return None
    lacking = {name: [part.label for part in parts if part.how is not How.RATIO or not _entry(part, name).valid]
               for name in names}
    points = Counter(part.indicator for part in parts)
    weights = {part.label: 1 / points[part.indicator] for part in parts}
    made = Cell(area, "", "1", Direction.HIGHER_IS_BETTER, How.RATIO,
                tuple(_whole(parts, weights, name, lacking) for name in names), _floor(parts, weights))
    if lacking[reference]:
        said = f"undefined: {reference}, the reference, lacks {', '.join(lacking[reference])}"
        ranked = [dataclasses.replace(entry, reasons=entry.reasons or (said,)) for entry in made.entries]
        return Composite(area, tuple(weights), tuple(one.label for one in absent), tuple(ranked), made.floor, "")
    if all(_aligned(parts, name) for name in names if not lacking[name]):
        entries, method = held(made, reference, policy), "geometric mean round by round, Welch interval on logs"
    else:
        entries = tuple(_combined(entry, parts, weights, reference, made, policy) if entry.valid else entry
                        for entry in made.entries)
        method = "weighted geometric mean of ratios, Welch-Satterthwaite"
    return Composite(area, tuple(weights), tuple(one.label for one in absent), entries, made.floor, method)


def _held(entry: Entry, base: Entry | None, made: Cell, order: Order, policy: StatsPolicy) -> Entry:
    placed = dataclasses.replace(entry, letters=order.letters.get(entry.contender, ""),
                                 ranks=order.ranks.get(entry.contender))
    if base is None:
        return dataclasses.replace(placed, reasons=(*entry.reasons, "the reference has no valid number here"))
    if base.contender == entry.contender:
        return dataclasses.replace(placed, outcome=Outcome.REFERENCE)
    doubts = dict.fromkeys((*entry.doubts, *(f"{base.contender}: {doubt}" for doubt in base.doubts
                                            if doubt not in entry.doubts)))
    steps = [each.estimate.resolution for each in (entry, base) if each.estimate]
    found = against(tuple(entry.scores.values()), tuple(base.scores.values()), made.how, max(steps, default=0.0),
                    policy)
    pair = next((pair for pair in order.p if set(pair) == {entry.contender, base.contender}), None)
    said = Outcome.UNDECIDED if doubts else outcome(found, pair in order.different, made)
    return dataclasses.replace(placed, against=found, p=order.p[pair] if pair else None, outcome=said,
                               doubts=tuple(doubts))


def _as_against(found: Estimate, n: int) -> Against:
    return Against(found.estimate, found.ci.lo, found.ci.hi, found.ci.confidence, n, found.method, found.mde80)


def _rated(one: Cell) -> bool:
    """Return whether the indicator is one of ratios, whatever became of its numbers here."""
    estimates = [entry.estimate for entry in one.entries if entry.estimate]
    return not estimates or (estimates[0].scale is Scale.LOG and estimates[0].direction is not Direction.TARGET)


def _entry(part: Cell, name: str) -> Entry:
    return next(entry for entry in part.entries if entry.contender == name)


def _sign(part: Cell) -> int:
    return 1 if part.direction is Direction.HIGHER_IS_BETTER else -1


def _floor(parts: Sequence[Cell], weights: Mapping[str, float]) -> float:
    """Return the floor of a composite: that of its parts, as if all noise went the same way."""
    total = math.fsum(weights.values())
    return math.expm1(math.fsum(weights[part.label] * math.log1p(part.floor) for part in parts) / total)


def _aligned(parts: Sequence[Cell], name: str) -> bool:
    return len({tuple(sorted(_entry(part, name).scores)) for part in parts}) == 1


def _whole(parts: Sequence[Cell], weights: Mapping[str, float], name: str, lacking: Mapping[str, list[str]]) -> Entry:
    """Return a contender's composite of each round: a number without unit, of which only ratios have a meaning."""
    if lacking[name]:
        verdict = max(_entry(part, name).verdict for part in parts if part.label in lacking[name])
        return Entry(name, verdict, reasons=(f"undefined: {', '.join(lacking[name])} missing",))
    total = math.fsum(weights.values())
    rounds = sorted(set.intersection(*(set(_entry(part, name).scores) for part in parts)))
    scores: dict[Key, float] = {key: math.exp(math.fsum(
        weights[part.label] * _sign(part) * math.log(_entry(part, name).scores[key]) for part in parts) / total)
        for key in rounds}
    doubtful = [part.label for part in parts if _entry(part, name).doubts]
    return Entry(name, Verdict.MEASURED, scores=scores, valid=True,
                 doubts=(f"nothing is claimed of {', '.join(doubtful)}",) * bool(doubtful))


def _combined(entry: Entry, parts: Sequence[Cell], weights: Mapping[str, float], reference: str, made: Cell,
              policy: StatsPolicy) -> Entry:
    """Return a composite whose parts have not the same rounds: it has a ratio, but no letters."""
    if entry.contender == reference:
        return dataclasses.replace(entry, outcome=Outcome.REFERENCE)
    found = stats.composite_gm({part.label: advantage(part, entry.contender, reference, policy) for part in parts},
                               weights, policy=policy)
    ratio = _as_against(found, found.n)
    shown = ratio.low > 1 + made.floor or ratio.high < 1 / (1 + made.floor)
    said = Outcome.UNDECIDED if entry.doubts else outcome(ratio, shown, made)
    return dataclasses.replace(entry, against=ratio, outcome=said)


def advantage(part: Cell, name: str, reference: str, policy: StatsPolicy = DEFAULT_POLICY) -> Estimate:
    """Return the ratio of a contender to the reference at a cell, turned so that above 1 is better."""
    pair = [tuple(_entry(part, who).scores.values()) for who in (name, reference)]
    one, base = pair if _sign(part) > 0 else reversed(pair)
    found = stats.ratio_welch(one, base, **About(policy=policy))
    return dataclasses.replace(found, direction=Direction.HIGHER_IS_BETTER)
