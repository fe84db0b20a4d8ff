"""Null distributions of rank statistics, exact by recursion: what intervals and p-values of rank methods rest on.

Recursions run over probabilities, not counts, so nothing overflows and only positive terms are added. Beyond the sizes
named here the normal approximation takes over; its error is then far below what anybody prints.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from harness.stats.inputs import FloatArray

SIGNED_RANK_EXACT = 200  # n
RANK_SUM_EXACT = 10_000  # m * n
PERMUTATION_EXACT = 120  # pooled n


@lru_cache(maxsize=512)
def signed_rank_cdf(n: int) -> FloatArray:
    """Return P(V <= k) for k = 0 .. n(n+1)/2, V the signed-rank sum of n values without ties."""
    mass = np.zeros(n * (n + 1) // 2 + 1)
    mass[0] = 1.0
    for rank in range(1, n + 1):
        moved = np.zeros_like(mass)
        moved[rank:] = mass[:-rank]
        mass = 0.5 * (mass + moved)
    return np.cumsum(mass)


@lru_cache(maxsize=512)
def rank_sum_cdf(m: int, n: int) -> FloatArray:
    """Return P(U <= k) for k = 0 .. m*n, U the number of pairs with x > y, no ties.

    The largest of all m + n values is an x with probability m / (m + n) and then beats all n values of y.
    """
    size = m * n + 1
    row = [np.zeros(size) for _ in range(m + 1)]
    for mass in row:
        mass[0] = 1.0
    for b in range(1, n + 1):
        for a in range(1, m + 1):
            moved = np.zeros(size)
            moved[b:] = row[a - 1][:-b]
            row[a] = (a * moved + b * row[a]) / (a + b)
    return np.cumsum(row[m])


@lru_cache(maxsize=4096)
def signed_rank_index(n: int, tail: float) -> tuple[int, float]:
    """Return the largest k with P(V <= k - 1) <= tail, and that probability; k = 0 means there is none."""
    if n <= SIGNED_RANK_EXACT:
        return _index(signed_rank_cdf(n), tail)
    return _normal_index(n * (n + 1) / 4, math.sqrt(n * (n + 1) * (2 * n + 1) / 24), tail)


@lru_cache(maxsize=4096)
def rank_sum_index(m: int, n: int, tail: float) -> tuple[int, float]:
    """Return the largest k with P(U <= k - 1) <= tail, and that probability; k = 0 means there is none."""
    m, n = min(m, n), max(m, n)
    if m * n <= RANK_SUM_EXACT:
        return _index(rank_sum_cdf(m, n), tail)
    return _normal_index(m * n / 2, math.sqrt(m * n * (m + n + 1) / 12), tail)


def midranks(values: FloatArray) -> FloatArray:
    """Return ranks 1 .. n of shape (n,), equal values sharing the mean of their ranks."""
    order = np.argsort(values)
    ordered = values[order]
    if (ordered[1:] != ordered[:-1]).all():
        ranks = np.empty(values.size)
        ranks[order] = np.arange(1.0, values.size + 1)
        return ranks
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    shared: FloatArray = ((last - counts + 1 + last) / 2)[inverse]
    return shared


def permutation_p(ranks: FloatArray, m: int) -> float:
    """Return the two-sided exact p of the rank sum of the first m values, over all choices of m out of n mid-ranks.

    Twice the smaller tail, as the usual permutation tests have it (with ties the two tails can differ). Shift
    algorithm: `mass[j, s]` is the number of ways to choose j values with doubled rank sum s, up to a common factor.
    """
    doubled = np.rint(2 * ranks).astype(np.int64)
    n, observed, small = doubled.size, int(doubled[:m].sum()), m
    if n - m < m:  # the complement is the smaller choice; its tails are the same, mirrored
        observed, small = int(doubled.sum()) - observed, n - m
    size = int(np.sort(doubled)[n - small:].sum()) + 1
    mass = np.zeros((small + 1, size))
    mass[0, 0] = 1.0
    for seen, rank in enumerate(doubled.tolist(), start=1):
        top = min(seen, small)
        mass[1:top + 1, rank:] += mass[0:top, :size - rank]
        if mass[top].max() > 1e200:
            mass *= 1e-200
    ways = mass[small]
    tail = min(float(ways[:observed + 1].sum()), float(ways[observed:].sum()))
    return min(1.0, 2 * tail / float(ways.sum()))


def sign_flip_p(ranks: FloatArray, positive: int) -> float:
    """Return the two-sided exact p of a doubled signed-rank sum `positive`, over all signs of the mid-ranks."""
    mass = _sign_flips(tuple(np.sort(np.rint(2 * ranks).astype(np.int64)).tolist()))
    centre = (mass.size - 1) / 2
    extreme = np.abs(np.arange(mass.size) - centre) >= abs(positive - centre)
    return min(1.0, float(mass[extreme].sum()))


@lru_cache(maxsize=512)
def _sign_flips(doubled: tuple[int, ...]) -> FloatArray:
    """Return the probability of each sum of a random choice of doubled ranks; without ties all of one n share it."""
    mass = np.zeros(sum(doubled) + 1)
    mass[0] = 1.0
    for rank in doubled:
        moved = np.zeros_like(mass)
        moved[rank:] = mass[:mass.size - rank]
        mass = 0.5 * (mass + moved)
    return mass


def _index(cdf: FloatArray, tail: float) -> tuple[int, float]:
    # A relative hair of tolerance: tails such as 1/40 are met exactly by some counts.
    k = int(np.searchsorted(cdf, tail * (1 + 1e-12), side="right"))
    return k, float(cdf[k - 1]) if k else 0.0


def _normal_index(mean: float, sd: float, tail: float) -> tuple[int, float]:
    from scipy import special

    k = max(0, math.floor(mean + 0.5 + float(special.ndtri(tail)) * sd))
    return k, float(special.ndtr((k - 0.5 - mean) / sd)) if k else 0.0
