"""Tests of two samples, and corrections for many: exact where ties would mislead an approximation.

Below the size at which a rank test can reach p < .05 at all (4 against 4) the result says "cannot detect".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.stats.inputs import FloatArray, array, scores
from harness.stats.moments import p_two_sided
from harness.stats.nulls import PERMUTATION_EXACT, midranks, permutation_p, sign_flip_p


@dataclass(frozen=True)
class RankSum:
    """Rank-sum test: `statistic` is the number of pairs x > y (ties half), `p_min` the least p these sizes can give."""

    statistic: float
    p: float
    p_min: float
    exact: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class BrunnerMunzel:
    """Brunner-Munzel test; `superiority` is P(x < y) + P(x = y) / 2."""

    statistic: float
    p: float
    dof: float
    superiority: float
    warnings: tuple[str, ...] = ()


def rank_sum_p(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Return the two-sided p of the rank-sum (Mann-Whitney) test, exact with ties; see `rank_sum`."""
    return rank_sum(x, y).p


def rank_sum(x: npt.ArrayLike, y: npt.ArrayLike) -> RankSum:
    """Return the rank-sum test of two independent samples, exact over all permutations of the mid-ranks.

    Above 120 scores in all the normal approximation with tie and continuity correction is used. Not a test of medians:
    with unequal spread its error rate is off; take `brunner_munzel` or Welch on logs then.
    """
    first, second = scores(x, infinite=True).values, scores(y, "y", infinite=True).values
    m, n = first.size, second.size
    ranks = midranks(np.concatenate([first, second]))
    u = float(ranks[:m].sum()) - m * (m + 1) / 2
    exact = m + n <= PERMUTATION_EXACT
    p = permutation_p(ranks, m) if exact else _normal_rank_sum(ranks, m, u)
    p_min = min(1.0, 2 / math.comb(m + n, m))
    least = (f"cannot_detect: {m} against {n} scores cannot give p < .05; 4 against 4 are needed",) * (p_min >= 0.05)
    return RankSum(u, p, p_min, exact, least)


def signed_rank_p(d: npt.ArrayLike) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test of differences d, zeros dropped, exact with ties."""
    values = array(d, "d").ravel()
    values = values[values != 0]
    if values.size == 0:
        return 1.0
    ranks = midranks(np.abs(values))
    positive = round(2 * float(ranks[values > 0].sum()))
    if values.size <= PERMUTATION_EXACT:
        return sign_flip_p(ranks, positive)
    spread = math.sqrt(float((ranks**2).sum())) / 2
    return p_two_sided(math.inf, max(0.0, abs(positive / 2 - float(ranks.sum()) / 2) - 0.5) / spread)


def brunner_munzel(x: npt.ArrayLike, y: npt.ArrayLike) -> BrunnerMunzel:
    """Return the Brunner-Munzel test that x and y are stochastically equal, t version, two-sided.

    For unequal spread; warns below 10 scores a side. Where the samples do not overlap there is no variance to divide
    by: the statistic is infinite and p is that of the exact rank-sum test.
    """
    first, second = scores(x, infinite=True).values, scores(y, "y", infinite=True).values
    m, n = first.size, second.size
    if min(m, n) < 2:
        raise ValueError(f"brunner_munzel: {m} and {n} scores; at least 2 and 2 are needed, 10 and 10 recommended")
    together = midranks(np.concatenate([first, second]))
    a, b = together[:m], together[m:]
    s_a, s_b = _placement_variance(a, midranks(first)), _placement_variance(b, midranks(second))
    superiority = float((b.mean() - (n + 1) / 2) / m)
    few = (f"few: {m} and {n} scores, the t version needs 10 a side",) * (min(m, n) < 10)
    v = m * s_a + n * s_b
    if v == 0:
        statistic = math.copysign(math.inf, superiority - 0.5) if superiority != 0.5 else 0.0
        return BrunnerMunzel(statistic, rank_sum_p(first, second), math.inf, superiority, few)
    statistic = m * n * float(b.mean() - a.mean()) / ((m + n) * math.sqrt(v))
    dof = v**2 / ((m * s_a) ** 2 / (m - 1) + (n * s_b) ** 2 / (n - 1))
    return BrunnerMunzel(statistic, p_two_sided(dof, statistic), dof, superiority, few)


def holm(p: npt.ArrayLike) -> FloatArray:
    """Return Holm's adjusted p-values in the order given: the chance of any false claim stays below alpha."""
    values = _p_values(p)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(values.size, 0, -1))
    return _placed(np.minimum(stepped, 1.0), order)


def bh(p: npt.ArrayLike) -> FloatArray:
    """Return Benjamini-Hochberg adjusted p-values in the order given: the share of false alarms stays below q."""
    values = _p_values(p)
    order = np.argsort(values, kind="stable")
    scaled = values[order] * values.size / np.arange(1, values.size + 1)
    return _placed(np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0), order)


def _p_values(p: npt.ArrayLike) -> FloatArray:
    values = np.asarray(p, dtype=np.float64)
    if values.size == 0:
        return values.reshape(0)
    values = array(values, "p")
    if values.ndim != 1 or values.min() < 0 or values.max() > 1:
        raise ValueError("p: not a list of probabilities; values from 0 to 1 are allowed")
    return values


def _placed(ordered: FloatArray, order: npt.NDArray[np.intp]) -> FloatArray:
    out = np.empty_like(ordered)
    out[order] = ordered
    return out


def _placement_variance(together: FloatArray, own: FloatArray) -> float:
    away = together - own - together.mean() + (own.size + 1) / 2
    return float((away**2).sum()) / (own.size - 1)


def _normal_rank_sum(ranks: FloatArray, m: int, u: float) -> float:
    total = ranks.size
    n = total - m
    counts = np.unique(ranks, return_counts=True)[1].astype(np.float64)
    ties = float((counts**3 - counts).sum()) / (total * (total - 1))
    spread = math.sqrt(m * n / 12 * (total + 1 - ties))
    return p_two_sided(math.inf, max(0.0, abs(u - m * n / 2) - 0.5) / spread) if spread else 1.0
