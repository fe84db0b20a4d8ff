"""The block bootstrap of percentiles: blocks of time are drawn with replacement, never single latencies.

Latencies in a run depend on each other; an interval that takes them for independent covers a third of what it says.
Blocks of 10 s and more are nearly independent. Everything works on counts: (blocks, bins) in, bins out.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from harness.stats.layouts import Counts
from harness.stats.ranks import rank_of, ranks_of


def group_blocks(counts: Counts, per_group: int) -> Counts:
    """Return the sums of `per_group` neighbouring rows of (blocks, bins); a last group that is not full is added to
    the one before it."""
    if per_group == 1:
        return counts
    groups = max(1, counts.shape[0] // per_group)
    starts = np.arange(groups) * per_group
    return np.add.reduceat(counts, starts, axis=0)


def resampled_bins(counts: Counts, share: Fraction, draws: int, seed: int) -> Counts:
    """Return the bin of the percentile in each of `draws` resamples of the rows of `counts`, shape (draws,).

    A resample that holds no value at all (every block drawn was empty) repeats the percentile of all data. Sums run in
    float64, exact below 2**53 values, because only there matrix products are fast.
    """
    rows = counts.shape[0]
    drawn = np.random.default_rng(seed).integers(rows, size=(draws, rows)) + rows * np.arange(draws)[:, None]
    weights = np.bincount(drawn.ravel(), minlength=draws * rows).reshape(draws, rows).astype(np.float64)
    used = np.flatnonzero(counts.any(axis=0))
    upto = np.cumsum(counts[:, used], axis=1, dtype=np.float64)      # values at or below each bin, by block
    totals = weights @ upto[:, -1]
    ranks = ranks_of(share, totals.astype(np.int64)).astype(np.float64)
    low, high = np.zeros(draws, dtype=np.int64), np.full(draws, used.size - 1)
    while (low < high).any():
        middle = (low + high) // 2
        columns, place = np.unique(middle, return_inverse=True)     # few: most resamples search the same bins
        enough = (weights @ upto[:, columns])[np.arange(draws), place] >= ranks
        low, high = np.where(enough, low, middle + 1), np.where(enough, middle, high)
    whole = np.searchsorted(upto.sum(axis=0), rank_of(share, int(counts.sum())))
    found: Counts = used[np.where(totals > 0, low, whole)]
    return found


__all__ = ["group_blocks", "resampled_bins"]
