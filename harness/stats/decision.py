"""PASS, FAIL or neither: one interval against one limit, after everything that would make the answer worthless.

The one thing to know: PASS only if the whole interval, widened by the Type B uncertainty, lies on the good side; FAIL
only if all of it lies on the bad side; else INCONCLUSIVE, with what it would take. A violated precondition is INVALID,
one that could not be judged turns PASS and FAIL into INCONCLUSIVE. Looking several times splits the error over the
looks, which must be planned: stopping when the verdict looks good would make 8-11 % false PASS out of 2.5 %.

Sources: JCGM 106 and ISO 14253-1 (decision zones, guard band).
"""

from __future__ import annotations

import dataclasses
import math

from harness.stats.moments import root_sum
from harness.stats.power import chance, runs_needed
from harness.stats.records import (
    DEFAULT_POLICY,
    Check,
    Decision,
    Direction,
    Estimate,
    Interval,
    Requirement,
    Scale,
    StatsPolicy,
    Verdict,
)

OPS = {">=": "at or above", ">": "above", "<=": "at or below", "<": "below", "between": "within"}
BIMODAL_MIN = 15
NO_MINIMUM = ("exact", "Theil-Sen")     # methods whose interval is honest without a number of runs
T_METHODS = ("t interval", "Welch")     # methods whose interval can be had at another confidence from itself
SHAPE = {   # checks on the shape of the data: they never invalidate, and take a verdict away where a reason stands
    "unimodal": "two groups of scores, no single number describes them",
    "not skewed": "the interval of an arithmetic mean covers less than it says on scores so skewed",
    "no outliers": "",
    "no trend": "",
}


def decide(est: Estimate, req: Requirement, *, look: int = 1, looks: int = 1,
           policy: StatsPolicy = DEFAULT_POLICY) -> Decision:
    """Return the verdict of an estimate against a limit, as the `look`-th of `looks` planned ones.

    An estimate for several looks is best computed at `look_confidence(looks)`; a t interval is widened to it here.
    Raises ValueError for another unit or indicator, an unknown op, NaN, or looks that the policy does not allow.
    """
    _refuse(est, req, look, looks, policy)
    broken = [c for c in preconditions(est, req, policy) if c.passed is False]
    ci, widened = _for_look(est, look_confidence(looks, policy))
    band = guard_band(est)
    raw = zone(_widen(ci, band), req)
    margin, power, wanted = _outlook(est, req, ci, band)
    reasons = [_sentence(raw, est, req, ci, band)]
    verdict = Verdict.INVALID if broken else raw
    if broken:
        reasons = [_violated(c) for c in broken]
    elif raw is not Verdict.INCONCLUSIVE:
        doubts = _doubts(est, req, raw, band) + ([] if widened else [_too_narrow(est, looks, policy)])
        verdict, reasons = (Verdict.INCONCLUSIVE, [*doubts, *reasons]) if doubts else (raw, reasons)
    else:
        reasons += _prospects(est, power, wanted)
    if est.ci.sided == 1 and not broken:
        reasons.append(f"each end is a one-sided bound at {_percent(est.ci.confidence)}")
    return Decision(verdict=verdict, estimate=est, requirement=req, margin=margin, p_pass_power=power, look=look,
                    n_needed=wanted if verdict is Verdict.INCONCLUSIVE else None, looks_planned=looks,
                    reasons=tuple(reasons))


def look_confidence(looks: int, policy: StatsPolicy = DEFAULT_POLICY) -> float:
    """Return the two-sided confidence of each of so many planned looks: the error is split evenly over them."""
    return 1 - (1 - policy.confidence) / looks


def zone(ci: Interval, req: Requirement) -> Verdict:
    """Return where an interval lies: PASS all on the good side, FAIL all on the bad side, else INCONCLUSIVE."""
    lo, hi, limit = ci.lo, ci.hi, req.limit
    upper = limit if req.limit_hi is None else req.limit_hi
    good, bad = {
        ">=": (lo >= limit, hi < limit), ">": (lo > limit, hi <= limit),
        "<=": (hi <= limit, lo > limit), "<": (hi < limit, lo >= limit),
        "between": (limit <= lo and hi <= upper, hi < limit or lo > upper),
    }[req.op]
    return Verdict.PASS if good else Verdict.FAIL if bad else Verdict.INCONCLUSIVE


def guard_band(est: Estimate) -> float:
    """Return k * u of all Type B parts together, in the unit of the estimate; k is the budget's, else 2."""
    if est.budget is None or not est.budget.u_b:
        return 0.0
    k = est.budget.k if 0 < est.budget.k < math.inf else 2.0
    return k * root_sum(u for _, u in est.budget.u_b)


def preconditions(est: Estimate, req: Requirement, policy: StatsPolicy) -> tuple[Check, ...]:
    """Return everything that must hold before a comparison means anything: the estimate's own checks and four more."""
    least = 0 if est.method.startswith(NO_MINIMUM) else (
        policy.n_min_median if est.estimand.startswith("median") else policy.n_min)
    span = req.limit_hi - req.limit if req.limit_hi is not None else abs(req.limit)
    opposite = {Direction.LOWER_IS_BETTER: (">=", ">"), Direction.HIGHER_IS_BETTER: ("<=", "<")}
    own = tuple(c for c in est.assumptions if c.name not in SHAPE and c.name != "replicates")
    return (*own,
            Check("replicates", est.n >= least, est.n, least, "runs; inner samples do not count"),
            Check("resolution", span == 0 or est.resolution * policy.resolution_ratio <= span * (1 + 1e-12),
                  est.resolution, span / policy.resolution_ratio, "the instrument is too coarse for this limit"),
            Check("direction", req.op not in opposite.get(est.direction, ()), None, None,
                  f"{est.direction.value} is better, yet the limit asks for {req.op}"))


def _refuse(est: Estimate, req: Requirement, look: int, looks: int, policy: StatsPolicy) -> None:
    where = f"decide {req.indicator_id or est.indicator_id or est.estimand}"
    if est.unit != req.unit:
        raise ValueError(f"{where}: the estimate is in {est.unit!r}, the limit in {req.unit!r}; both must be alike")
    if est.indicator_id and req.indicator_id and est.indicator_id != req.indicator_id:
        raise ValueError(f"{where}: the estimate is of {est.indicator_id}, the limit for {req.indicator_id}")
    if req.op not in OPS:
        raise ValueError(f"{where}: op {req.op!r}; allowed are {', '.join(OPS)}")
    if (req.op == "between") != (req.limit_hi is not None):
        raise ValueError(f"{where}: `between` needs two limits, {req.op!r} has {1 + (req.limit_hi is not None)}")
    numbers = (est.estimate, est.ci.lo, est.ci.hi, req.limit, req.limit if req.limit_hi is None else req.limit_hi)
    if any(map(math.isnan, numbers)) or est.ci.lo > est.ci.hi or numbers[4] < numbers[3]:
        raise ValueError(f"{where}: NaN, or ends in the wrong order, in {est.ci} or the limit")
    if not 1 <= look <= looks <= policy.looks:
        raise ValueError(f"{where}: look {look} of {looks}; allowed are at most {policy.looks}, planned beforehand")


def _for_look(est: Estimate, confidence: float) -> tuple[Interval, bool]:
    """Return the interval at (at least) `confidence`, and whether that could be had from this estimate."""
    ci, log = est.ci, est.scale is Scale.LOG
    if ci.confidence >= confidence - 1e-12 or (math.isinf(ci.lo) and math.isinf(ci.hi)):
        return ci, True
    u = est.budget.u_a / (est.estimate if log else 1.0) if est.budget else math.inf
    low, high = (math.log(est.estimate / ci.lo), math.log(ci.hi / est.estimate)) if log and ci.lo > 0 else (
        est.estimate - ci.lo, ci.hi - est.estimate)
    if not (0 < u < math.inf and high < math.inf and math.isclose(low, high, rel_tol=1e-6)
            and any(word in est.method for word in T_METHODS)):
        return ci, False
    half = u * _quantile_like(high / u, ci.confidence, confidence)
    ends = (est.estimate * math.exp(-half), est.estimate * math.exp(half)) if log else (
        est.estimate - half, est.estimate + half)
    return dataclasses.replace(ci, lo=ends[0], hi=ends[1], confidence=confidence, exact_confidence=None), True


def _quantile_like(t: float, confidence: float, wanted: float) -> float:
    """Return the t quantile at `wanted` with the degrees of freedom for which t belongs to `confidence`."""
    from scipy import special

    if t <= float(special.ndtri((1 + confidence) / 2)) * (1 + 1e-9):
        return float(special.ndtri((1 + wanted) / 2))
    return float(special.stdtrit(special.stdtridf((1 + confidence) / 2, t), (1 + wanted) / 2))


def _widen(ci: Interval, band: float) -> Interval:
    return dataclasses.replace(ci, lo=ci.lo - band, hi=ci.hi + band) if band else ci


def _doubts(est: Estimate, req: Requirement, raw: Verdict, band: float) -> list[str]:
    """Return what stands against a verdict that the interval alone would give."""
    open_ones = [c for c in est.assumptions if c.passed is None and c.name not in SHAPE]
    found = [f"{c.name} could not be judged" + (f": {c.note}" if c.note else "") for c in open_ones]
    found += [f"{c.name}: {SHAPE[c.name]}" for c in est.assumptions if c.passed is False and SHAPE.get(c.name)
              and not (c.name == "unimodal" and est.n >= BIMODAL_MIN)]
    other = est.sensitivity
    if other is not None and {raw, zone(_widen(other.ci, band), req)} == {Verdict.PASS, Verdict.FAIL}:
        found.append(f"method_sensitive: {other.method} gives the opposite verdict with "
                     f"{_interval(other.ci, est.unit)}")
    return found


def _outlook(est: Estimate, req: Requirement, ci: Interval, band: float) -> tuple[
        float, float | None, int | None]:
    """Return the margin, the chance of PASS if all were repeated, and the runs for a verdict at 80 % power.

    The margin is the distance of the estimate from the (nearest) limit in its unit, positive on the good side.
    """
    sides = [(-1.0, req.limit)] if req.op.startswith("<") else [(1.0, req.limit)]
    if req.limit_hi is not None:
        sides.append((-1.0, req.limit_hi))
    margin = min(sign * (est.estimate - limit) for sign, limit in sides)
    if est.method.startswith(NO_MINIMUM) or est.n < 2:
        return margin, None, None
    distances = _distances(est, sides, band)
    return margin, chance(distances, ci, est), runs_needed(distances, ci, est)


def _distances(est: Estimate, sides: list[tuple[float, float]], band: float) -> list[float]:
    """Return signed distances to the limits, moved inwards by the guard band, on the scale of the estimate."""
    if est.scale is not Scale.LOG:
        return [sign * (est.estimate - limit) - band for sign, limit in sides]
    moved = [(sign, limit + sign * band) for sign, limit in sides]
    return [sign * math.log(est.estimate / limit) if limit > 0 else sign * math.inf for sign, limit in moved]


def _sentence(raw: Verdict, est: Estimate, req: Requirement, ci: Interval, band: float) -> str:
    limit = _number(req.limit, req.unit) if req.limit_hi is None else (
        f"{req.limit:.4g} to {_number(req.limit_hi, req.unit)}")
    what = f"the {_percent(ci.confidence)} interval {_interval(ci, est.unit)}" + (
        f", widened by {_number(band, est.unit)} for systematic uncertainty," if band else "")
    if raw is Verdict.PASS:
        return f"all of {what} lies {OPS[req.op]} the limit {limit}"
    if raw is Verdict.FAIL:
        return f"none of {what} lies {OPS[req.op]} the limit {limit}"
    return f"{what} reaches across the limit {limit}"


def _prospects(est: Estimate, power: float | None, wanted: int | None) -> list[str]:
    """Say what n runs can tell apart, and how many would tell."""
    found = []
    if est.mde80 is not None and math.isfinite(est.mde80):
        found.append(f"{est.n} runs show a difference of {_percent(est.mde80)} with 80 % power")
    if wanted is not None:
        found.append(f"if the estimate is true, a verdict takes {wanted} runs (80 % power)")
    elif power is not None:
        found.append("the estimate lies on the limit; no number of runs is sure to decide")
    return found or ["nothing bounds the value; more runs or a longer exposure are needed"]


def _violated(check: Check) -> str:
    numbers = "" if check.value is None else f" ({check.value:.4g}" + (
        ")" if check.limit is None else f", limit {check.limit:.4g})")
    return f"{check.name} violated{numbers}" + (f": {check.note}" if check.note else "")


def _too_narrow(est: Estimate, looks: int, policy: StatsPolicy) -> str:
    return (f"{looks} planned looks need an interval at {_percent(look_confidence(looks, policy))}, this one has "
            f"{_percent(est.ci.confidence)}; compute it at that confidence")


def _interval(ci: Interval, unit: str) -> str:
    return f"[{ci.lo:.4g}, {ci.hi:.4g}]" + ("" if unit == "1" else f" {unit}")


def _number(value: float, unit: str) -> str:
    return f"{value:.4g}" + ("" if unit == "1" else f" {unit}")


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


__all__ = ["decide", "guard_band", "look_confidence", "preconditions", "zone"]
