"""Rank tests against full enumeration and scipy; corrections for many against their definition."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.stats import bh, brunner_munzel, holm, rank_sum, rank_sum_p, signed_rank_p
from harness.stats.nulls import (
    midranks,
    rank_sum_cdf,
    rank_sum_index,
    signed_rank_cdf,
    signed_rank_index,
)

coarse = st.lists(st.integers(0, 5), min_size=2, max_size=6)
p_values = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@given(coarse, coarse)
@settings(max_examples=60)
def test_rank_sum_p_is_the_enumeration(x, y):
    ranks = stats.rankdata([*x, *y])
    sums = np.array([sum(c) for c in combinations(ranks, len(x))])
    seen = ranks[:len(x)].sum()
    expected = min(1.0, 2 * min((sums <= seen + 1e-9).mean(), (sums >= seen - 1e-9).mean()))
    assert rank_sum_p(x, y) == pytest.approx(expected, rel=1e-12)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
@settings(max_examples=60)
def test_signed_rank_p_is_the_enumeration(d):
    kept = [v for v in d if v]
    if not kept:
        assert signed_rank_p(d) == 1.0
        return
    ranks = stats.rankdata(np.abs(kept))
    signs = (np.arange(2 ** len(kept))[:, None] >> np.arange(len(kept))) & 1
    sums, seen = signs @ ranks, ranks[np.array(kept) > 0].sum()
    expected = min(1.0, 2 * min((sums <= seen + 1e-9).mean(), (sums >= seen - 1e-9).mean()))
    assert signed_rank_p(d) == pytest.approx(expected, rel=1e-12)


@given(coarse, coarse)
@settings(max_examples=40)
def test_rank_tests_are_symmetric_and_see_only_order(x, y):
    assert rank_sum_p(x, y) == rank_sum_p(y, x)
    assert rank_sum_p(np.exp(x), np.exp(y)) == rank_sum_p(x, y)


def test_never_recovered_ranks_last():
    assert rank_sum_p([1, 2, 3, math.inf], [5, 6, 7, 8]) == rank_sum_p([1, 2, 3, 9], [5, 6, 7, 8])


def test_large_samples_use_the_corrected_normal():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=70).round(1), rng.normal(0.3, 1, 90).round(1)
    found = rank_sum(x, y)
    oracle = stats.mannwhitneyu(x, y, method="asymptotic")
    assert not found.exact
    assert (found.statistic, found.p) == pytest.approx((oracle.statistic, oracle.pvalue), rel=1e-12)
    d = rng.normal(0.1, 1, 150).round(1)
    oracle = stats.wilcoxon(d, method="asymptotic", correction=True).pvalue
    assert signed_rank_p(d) == pytest.approx(oracle, rel=0.02)


def test_a_large_exact_p_meets_the_normal_one():
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=60), rng.normal(0.3, 1, 60)
    exact = rank_sum(x, y)
    assert exact.exact
    assert exact.p == pytest.approx(stats.mannwhitneyu(x, y, method="asymptotic").pvalue, abs=2e-3)


@given(st.integers(2, 12), st.integers(2, 12))
@settings(max_examples=25)
def test_null_distribution_of_the_rank_sum(m, n):
    cdf = rank_sum_cdf(m, n)
    ranks = range(m + n)
    if math.comb(m + n, m) < 3000:
        sums = np.array([sum(c) - m * (m - 1) // 2 for c in combinations(ranks, m)])
        assert cdf == pytest.approx([(sums <= k).mean() for k in range(m * n + 1)], abs=1e-12)
    assert cdf[-1] == pytest.approx(1)
    assert np.diff(cdf).min() > 0
    assert cdf == pytest.approx(1 - np.concatenate([[0], cdf[:-1]])[::-1], abs=1e-12)  # symmetric


@pytest.mark.parametrize(("n", "k", "tail"), [(6, 1, 1 / 64), (10, 9, 0.0244140625), (5, 0, 0.0), (15, 26, 0.0239563)])
def test_signed_rank_indices_are_the_tabulated_ones(n, k, tail):
    """Wilcoxon's table: the largest V with P(V <= v) <= 2.5 % is 0, 8, 25 for n = 6, 10, 15; none below 6."""
    assert signed_rank_index(n, 0.025) == (k, pytest.approx(tail, abs=1e-8))
    if k:
        assert signed_rank_cdf(n)[k - 1] <= 0.025 < signed_rank_cdf(n)[k]


@pytest.mark.parametrize(("m", "n", "k"), [(4, 4, 1), (5, 5, 3), (10, 10, 24), (3, 4, 0), (10, 5, 9)])
def test_rank_sum_indices_are_the_tabulated_ones(m, n, k):
    """Mann and Whitney's table: critical U of 0, 2, 23, none and 8, two-sided 5 %."""
    assert rank_sum_index(m, n, 0.025)[0] == k


def test_approximate_indices_join_the_exact_ones():
    from harness.stats import nulls

    n, (mean, sd) = 200, (200 * 201 / 4, math.sqrt(200 * 201 * 401 / 24))
    assert abs(nulls._normal_index(mean, sd, 0.025)[0] - signed_rank_index(n, 0.025)[0]) <= 1
    mean, sd = 100 * 100 / 2, math.sqrt(100 * 100 * 201 / 12)
    assert abs(nulls._normal_index(mean, sd, 0.025)[0] - rank_sum_index(100, 100, 0.025)[0]) <= 1
    assert rank_sum_index(300, 300, 0.025)[0] > 0


@given(st.lists(st.integers(0, 6), min_size=1, max_size=30))
def test_midranks(x):
    assert midranks(np.array(x, float)).tolist() == stats.rankdata(x).tolist()


@given(st.lists(st.floats(-9, 9).map(lambda v: round(v, 1)), min_size=5, max_size=12),
       st.lists(st.floats(-9, 9).map(lambda v: round(v, 1)), min_size=5, max_size=12))
@settings(max_examples=40)
def test_brunner_munzel_is_scipys_where_samples_overlap(x, y):
    found = brunner_munzel(x, y)
    if not math.isfinite(found.dof):
        return
    oracle = stats.brunnermunzel(x, y)
    assert (found.statistic, found.p) == pytest.approx((oracle.statistic, oracle.pvalue), rel=1e-9, abs=1e-12)
    assert found.superiority == pytest.approx(np.mean([(a < b) + (a == b) / 2 for a in x for b in y]))


def test_brunner_munzel_of_separate_samples_is_exact():
    found = brunner_munzel([1, 2, 3, 4], [5, 6, 7, 8])
    assert (found.statistic, found.superiority) == (math.inf, 1.0)
    assert found.p == rank_sum_p([1, 2, 3, 4], [5, 6, 7, 8])
    assert found.warnings
    assert brunner_munzel([2, 2, 2], [2, 2]).p == 1.0
    with pytest.raises(ValueError, match="at least 2"):
        brunner_munzel([1], [2, 3])


@given(p_values)
def test_adjustments_follow_their_definition(p):
    order, m = np.argsort(p, kind="stable"), len(p)
    stepped = [min(1, max((m - j) * p[order[j]] for j in range(i + 1))) for i in range(m)]
    falling = [min(1, min(m / (j + 1) * p[order[j]] for j in range(i, m))) for i in range(m)]
    assert holm(p)[order] == pytest.approx(stepped)
    assert bh(p)[order] == pytest.approx(falling)
    assert (bh(p) <= holm(p) + 1e-12).all()
    assert (holm(p) >= np.array(p) - 1e-12).all()


@pytest.mark.parametrize("bad", [[-0.1], [1.1], [math.nan], [[0.1, 0.2]]])
def test_adjustments_take_probabilities(bad):
    for f in (holm, bh):
        with pytest.raises(ValueError, match="p:"):
            f(bad)
    assert holm([]).size == 0
