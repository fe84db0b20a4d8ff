"""Percentiles from bins: exact ranks, bounds that hold the truth, censoring, and intervals from blocks of time."""

import json
import math
from fractions import Fraction
from functools import reduce
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats.blocks import group_blocks, resampled_bins
from harness.stats.histograms import FioLayout, HdrLayout, LatencyHistogram, hist_quantile, hist_quantile_ci
from harness.stats.ranks import exact_share, needed, rank_of, ranks_of
from harness.stats.records import StatsPolicy

PUBLISHED = json.loads((Path(__file__).parents[3] / "tests/data/statistics/histograms.json").read_text())
LAYOUTS = [FioLayout(), HdrLayout(1, 3_600_000_000, 3), HdrLayout(1000, 3_600_000_000_000, 2)]
times = st.lists(st.integers(0, 2**45), min_size=1, max_size=80)
shares = st.integers(0, 10000).map(lambda i: Fraction(i, 10000))


@given(times, shares, st.sampled_from(LAYOUTS))
def test_the_bin_of_a_percentile_holds_the_true_one(values, p, layout):
    h = LatencyHistogram.from_samples(values, layout)
    q = hist_quantile(h, p)
    truth = sorted(values)[rank_of(p, len(values)) - 1]
    assert q.lo <= truth <= q.hi
    assert q.lo <= q.mid <= q.hi or q.censored
    assert q.censored == (layout.index(truth) == layout.clamp_index)


@given(times, shares, shares)
def test_percentiles_do_not_fall(values, a, b):
    h = LatencyHistogram.from_samples(values)
    assert hist_quantile(h, min(a, b)).lo <= hist_quantile(h, max(a, b)).lo


@given(st.lists(st.integers(0, 120), min_size=1, max_size=60), shares)
def test_percentiles_of_exact_bins_are_inverted_cdf(values, p):
    """In bins of width one the percentile is the very order statistic that numpy calls inverted_cdf."""
    expected = sorted(values)[max(1, math.ceil(p * len(values))) - 1]
    assert hist_quantile(LatencyHistogram.from_samples(values), p).mid == expected


def test_quantiles_are_type_one_as_in_r():
    row = PUBLISHED["quantile_types"]
    h = LatencyHistogram.from_samples([round(100 * x) for x in row["x"]], HdrLayout(1, 1000, 3))
    assert {p: hist_quantile(h, float(p)).mid / 100 for p in row["type1"]} == row["type1"]


@pytest.mark.parametrize(("p", "n", "rank"), [(0.55, 20, 11), (0.07, 100, 7), (0.999, 1000, 999), (0.29, 100, 29),
                                              ("0.1", 30, 3), (Fraction(1, 3), 9, 3), (0, 9, 1), (1, 9, 9)])
def test_ranks_are_exact_where_floats_are_not(p, n, rank):
    assert rank_of(exact_share(p), n) == rank


@given(shares, st.lists(st.integers(0, 2**53), min_size=1, max_size=20), st.booleans())
def test_ranks_of_many_are_the_ranks_of_each(p, n, awkward):
    p = p * Fraction(10**17 + 1, 10**17 + 3) if awkward else p
    assert ranks_of(p, np.array(n)).tolist() == [rank_of(p, m) if m else 0 for m in n]


@given(st.integers(0, 2**32), st.integers(1, 8), shares)
def test_resampling_finds_the_percentile_of_each_resample(seed, rows, p):
    """The same draws, put together and searched one by one."""
    counts = np.random.default_rng(seed).integers(0, 4, (rows, 12))
    counts[0, 3] += 1
    choices = np.random.default_rng(1).integers(rows, size=(20, rows))
    whole = counts.sum(axis=0)
    for found, chosen in zip(resampled_bins(counts, p, 20, 1), choices, strict=True):
        used = counts[chosen].sum(axis=0) if counts[chosen].any() else whole
        assert found == np.searchsorted(np.cumsum(used), rank_of(p, int(used.sum())))


def test_floats_would_get_a_rank_wrong():
    assert math.ceil(0.07 * 100) == 8, "the trap that exact ranks avoid"


@pytest.mark.parametrize("bad", [-0.1, 1.1, 99, math.nan, math.inf])
def test_a_share_outside_zero_to_one_is_refused(bad):
    with pytest.raises(ValueError, match="0 to 1"):
        exact_share(bad)


def test_a_small_tail_is_said_to_be_small():
    few = LatencyHistogram.from_samples(np.arange(99_999))
    enough = LatencyHistogram.from_samples(np.arange(100_000))
    assert needed(Fraction("0.999")) == 100_000
    assert hist_quantile(few, 0.999).warnings[0].startswith("tail_undersampled")
    assert hist_quantile(enough, 0.999).warnings == ()


def test_the_open_last_bin_censors():
    h = LatencyHistogram.from_samples([1000] * 9 + [94_000_000_000])
    q = hist_quantile(h, 1)
    assert q.censored
    assert (q.lo, q.hi) == (17045651456, 94_000_000_000)
    assert not hist_quantile(h, 0.9).censored


def test_the_bin_width_is_an_uncertainty():
    q = hist_quantile(LatencyHistogram.from_samples([1_000_000]), 0.5)
    lo, width = FioLayout().edges(FioLayout().index(1_000_000))
    assert (q.lo, q.hi, q.u_b) == (lo, lo + width - 1, width / math.sqrt(12))
    assert q.seconds == (q.lo / 1e9, q.mid / 1e9, q.hi / 1e9)
    assert hist_quantile(LatencyHistogram.from_samples([100]), 0.5).u_b == 0.0


def test_ranks_of_hdrhistogram_can_be_asked_for():
    assert (rank_of(Fraction("0.53"), 10), rank_of(Fraction("0.53"), 10, "nearest")) == (6, 5)
    with pytest.raises(ValueError, match="'ceil', 'nearest'"):
        rank_of(Fraction(1, 2), 10, "floor")


def seconds(number=120, each=400, seed=5):
    rng = np.random.default_rng(seed)
    level = np.repeat(rng.normal(0, 0.3, number // 10 + 1), 10)[:number]
    return [LatencyHistogram.from_samples(np.exp(rng.normal(13 + level[i], 0.5, each)).astype(np.int64))
            for i in range(number)]


def test_an_interval_from_blocks_is_a_description_of_one_run():
    blocks = seconds()
    found = hist_quantile_ci(blocks, 0.99, block_s=1.0, B=499)
    whole = reduce(LatencyHistogram.merge, blocks)
    assert found.estimate == hist_quantile(whole, 0.99).mid / 1e9
    assert found.ci.lo <= found.estimate <= found.ci.hi
    assert (found.n, found.n_by_level) == (1, {"run": 1, "block": 12, "sample": 48_000})
    assert found.unit == "s"
    assert any(w.startswith("descriptive") for w in found.warnings)
    assert found.budget.u_b[0][0] == "bin width"


def test_the_same_blocks_give_the_same_bytes():
    a, b = (hist_quantile_ci(seconds(), 0.9, block_s=1.0, B=199) for _ in range(2))
    assert a == b
    assert hist_quantile_ci(seconds(), 0.9, block_s=1.0, B=199, seed=1).seed == 1


def test_longer_blocks_give_wider_intervals_on_data_that_hang_together():
    fine = StatsPolicy(block_s=1.0)
    widths = [np.mean([(lambda ci: ci.hi - ci.lo)(
        hist_quantile_ci(seconds(seed=s), 0.5, block_s=1.0, B=299, **kind).ci) for s in range(8)])
        for kind in ({}, {"policy": fine})]
    assert widths[0] > 1.5 * widths[1]


def test_few_blocks_have_no_interval():
    found = hist_quantile_ci(seconds(50), 0.5, block_s=1.0, B=99)
    assert found.ci.hi == math.inf
    assert any("needed are 6" in w for w in found.warnings)


def test_a_clamped_percentile_is_not_judged():
    stuck = [LatencyHistogram.from_samples([20_000_000_000 + i]) for i in range(80)]
    found = hist_quantile_ci(stuck, 0.5, block_s=10.0, B=99)
    assert found.ci.hi == math.inf
    assert [c.passed for c in found.assumptions if c.name == "not censored"] == [False]


def test_blocks_without_any_value_do_no_harm():
    blocks = [LatencyHistogram.from_samples(np.array([100] * (i == 0), dtype=np.int64)) for i in range(8)]
    assert hist_quantile_ci(blocks, 0.5, block_s=10.0, B=99).ci.hi == 1e-7


def test_blocks_are_put_together_in_order():
    rows = np.arange(14).reshape(7, 2)
    assert group_blocks(rows, 3).tolist() == [[6, 9], [36, 40]]
    assert group_blocks(rows, 9).tolist() == [rows.sum(axis=0).tolist()]


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_a_block_needs_a_duration(bad):
    with pytest.raises(ValueError, match="duration"):
        hist_quantile_ci(seconds(20), 0.5, block_s=bad)
