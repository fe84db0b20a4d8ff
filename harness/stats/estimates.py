"""What comes out: every Estimate gets its common fields, its budget and its warnings here.

A method computes the number, the interval and the Type A uncertainty; `dress` adds what every result must carry.
Warnings begin with one of the codes of WARNINGS and a colon, so that code can act on them and people can read them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.stats.inputs import About, FloatArray, Sample, policy_of, seed_from
from harness.stats.moments import middle, root_sum, t_quantile
from harness.stats.records import (
    DEFAULT_POLICY,
    Budget,
    Check,
    Direction,
    Estimate,
    Interval,
    Scale,
    StatsPolicy,
    revised,
)

CODE_VERSION = "stats-1"  # changes when the same data would give other numbers
Z975 = 1.959963984540054
WARNINGS = {
    "few": "fewer runs than a verdict needs",
    "no_interval": "too few runs for an interval at this confidence; it is infinite",
    "constant": "all scores equal (or so many that the interval had no width): the interval is the resolution",
    "bimodal": "two groups of scores; no single location describes them",
    "outliers": "scores far from the rest, kept; look for a physical cause",
    "skewed": "so skewed that the interval of an arithmetic mean covers less than it says",
    "unbalanced": "runs with unequal numbers of inner samples, weighted equally",
    "unbounded": "the denominator is not clearly different from zero",
}


def bare(estimate: float, ci: Interval, *, dof: float, scale: Scale = Scale.LINEAR, base: float | None = None,
         **fields: Any) -> Estimate:
    """Return an Estimate with Type A uncertainty and smallest detectable change derived from its own interval.

    `dof` are the degrees of freedom behind the interval (infinite for rank methods). `mde80` is relative to `base`,
    by default to the estimate itself; on the log scale it is a relative change as it stands. `fields` are those of
    Estimate; n only where it is not the size of the sample.
    """
    centre, logs = abs(estimate if base is None else base), scale is Scale.LOG
    half = _half(ci, logs)
    quantile = t_quantile(dof, (1 + ci.confidence) / 2) if dof > 0 else math.inf
    u = half / quantile if math.isfinite(half) and dof > 0 else math.inf
    mde80 = None
    if math.isfinite(u) and (logs or centre > 0):
        mde80 = u * (quantile + t_quantile(dof, 0.8)) / (1.0 if logs else centre)
    u_a = estimate * u if logs else u
    budget = Budget(u_a, (), u_a, quantile, quantile * u_a, dof if math.isfinite(u) else 0.0)
    return Estimate(estimate=estimate, ci=ci, scale=scale, mde80=mde80, budget=budget, **{"n": 0, **fields})


def _half(ci: Interval, logs: bool) -> float:
    """Half the width of an interval, on the log scale where the estimate lives there; infinite stays infinite."""
    if math.isinf(ci.lo) or math.isinf(ci.hi) or (logs and ci.lo <= 0):
        return math.inf
    return (math.log(ci.hi / ci.lo) if logs else ci.hi - ci.lo) / 2


def dress(found: Estimate, sample: Sample, about: About, *, shape: Sequence[FloatArray] = (),
          second: Estimate | None = None) -> Estimate:
    """Return `found` (what a method says, see `bare`) with every common field filled in, and its second opinion.

    Adds unit, hashes, seed, the whole uncertainty budget, outlier flags, the checks on shape and number of runs. An
    interval without width becomes the resolution of the instrument. `shape` are the arrays whose form is judged where
    they are not the scores themselves (or their logarithms, on the log scale). `second` is dressed the same way.
    """
    policy, name = policy_of(about), about.get("indicator_id", "")
    parts = tuple(shape) or (np.log(sample.values) if found.scale is Scale.LOG else sample.values,)
    flagged, warnings, checks = _looks(parts, policy)
    resolution = about.get("resolution", 0.0) if found.resolution == 0 else found.resolution
    common: dict[str, Any] = {
        "n_by_level": sample.n_by_level, "unit": about.get("unit", found.unit), "indicator_id": name,
        "direction": Direction(about.get("direction", found.direction)),
        "measurand": about.get("measurand", found.measurand),
        "resolution": resolution, "noise_floor": about.get("noise_floor"), "flagged": flagged,
        "excluded": tuple(about.get("excluded", ())), "policy_hash": policy.hash, "data_hash": sample.data_hash,
        "seed": found.seed or seed_from(policy, name, sample.data_hash), "code_version": CODE_VERSION}

    def complete(raw: Estimate, other: Estimate | None) -> Estimate:
        budget = _budget(raw, about, resolution)
        interval, constant = _never_without_width(raw, budget)
        said = dict.fromkeys(sample.warnings + raw.warnings + warnings + constant)
        return revised(raw, ci=interval, n=raw.n or sample.n, budget=budget, warnings=tuple(said),
                                   assumptions=raw.assumptions + checks, sensitivity=other, **common)

    return complete(found, complete(second, None) if second else None)


def _looks(parts: Sequence[FloatArray], policy: StatsPolicy) -> tuple[
        tuple[int, ...], tuple[str, ...], tuple[Check, ...]]:
    """Look at each of several samples; indices count through them in order."""
    flagged: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    checks: dict[str, Check] = {}
    offset = 0
    for values in parts:
        far, said, made = look(values, policy)
        flagged += tuple(offset + i for i in far)
        warnings += said
        for check in made:
            if check.name not in checks or check.passed is False:
                checks[check.name] = check
        offset += values.size
    return flagged, warnings, tuple(checks.values())


def look(values: FloatArray, policy: StatsPolicy = DEFAULT_POLICY) -> tuple[
        tuple[int, ...], tuple[str, ...], tuple[Check, ...]]:
    """Return flagged indices, warnings and checks on the shape of scores (n,); nothing is ever removed.

    Outliers: |x - median| > 5 * 1.4826 * MAD (after ISO 16269-4). Bimodal: from n = 10 on, the widest gap takes more
    than half of the range and leaves at least a fifth of the scores on each side.
    """
    n = values.size
    ordered = np.sort(values)
    far = _outliers(values, ordered)
    two, share = _gap(ordered)
    warnings = []
    if n < policy.n_min:
        warnings.append(f"few: n={n}, a verdict needs {policy.n_min}")
    if far:
        warnings.append(f"outliers: {len(far)} of {n} scores flagged, none removed")
    if two:
        warnings.append(f"bimodal: a gap of {share:.0%} of the range splits the scores; at least 15 runs are needed")
    return far, tuple(warnings), (
        Check("replicates", n >= policy.n_min, n, policy.n_min),
        Check("unimodal", None if n < 10 else not two, share, 0.5, "below n = 10 modes cannot be told" * (n < 10)),
        Check("no outliers", not far, len(far), 0.0))


def _outliers(values: FloatArray, ordered: FloatArray) -> tuple[int, ...]:
    centre = middle(ordered)
    if values.size < 3 or not math.isfinite(centre):
        return ()
    distance = np.abs(values - centre)
    limit = max(5 * 1.4826 * middle(np.sort(distance)), 1e-12 * abs(centre))
    return tuple(np.flatnonzero(distance > limit).tolist())


def mad(ordered: FloatArray) -> float:
    """Return 1.4826 * median |x - median| of sorted values, the robust deviation; inf where most of it is infinite."""
    centre = middle(ordered)
    return 1.4826 * middle(np.sort(np.abs(ordered - centre))) if math.isfinite(centre) else math.inf


def relative(spread: float, centre: float) -> float:
    """Return spread / |centre|; 0 without spread, inf around zero."""
    if spread == 0:
        return 0.0
    return spread / abs(centre) if centre and math.isfinite(spread) else math.inf


def _gap(ordered: FloatArray) -> tuple[bool, float | None]:
    n = int(np.searchsorted(ordered, np.inf))
    if n < 10 or ordered[n - 1] <= ordered[0]:
        return False, None
    gaps = ordered[1:n] - ordered[:n - 1]
    at = int(gaps.argmax())
    share = float(gaps[at] / (ordered[n - 1] - ordered[0]))
    return share > 0.5 and min(at + 1, n - at - 1) >= 0.2 * n, share


def _never_without_width(found: Estimate, budget: Budget) -> tuple[Interval, tuple[str, ...]]:
    ci, centre = found.ci, found.estimate
    if not ci.lo >= ci.hi:
        return ci, ()
    half = Z975 * root_sum(u for _, u in budget.u_b)
    if half == 0 or not math.isfinite(centre):
        lo = 0.0 if found.scale is Scale.LOG else -math.inf
        return revised(ci, lo=lo, hi=math.inf, exact_confidence=None), (
            "constant: no spread in the scores and no resolution stated; nothing bounds the value",)
    lo = centre * math.exp(-half / centre) if found.scale is Scale.LOG else centre - half
    hi = centre * math.exp(half / centre) if found.scale is Scale.LOG else centre + half
    return revised(ci, lo=lo, hi=hi, exact_confidence=None), (
        f"constant: no spread in the scores; the interval is what the instrument resolves, +-{half:.3g}",)


def _budget(found: Estimate, about: About, resolution: float) -> Budget:
    """Combine Type A and Type B after GUM; degrees of freedom after Welch-Satterthwaite, Type B taken as exact."""
    u_a, dof = (found.budget.u_a, found.budget.dof_eff) if found.budget else (math.inf, 0.0)
    parts = (("resolution", resolution / math.sqrt(12)),) if resolution else ()
    u_b = parts + (found.budget.u_b if found.budget else ()) + tuple(sorted(about.get("u_b", {}).items()))
    if any(not (math.isfinite(u) and u >= 0) for _, u in u_b):
        raise ValueError("u_b: a standard uncertainty must be finite and not negative")
    return combine(u_a, dof, u_b, found.ci.confidence)


def combine(u_a: float, dof: float, u_b: tuple[tuple[str, float], ...], confidence: float = 0.95) -> Budget:
    """Return the budget of a Type A uncertainty with its degrees of freedom and named Type B uncertainties."""
    u_c = root_sum((u_a, *(u for _, u in u_b)))
    if not math.isfinite(u_a) or dof <= 0:
        return Budget(u_a, u_b, u_c, math.inf, math.inf, 0.0)
    dof_eff = dof * (u_c / u_a) ** 4 if u_a > 0 else math.inf
    k = t_quantile(dof_eff, (1 + confidence) / 2)
    return Budget(u_a, u_b, u_c, k, k * u_c, dof_eff)
