"""How well an interval of a percentile, taken within one run, covers: less than it says, and far more than i.i.d.

The latencies of a run share a level that wanders from second to second; the true percentile is known because levels
and latencies are both normal on the log scale. Thinned by default; `-m statistics` runs the full sizes.
"""

import math

import numpy as np
import pytest
from scipy import signal, special

from harness.stats.histograms import FioLayout, LatencyHistogram, hist_quantile_ci
from harness.stats.records import StatsPolicy
from harness.stats.scores import order_indices

SECONDS, RATE, PHI = 120, 50, 0.6
LEVEL, NOISE, CENTRE = 0.15, 0.3, math.log(1e6)
LAYOUT = FioLayout()


def sizes(full, thin):
    return pytest.mark.parametrize("sets", [thin, pytest.param(full, marks=pytest.mark.statistics)])


def run(rng, seconds=SECONDS):
    """Latencies in ns of one run, shape (seconds, rate)."""
    steps = rng.normal(size=seconds) * math.sqrt(1 - PHI**2)
    steps[0] /= math.sqrt(1 - PHI**2)
    level = LEVEL * signal.lfilter([1.0], [1.0, -PHI], steps)
    return np.exp(CENTRE + level[:, None] + NOISE * rng.normal(size=(seconds, RATE))).astype(np.int64)


def truth(p):
    return math.exp(CENTRE + math.hypot(LEVEL, NOISE) * special.ndtri(p)) / 1e9


def blocks(latencies, seconds):
    """The histograms of blocks of so many seconds; counted at once, as `from_samples` counts each (a test says so)."""
    parts = latencies.reshape(len(latencies) // seconds, -1)
    bins = LAYOUT.index(parts) + LAYOUT.size * np.arange(len(parts))[:, None]
    counts = np.bincount(bins.ravel(), minlength=len(parts) * LAYOUT.size).reshape(len(parts), -1)
    return [LatencyHistogram(LAYOUT, row, parts.shape[1], max=int(part.max()))
            for row, part in zip(counts, parts, strict=True)]


def test_blocks_are_what_from_samples_counts():
    latencies = run(np.random.default_rng(1))
    for block, part in zip(blocks(latencies, 10), latencies.reshape(12, -1), strict=True):
        theirs = LatencyHistogram.from_samples(part)
        assert (block.counts == theirs.counts).all()
        assert (block.n, block.max) == (theirs.n, theirs.max)


def coverage(sets, shares, block_s, draws=299, length=SECONDS):
    """The share of intervals that hold the true percentile, for each of `shares`, all from the same runs."""
    policy, rng, hits = StatsPolicy(block_s=block_s), np.random.default_rng(int(block_s)), dict.fromkeys(shares, 0)
    for _ in range(sets):
        made = blocks(run(rng, length), int(block_s))
        for p in shares:
            ci = hist_quantile_ci(made, p, block_s=block_s, B=draws, policy=policy).ci
            hits[p] += ci.lo <= truth(p) <= ci.hi
    return {p: hit / sets for p, hit in hits.items()}


@sizes(full=10_000, thin=200)
def test_blocks_of_ten_seconds_cover_about_nine_in_ten(sets):
    """Nominal 95 %: with 12 blocks the bootstrap falls short, which is why the result is called descriptive."""
    for share in coverage(sets, (0.5, 0.99), 10.0).values():
        assert share == pytest.approx(0.91, abs=0.03 + 4 * math.sqrt(0.09 * 0.91 / sets))


@sizes(full=10_000, thin=100)
def test_blocks_that_are_too_short_cover_less(sets):
    assert coverage(sets, (0.5,), 1.0, 199, 60)[0.5] <= 0.84 + 4 * math.sqrt(0.16 * 0.84 / sets)


@sizes(full=10_000, thin=200)
def test_requests_taken_for_independent_cover_next_to_nothing(sets):
    """The order-statistic interval over all requests of a run: right for independent values, worthless here."""
    rng, p, hits = np.random.default_rng(3), 0.5, 0
    lo, hi, _ = order_indices(SECONDS * RATE, p, 0.95)
    for _ in range(sets):
        ordered = np.sort(run(rng), axis=None)
        hits += ordered[lo - 1] / 1e9 <= truth(p) <= ordered[hi - 1] / 1e9
    assert hits / sets <= 0.5
