"""What comes out: every Estimate gets its common fields, its budget and its warnings here.

A method computes the number, the interval and the Type A uncertainty; `dress` adds what every result must carry.
Warnings begin with one of the codes of WARNINGS and a colon, so that code can act on them and people can read them.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from harness.stats.inputs import About, FloatArray, Sample, policy_of, seed_of
from harness.stats.moments import t_quantile
from harness.stats.records import DEFAULT_POLICY, Budget, Check, Estimate, Interval, Scale, StatsPolicy

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


def dress(bare: Estimate, sample: Sample, about: About) -> Estimate:
    """Return `bare` (numbers and Type A budget from a method) with every common field filled in.

    Adds unit, hashes, seed, the whole uncertainty budget, outlier flags, the checks on shape and number of runs. An
    interval without width becomes the resolution of the instrument.
    """
    policy = policy_of(about)
    logs = bare.scale is Scale.LOG and bool((sample.values > 0).all())
    shape = np.log(sample.values) if logs else sample.values
    flagged, warnings, checks = look(shape, policy)
    resolution = about.get("resolution", bare.resolution)
    budget = _budget(bare, about, resolution)
    interval, constant = _never_without_width(bare, budget)
    return dataclasses.replace(
        bare, ci=interval, n=sample.n, n_by_level=sample.n_by_level, unit=about.get("unit", bare.unit),
        direction=about.get("direction", bare.direction), indicator_id=about.get("indicator_id", ""),
        measurand=about.get("measurand", bare.measurand), budget=budget,
        resolution=resolution, noise_floor=about.get("noise_floor"), assumptions=bare.assumptions + checks,
        warnings=tuple(dict.fromkeys(sample.warnings + bare.warnings + warnings + constant)), flagged=flagged,
        excluded=tuple(about.get("excluded", ())), policy_hash=policy.hash, data_hash=sample.data_hash,
        seed=bare.seed or seed_of(policy, about.get("indicator_id", ""), sample.values), code_version=CODE_VERSION)


def look(values: FloatArray, policy: StatsPolicy = DEFAULT_POLICY) -> tuple[
        tuple[int, ...], tuple[str, ...], tuple[Check, ...]]:
    """Return flagged indices, warnings and checks on the shape of scores (n,); nothing is ever removed.

    Outliers: |x - median| > 5 * 1.4826 * MAD (after ISO 16269-4). Bimodal: from n = 10 on, the widest gap takes more
    than half of the range and leaves at least a fifth of the scores on each side.
    """
    n = values.size
    far = outliers(values)
    two, share = _gap(values)
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


def outliers(values: FloatArray) -> tuple[int, ...]:
    """Return the indices with |x - median| > 5 * 1.4826 * MAD."""
    finite = np.isfinite(values)
    if finite.sum() < 3:
        return ()
    centre = np.median(values)
    if not np.isfinite(centre):
        return ()
    distance = np.abs(values - centre)
    spread = 1.4826 * float(np.median(distance))
    rounding = 1e-12 * abs(float(centre))
    return tuple(int(i) for i in np.flatnonzero(distance > max(5 * spread, rounding)))


def _gap(values: FloatArray) -> tuple[bool, float | None]:
    ordered = np.sort(values[np.isfinite(values)])
    n = ordered.size
    if n < 10 or ordered[-1] <= ordered[0]:
        return False, None
    gaps = np.diff(ordered)
    at = int(gaps.argmax())
    share = float(gaps[at] / (ordered[-1] - ordered[0]))
    return share > 0.5 and min(at + 1, n - at - 1) >= 0.2 * n, share


def _never_without_width(bare: Estimate, budget: Budget) -> tuple[Interval, tuple[str, ...]]:
    ci, centre = bare.ci, bare.estimate
    if not ci.lo >= ci.hi:
        return ci, ()
    half = Z975 * math.sqrt(sum(u**2 for _, u in budget.u_b))
    if half == 0 or not math.isfinite(centre):
        lo = 0.0 if bare.scale is Scale.LOG else -math.inf
        return dataclasses.replace(ci, lo=lo, hi=math.inf, exact_confidence=None), (
            "constant: no spread in the scores and no resolution stated; nothing bounds the value",)
    lo = centre * math.exp(-half / centre) if bare.scale is Scale.LOG else centre - half
    hi = centre * math.exp(half / centre) if bare.scale is Scale.LOG else centre + half
    return dataclasses.replace(ci, lo=lo, hi=hi, exact_confidence=None), (
        f"constant: no spread in the scores; the interval is what the instrument resolves, +-{half:.3g}",)


def _budget(bare: Estimate, about: About, resolution: float) -> Budget:
    """Combine Type A and Type B after GUM; degrees of freedom after Welch-Satterthwaite, Type B taken as exact."""
    u_a, dof = (bare.budget.u_a, bare.budget.dof_eff) if bare.budget else (math.inf, 0.0)
    parts = (("resolution", resolution / math.sqrt(12)),) if resolution else ()
    u_b = parts + (bare.budget.u_b if bare.budget else ()) + tuple(sorted(about.get("u_b", {}).items()))
    if any(not (math.isfinite(u) and u >= 0) for _, u in u_b):
        raise ValueError("u_b: a standard uncertainty must be finite and not negative")
    return combine(u_a, dof, u_b, bare.ci.confidence)


def combine(u_a: float, dof: float, u_b: tuple[tuple[str, float], ...], confidence: float = 0.95) -> Budget:
    """Return the budget of a Type A uncertainty with its degrees of freedom and named Type B uncertainties."""
    u_c = math.sqrt(u_a**2 + sum(u**2 for _, u in u_b))
    if not math.isfinite(u_a) or dof <= 0:
        return Budget(u_a, u_b, u_c, math.inf, math.inf, 0.0)
    dof_eff = dof * (u_c / u_a) ** 4 if u_a > 0 else math.inf
    k = t_quantile(dof_eff, (1 + confidence) / 2)
    return Budget(u_a, u_b, u_c, k, k * u_c, dof_eff)
