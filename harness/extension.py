"""The second stage of a two-stage repetition (Stein): how many rounds the spread of the pilot asks for. Pure.

The number is fixed once, from the pilot's spread alone, never from how a verdict looks. The most demanding indicator
of any point on any target decides for all of them, so that rounds keep pairing; sub-metrics, whose ids have a dot
(maxima, far tails), ride along. What is then computed from all rounds keeps the pilot's spread where that is the
larger (`widened`).
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence

from harness import cells, indicators
from harness.cells import Cell
from harness.errors import Unsupported
from harness.indicators import Indicator
from harness.model import Run
from harness.stats import plan_repetitions
from harness.stats.records import DEFAULT_POLICY, Estimate, Scale, StatsPolicy

LATENCY = 2.5
"""Times and their percentiles scatter more than rates: they get so many times the half width asked for."""


def wanted(runs: Sequence[Run], policy: StatsPolicy = DEFAULT_POLICY,
           catalogue: Mapping[str, Indicator] | None = None) -> dict[str, int]:
    """Return how many rounds in all each two-stage scenario of a campaign needs, by its name.

    Indicators that the pilot gave no scores for ask for nothing.
    """
    known = indicators.catalogue() if catalogue is None else catalogue
    main = {id_: indicator for id_, indicator in known.items() if "." not in id_}
    found: dict[str, int] = {}
    for run in runs:
        name, rule = run.plan.scenario.name, run.plan.scenario.repetition
        if rule.rule == "two-stage":
            asked = (_rounds(cell, policy) for cell in cells.cells([run], main))
            found[name] = max(found.get(name, rule.rounds), rule.rounds, *asked)
    return found


def _rounds(cell: Cell, policy: StatsPolicy) -> int:
    rule = cell.run.plan.scenario.repetition
    pilot = cells.sorted_rounds(dataclasses.replace(
        cell, steps=tuple(step for step in cell.steps if step.round < rule.rounds)))
    try:
        evaluated, _ = cells.evaluated(cell, pilot.complete, policy)
    except Unsupported:
        return 0
    scores = _positive(evaluated.scores, cell.indicator.unit) if evaluated else ()
    if len(scores) < 2:
        return 0
    eps = rule.eps * (LATENCY if cell.indicator.unit == "s" else 1.0)
    return int(plan_repetitions(scores, eps, rule.most, scale=Scale.LOG, policy=policy).n)


def _positive(scores: Sequence[float], unit: str) -> tuple[float, ...]:
    """Return scores on a scale on which relative precision has a meaning; shares, near zero, become 1 + share."""
    moved = tuple(1 + score for score in scores) if unit == "1" else tuple(scores)
    return moved if all(0 < score < math.inf for score in moved) else ()


def widened(estimate: Estimate, scores: Sequence[float], pilot: int) -> Estimate:
    """Return an estimate from all rounds with the half width max(t_{n0-1} s0, t_{N-1} s_N) / sqrt(N) of Stein's rule.

    The scores, in the order of their rounds, only give the ratio of the two terms, on the logarithmic scale where the
    estimate has it.
    """
    if not 2 <= pilot < len(scores):
        return estimate
    log = estimate.scale is Scale.LOG and min(scores) > 0
    values = [math.log(score) for score in scores] if log else list(scores)
    whole, first = (_t(len(part), estimate.ci.confidence) * statistics.stdev(part) for part in (values, values[:pilot]))
    if first <= whole or not whole:
        return estimate
    ends = [_stretched(end, estimate.estimate, first / whole, log=log) for end in (estimate.ci.lo, estimate.ci.hi)]
    return dataclasses.replace(
        estimate, ci=dataclasses.replace(estimate.ci, lo=ends[0], hi=ends[1], exact_confidence=None),
        method=f"two-stage {estimate.method}, pilot {pilot}")


def _t(n: int, confidence: float) -> float:
    from scipy import special

    return float(special.stdtrit(n - 1, (1 + confidence) / 2))


def _stretched(end: float, centre: float, factor: float, *, log: bool) -> float:
    return centre * (end / centre) ** factor if log else centre + (end - centre) * factor
