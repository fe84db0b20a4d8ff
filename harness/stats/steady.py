"""Is a series steady, and from when on: SNIA's criterion and change points and trend, all three.

The one thing to know: each of the three alone accepts something it must not. SNIA's accepts the plateau before a
cliff and two levels in turn; change points a slow drift; a trend test steps that cancel. So all three must hold, on
the last part of the series, from the last change that matters on. MSER-5 only proposes where a ramp ends. A window too
short for a criterion leaves it open (None): then nothing is known, and nobody may say PASS or FAIL.

Sources: SNIA SSS PTS 2.0.1; classes after Barrett et al. 2017; MSER-5 after White, Cobb and Spratt 2000.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.stats.changepoints import Segment, segments
from harness.stats.inputs import FloatArray, array
from harness.stats.records import DEFAULT_POLICY, Check, StatsPolicy
from harness.stats.trend import batch_means, mann_kendall, theil_sen

TREND_BATCHES = 12
MSER_BATCH = 5


@dataclass(frozen=True)
class SteadyState:
    """What a series turned out to be, and where its steady part begins.

    `kind`: flat, warmup (got better), slowdown (got worse), no steady state, too short. `segments` count points of
    `dt_s`; `mser_s` is what MSER-5 would cut off (inf: more than half).
    """

    kind: str
    start_s: float
    checks: tuple[Check, ...]
    segments: tuple[Segment, ...]
    mser_s: float
    unit: str = "1"
    dt_s: float = 1.0
    warnings: tuple[str, ...] = ()

    @property
    def steady(self) -> bool | None:
        """Return True if all criteria hold, False if one is violated, None if one could not be judged."""
        answers = {c.passed for c in self.checks}
        return False if False in answers else None if None in answers else True

    @property
    def start(self) -> int:
        """Return the index of the first point of the steady part."""
        return round(self.start_s / self.dt_s)


def steady_state(y: npt.ArrayLike, dt_s: float, *, unit: str = "1",
                 policy: StatsPolicy = DEFAULT_POLICY) -> SteadyState:
    """Judge an equidistant series y (n,), one value every `dt_s` seconds, in `unit` (times: lower is better).

    Raises ValueError for NaN, infinities, other shapes, or a `dt_s` that is not positive.
    """
    values = array(y, "series")
    if values.ndim != 1 or not 0 < dt_s < math.inf:
        raise ValueError(f"series: shape {values.shape} every {dt_s} s; needed is one dimension and a positive step")
    parts = segments(values, penalty=policy.changepoint_penalty, shortest=policy.changepoint_min_segment)
    first = _first_equivalent(parts, policy.equivalent)
    cut = mser5(values)
    early = cut <= values.size / 2
    start = max(first, cut) if first and early else first
    window = values[start:]
    trend, warnings = _trend(window, policy)
    checks = (_level(parts, first, values.size, policy), *_snia(window, dt_s, policy), trend,
              _mser(values, cut, start, policy))
    return SteadyState(_kind(parts, first, checks, unit), start * dt_s, checks, parts,
                       cut * dt_s if early else math.inf, unit, dt_s, warnings)


def mser5(y: FloatArray) -> int:
    """Return how many leading points of y (n,) MSER-5 would cut off: a multiple of 5, 0 for less than 6 batches.

    Minimises the estimated variance of the remaining mean over batches of 5; the last 5 batches are never cut off.
    """
    k = y.size // MSER_BATCH
    if k <= MSER_BATCH:
        return 0
    means = y[:k * MSER_BATCH].reshape(k, MSER_BATCH).mean(axis=1)
    means = means - means.mean()
    left = np.arange(k, 0, -1)
    s1, s2 = (np.cumsum(v[::-1])[::-1] for v in (means, means**2))
    marginal = (s2 - s1**2 / left) / left**2
    return MSER_BATCH * int(marginal[:k - MSER_BATCH].argmin())


def _first_equivalent(parts: tuple[Segment, ...], tolerance: float) -> int:
    """Return where the run of segments begins whose means are within `tolerance` of the last one's."""
    last = parts[-1]
    start = last.start
    for part in reversed(parts):
        if abs(part.mean - last.mean) > tolerance * abs(last.mean):
            break
        start = part.start
    return start


def _level(parts: tuple[Segment, ...], first: int, n: int, policy: StatsPolicy) -> Check:
    share = (n - first) / n
    if n < 4 * policy.changepoint_min_segment:
        return Check("level", None, share, 0.5, f"{n} points; change points need {4 * policy.changepoint_min_segment}")
    return Check("level", share >= 0.5, share, 0.5, f"share of the series on its last level; {len(parts) - 1} changes")


def _snia(window: FloatArray, dt_s: float, policy: StatsPolicy) -> tuple[Check, Check]:
    """Judge the last rounds of the window: range and excursion of the fitted line, relative to their mean."""
    points = max(1, round(policy.snia_round_s / dt_s))
    rounds = policy.snia_rounds
    if window.size < points * rounds:
        note = f"{window.size * dt_s:g} s after the ramp; needed are {rounds} rounds of {policy.snia_round_s:g} s"
        return (Check("snia range", None, None, policy.snia_range, note),
                Check("snia slope", None, None, policy.snia_slope, note))
    means = window[-points * rounds:].reshape(rounds, points).mean(axis=1)
    centre = abs(float(means.mean()))
    spread = _relative(float(means.max() - means.min()), centre)
    away = np.arange(rounds) - (rounds - 1) / 2
    slope = _relative(abs(float(away @ means) / float(away @ away)) * (rounds - 1) if spread else 0.0, centre)
    return (Check("snia range", spread <= policy.snia_range, spread, policy.snia_range),
            Check("snia slope", slope <= policy.snia_slope, slope, policy.snia_slope))


def _trend(window: FloatArray, policy: StatsPolicy) -> tuple[Check, tuple[str, ...]]:
    """Both a significant trend and one that matters: not steady. One of them alone: a warning."""
    if window.size < 2 * TREND_BATCHES:
        note = f"{window.size} points; the trend test needs {2 * TREND_BATCHES}"
        return Check("trend", None, None, policy.trend, note), ()
    means = batch_means(window, TREND_BATCHES)
    _, p = mann_kendall(means)
    slope, _ = theil_sen(np.arange(TREND_BATCHES, dtype=np.float64), means)
    rise = _relative(abs(slope) * TREND_BATCHES, abs(float(means.mean())))
    real, large = p < policy.trend_alpha, rise > policy.trend
    check = Check("trend", not (real and large), rise, policy.trend, f"Mann-Kendall p = {p:.3g}")
    if real == large:
        return check, ()
    finding = "significant but small" if real else "large but not significant"
    return check, (f"trend: {finding}, {rise:.1%} over the window, p = {p:.2g}",)


def _mser(values: FloatArray, cut: int, start: int, policy: StatsPolicy) -> Check:
    """MSER-5 asking for more than half is a refusal where what it leaves has another mean than the window."""
    share = cut / values.size
    if share <= 0.5:
        return Check("mser", True, share, 0.5)
    apart = _relative(abs(float(values[cut:].mean() - values[start:].mean())), abs(float(values[start:].mean())))
    return Check("mser", apart <= policy.equivalent, share, 0.5, f"the mean of the rest differs by {apart:.1%}")


def _kind(parts: tuple[Segment, ...], first: int, checks: tuple[Check, ...], unit: str) -> str:
    if any(c.passed is False for c in checks):
        return "no steady state"
    if checks[0].passed is None:
        return "too short"
    if first == 0:
        return "flat"
    before = [p for p in parts if p.end <= first]
    mean = sum(p.mean * (p.end - p.start) for p in before) / first
    return "warmup" if (mean > parts[-1].mean) == (unit == "s") else "slowdown"


def _relative(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0 if part == 0 else math.inf


__all__ = ["SteadyState", "mser5", "steady_state"]
