"""What changed between commits: calibrated change points in a history, alarms over many, and the noise floor.

A split is accepted by a permutation test of the largest standardised step, whose p-value is one (a t-test at the best
split is not). Despiking serves detection only; every number reported comes from the data as they are.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from harness.stats.changepoints import noise_sd
from harness.stats.inputs import FloatArray, array, seed_of
from harness.stats.multiple import bh
from harness.stats.ratios import ratio_paired, ratio_welch
from harness.stats.records import DEFAULT_POLICY, Estimate, Interval, StatsPolicy

_EDGE = 2  # points on each side of a split, at least
_PHI_MIN = 20  # points
_PHI_LEAST = 0.15
_CHUNK = 250  # permutations at a time


@dataclass(frozen=True)
class Change:
    """A step in a history: `index` is the first point after it, the cause within `suspects` (first, last).

    `before` and `after` are medians, `ratio` after / before of geometric means (None where a side has one value or
    values are not all positive). `at_head`: the new level holds to the last point. `spikes` are single points set
    aside for detection, of the whole history.
    """

    index: int
    before: float
    after: float
    ratio: Estimate | None
    p: float
    at_head: bool
    suspects: tuple[int, int]
    phi: float = 0.0
    spikes: tuple[int, ...] = ()


@dataclass(frozen=True)
class NoiseFloor:
    """What two equal things differ by on a testbed: relative differences below `floor` are ties.

    `cv` is the standard deviation of one score relative to its mean, with its chi-squared interval; `ratio` the A/A
    ratio itself, whose interval should hold 1.
    """

    floor: float
    cv: float
    cv_ci: Interval
    ratio: Estimate
    pairs: int
    warnings: tuple[str, ...] = ()


def segment_history(y: npt.ArrayLike, *, seed: int | str = "", floor: float = 0.0, phi: float | None = None,
                    policy: StatsPolicy = DEFAULT_POLICY) -> list[Change]:
    """Return the changes of level in a history y (n,), one run score per commit, oldest first.

    Largest standardised step against its permutation distribution, split where p <= policy.alarm_alpha, then the
    halves; autocorrelation `phi` (estimated unless given; below 0.15 ignored) shrinks the statistic. Steps between
    medians smaller than max(2 %, 2 * `floor`) are merged away. `seed` is a number, or the name of the series: then the
    number follows from policy, name and data.
    """
    values = array(y, "y")
    if values.ndim != 1:
        raise ValueError(f"y: shape {values.shape}; one run score per commit, of shape (n,), is needed")
    clean, spikes = despike(values)
    known = correlation(clean) if phi is None else phi
    rng = np.random.default_rng(seed_of(policy, seed, values) if isinstance(seed, str) else seed)
    found: dict[int, float] = {}
    shrink = _shrink(known, values.size if phi is None else math.inf)
    todo = [(0, values.size)]
    while todo:
        start, end = todo.pop()
        at, p = _best_split(clean[start:end], shrink, policy, rng)
        if p <= policy.alarm_alpha:
            found[start + at] = p
            todo += [(start + at, end), (start, start + at)]
    least = max(policy.equivalent, policy.noise_floor_factor * floor)
    edges = _merged(clean, [0, *sorted(found), values.size], least)
    return [dataclasses.replace(_change(values, (a, b, c), policy), p=found[b], phi=known, spikes=spikes)
            for a, b, c in zip(edges, edges[1:], edges[2:], strict=False)]


def alarms(histories: Mapping[str, npt.ArrayLike], *, floor: float | Mapping[str, float] = 0.0,
           policy: StatsPolicy = DEFAULT_POLICY) -> dict[str, Change]:
    """Return the changes that hold to HEAD, by series id, at a false discovery rate of policy.fdr over all series.

    `floor` is the noise floor, one for all or by series id.

    A permutation p cannot be smaller than 1 / (R + 1); where so many series would need a smaller one, R is raised for
    those with a change.
    """
    enough = math.ceil(4 * len(histories) / policy.fdr)
    finer = dataclasses.replace(policy, permutations=max(policy.permutations, enough))
    floors = floor if isinstance(floor, Mapping) else dict.fromkeys(histories, floor)
    heads: dict[str, Change] = {}
    for name, y in histories.items():
        head = _head(segment_history(y, floor=floors[name], seed=name, policy=policy))
        if head and finer.permutations > policy.permutations and head.p < 2 / policy.permutations:
            head = _head(segment_history(y, floor=floors[name], seed=name, policy=finer))
        if head:
            heads[name] = head
    adjusted = bh([heads[name].p if name in heads else 1.0 for name in histories])
    return {name: heads[name] for name, p in zip(histories, adjusted.tolist(), strict=True)
            if name in heads and p <= policy.fdr}


def noise_floor(aa_pairs: npt.ArrayLike, *, policy: StatsPolicy = DEFAULT_POLICY) -> NoiseFloor:
    """Return the noise floor from A/A pairs of shape (n, 2), measured in ABBA order; at least 10 are wanted.

    The floor is the half width of the interval of such a ratio, taken at the upper 95 % chi-squared bound of its
    standard deviation, so that it is not low by luck.
    """
    pairs = array(aa_pairs, "aa_pairs")
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.shape[0] < 2:
        raise ValueError(f"aa_pairs: shape {pairs.shape}; at least 2 rows of (first, second) are needed, 10 are wanted")
    n = pairs.shape[0]
    ratio = ratio_paired(pairs[:, 0], pairs[:, 1], policy=policy)
    spread = ratio.dispersion
    half = math.log(ratio.ci.hi / ratio.ci.lo) / 2 if spread and ratio.ci.lo > 0 else 0.0
    floor = math.expm1(half * _chi_bound(n - 1, 0.05))
    tail = (1 - policy.confidence) / 2
    cv = spread / math.sqrt(2)
    interval = Interval(cv * _chi_bound(n - 1, 1 - tail), cv * _chi_bound(n - 1, tail), policy.confidence)
    said = list(ratio.warnings)
    if n < policy.n0:
        said.append(f"few: {n} pairs, {policy.n0} are needed for a floor to rely on")
    if not ratio.ci.lo <= 1 <= ratio.ci.hi:
        said.append("biased: equal things differ systematically; look at the order of the runs")
    return NoiseFloor(floor, cv, interval, ratio, n, tuple(said))


def despike(y: FloatArray) -> tuple[FloatArray, tuple[int, ...]]:
    """Return y (n,) with single points 5 noise deviations off the median of 5 replaced by it, and their indices."""
    n = y.size
    if n < 5:
        return y.copy(), ()
    middle = np.median(np.lib.stride_tricks.sliding_window_view(y, 5), axis=1)
    # At the ends the median of three: two new points at HEAD are a beginning, one is a spike.
    rolling = np.concatenate([[np.median(y[:3])] * 2, middle, [np.median(y[-3:])] * 2])
    far = np.abs(y - rolling) > 5 * noise_sd(y)
    return np.where(far, rolling, y), tuple(int(i) for i in np.flatnonzero(far))


def correlation(y: FloatArray) -> float:
    """Return the lag-one autocorrelation of y (n,) in [0, 0.9] from differences; 0 below 20 points, too few to tell.

    var(x_t - x_{t-2}) / var(x_t - x_{t-1}) is 1 + phi. Differences beyond 3 robust standard deviations, and those of
    two that contain one, are left out, so that a step of level does not pass for correlation.
    """
    if y.size < _PHI_MIN:
        return 0.0
    near, further = np.diff(y), y[2:] - y[:-2]
    calm = np.abs(near) <= 3 * 1.4826 * float(np.median(np.abs(near - np.median(near))))
    both = calm[1:] & calm[:-1]
    below = float(np.mean(near[calm] ** 2)) if both.any() else 0.0
    return min(max(float(np.mean(further[both] ** 2)) / below - 1, 0.0), 0.9) if below > 0 else 0.0


def _best_split(x: FloatArray, shrink: float, policy: StatsPolicy, rng: np.random.Generator) -> tuple[int, float]:
    """Return where the standardised step is largest, and the permutation p of its size; (0, 1.0) where x is short.

    Stops early once p is certain to end above policy.alarm_alpha; a p that is reported rests on all permutations.
    """
    n, total = x.size, policy.permutations
    if n < 2 * _EDGE or float(x.max()) == float(x.min()):
        return 0, 1.0
    t = np.arange(_EDGE, n - _EDGE + 1)
    weight = np.sqrt(n / (t * (n - t)))
    centred = (x - x.mean()) / x.std(ddof=1)
    own = np.abs(np.cumsum(centred)[t - 1]) * weight
    level = _shrunk(float(own.max()), shrink, n) * (1 - 1e-12)
    exceed = done = 0
    while done < total and exceed + 1 <= policy.alarm_alpha * (total + 1):
        rows = rng.permuted(np.broadcast_to(centred, (min(_CHUNK, total - done), n)), axis=1)
        exceed += int(((np.abs(np.cumsum(rows, axis=1)[:, t - 1]) * weight).max(axis=1) >= level).sum())
        done += len(rows)
    return int(t[own.argmax()]), (exceed + 1) / (done + 1)


def _shrink(phi: float, n: float) -> float:
    """Return what correlated noise leaves of a standardised step; 2 / n makes up for a phi estimated from n points."""
    if phi <= _PHI_LEAST:
        return 1.0
    phi = min(phi + 2 / n, 0.95)
    return math.sqrt((1 - phi) / (1 + phi))


def _shrunk(z: float, shrink: float, n: int) -> float:
    """Shrink a standardised step where it is measured against the noise beside it, not against itself.

    z divides by the spread of the whole segment, step included; t by that around the two means. Correlated noise
    inflates t by 1 / shrink, so a step far above the noise stays one.
    """
    if shrink == 1.0:
        return z
    t = shrink * z * math.sqrt((n - 2) / max(n - 1 - z * z, 1e-12))
    return t * math.sqrt((n - 1) / (n - 2 + t * t))


def _merged(y: FloatArray, edges: list[int], least: float) -> list[int]:
    """Drop the weakest change of medians again and again while it is smaller than `least`, relative to the older."""
    while len(edges) > 2:
        medians = [float(np.median(y[a:b])) for a, b in pairwise(edges)]
        sizes = [abs(b - a) / abs(a) if a else math.inf if b else 0.0
                 for a, b in pairwise(medians)]
        weakest = int(np.argmin(sizes))
        if sizes[weakest] >= least:
            break
        del edges[weakest + 1]
    return edges


def _change(y: FloatArray, edges: tuple[int, int, int], policy: StatsPolicy) -> Change:
    """Return what the data say about the change at the middle one of three edges."""
    start, at, end = edges
    before, after = y[start:at], y[at:end]
    ratio = None
    if min(before.size, after.size) >= 2 and y[start:end].min() > 0:
        ratio = ratio_welch(after, before, policy=policy)
    return Change(at, float(np.median(before)), float(np.median(after)), ratio, 1.0, end == y.size, (at - 1, at + 1))


def _head(changes: list[Change]) -> Change | None:
    return changes[-1] if changes and changes[-1].at_head else None


def _chi_bound(dof: int, upper: float) -> float:
    """Return the factor from a sample standard deviation to its bound that leaves `upper` of chi-squared below."""
    from scipy import special

    return math.sqrt(dof / float(special.chdtri(dof, 1 - upper)))
