"""How often do comparisons cry wolf, and how often do they miss? Rankings, A/A tests, order of runs, rank tests, drift.

Full sizes under `-m statistics`, thinned with honest slack by default.
"""

import math

import numpy as np
import pytest
from scipy import signal

from harness.stats import (
    Direction,
    bh,
    brunner_munzel,
    drift,
    friedman_nemenyi,
    holm,
    jain_ci,
    mde,
    noise_floor,
    order_abba,
    rank_sum_p,
    rank_vendors,
    ratio_paired,
    ratio_welch,
    welch,
)

FULL = 10_000


def sizes(thin=300, full=FULL):
    return pytest.mark.parametrize("sets", [thin, pytest.param(full, marks=pytest.mark.statistics)])


def check(events, sets, low, high):
    rate = events / sets
    p = max(high, 0.01)
    slack = 0.0 if sets >= 2000 else 4 * math.sqrt(p * (1 - min(p, 0.99)) / sets) + 2 / sets
    assert low - slack <= rate <= high + slack, f"{rate:.4f}, promised {low} to {high}"


def outside(estimate, truth):
    return not estimate.ci.lo <= truth <= estimate.ci.hi


@sizes(150)
def test_rankings_keep_the_family_wise_error(sets):
    """Five equal vendors with unequal spread (1 to 5 %): any letter that differs is an error."""
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(sets):
        runs = {v: rng.lognormal(0, 0.01 * (i + 1), 10) for i, v in enumerate("abcde")}
        wrong += bool(rank_vendors(runs, Direction.HIGHER_IS_BETTER).different)
    check(wrong, sets, 0.0, 0.055)


@sizes(100)
def test_rank_intervals_hold_the_true_ranks_of_all_at_once(sets):
    rng, wrong = np.random.default_rng(2), 0
    levels = dict(zip("abcde", [0.0, 0.0, 0.03, 0.05, 0.12], strict=True))
    true = {"a": (1, 2), "b": (1, 2), "c": (3, 3), "d": (4, 4), "e": (5, 5)}
    for _ in range(sets):
        found = rank_vendors({v: rng.lognormal(m, 0.03, 8) for v, m in levels.items()}, Direction.LOWER_IS_BETTER)
        wrong += any(lo > true[v][0] or hi < true[v][1] for v, (lo, hi) in found.rank_intervals.items())
    check(wrong, sets, 0.0, 0.055)


@sizes()
@pytest.mark.parametrize("n", [5, 10, 30])
def test_equal_things_differ_in_one_of_twenty(n, sets):
    rng = np.random.default_rng(n)
    x, y = rng.lognormal(0, 0.02, (2, sets, n))
    check(sum(outside(ratio_paired(a, b), 1.0) for a, b in zip(x, y, strict=True)), sets, 0.045, 0.055)


@sizes()
def test_a_noise_floor_turns_chance_into_ties(sets):
    """CV 2 %, ten pairs, floor 2 %: significant and beyond the floor in at most 2.5 %."""
    rng = np.random.default_rng(3)
    x, y = rng.lognormal(0, 0.02, (2, sets, 10))
    found = [ratio_paired(a, b) for a, b in zip(x, y, strict=True)]
    check(sum(outside(e, 1.0) and abs(e.estimate - 1) > 0.02 for e in found), sets, 0.0, 0.025)


@sizes()
def test_a_measured_noise_floor_is_seldom_too_low(sets):
    """The floor bounds the half width of a comparison whose spread is the true one, in 95 % of testbeds."""
    rng = np.random.default_rng(4)
    true = math.expm1(2.2621571628 * 0.02 * math.sqrt(2) / math.sqrt(10))
    low = sum(noise_floor(pairs).floor < true for pairs in rng.lognormal(0, 0.02, (sets, 10, 2)))
    check(low, sets, 0.04, 0.06)


def run_in_order(order, rng, sets):
    """Scores of arms A and B without difference, measured in the given order under a drift of 5 % in all; CV 2 %."""
    y = np.exp(0.05 * np.arange(len(order)) / len(order) + rng.normal(0, 0.01, (sets, len(order))))
    places = np.array(list(order))
    return zip(y[:, places == "A"], y[:, places == "B"], strict=True)


@sizes(300)
@pytest.mark.parametrize(("order", "low", "high"), [
    ("".join(order_abba(10)), 0.0, 0.055), ("A" * 10 + "B" * 10, 0.9, 1.0), ("AB" * 10, 0.06, 0.6)],
    ids=["abba", "blocks", "abab"])
def test_abba_cancels_a_drift_that_blocks_take_for_a_difference(order, low, high, sets):
    rng = np.random.default_rng(5)
    check(sum(outside(ratio_paired(a, b), 1.0) for a, b in run_in_order(order, rng, sets)), sets, low, high)


@sizes()
def test_the_detectable_difference_is_detected_four_times_in_five(sets):
    rng, n = np.random.default_rng(6), 10
    logs = math.log1p(mde(0.02, n)) + rng.normal(0, 0.02, (sets, n))
    check(sum(outside(ratio_paired(np.exp(d), np.ones(n)), 1.0) for d in logs), sets, 0.78, 0.82)


@sizes()
def test_exact_rank_sum_keeps_its_error_with_ties(sets):
    rng = np.random.default_rng(7)
    x, y = rng.integers(0, 8, (2, sets, 8))
    check(sum(rank_sum_p(a, b) <= 0.05 for a, b in zip(x, y, strict=True)), sets, 0.0, 0.05)


@sizes(300)
@pytest.mark.parametrize(("name", "low", "high"), [("brunner munzel", 0.0, 0.07), ("welch", 0.0, 0.06),
                                                   ("rank sum", 0.07, 0.13)])
def test_with_unequal_spread_welch_and_brunner_munzel_hold_and_rank_sum_does_not(name, low, high, sets):
    """Standard deviations 1 and 3, 20 and 10 scores, equal means: a rank sum is no test of location here."""
    p = {"brunner munzel": lambda x, y: brunner_munzel(x, y).p, "welch": lambda x, y: welch(x, y).p,
         "rank sum": rank_sum_p}[name]
    rng = np.random.default_rng(8)
    wrong = sum(p(rng.normal(0, 1, 20), rng.normal(0, 3, 10)) <= 0.05 for _ in range(sets))
    check(wrong, sets, low, high)


@sizes()
def test_holm_keeps_the_family_and_bh_the_share(sets):
    rng = np.random.default_rng(9)
    any_wrong, share = 0, 0.0
    for p in rng.random((sets, 20)):
        p[:5] **= 6  # five true effects
        any_wrong += bool((holm(p)[5:] <= 0.05).any())
        called = bh(p) <= 0.05
        share += called[5:].sum() / max(1, called.sum())
    check(any_wrong, sets, 0.0, 0.05)
    check(share, sets, 0.0, 0.05)


@sizes(100)
def test_friedman_keeps_its_error(sets):
    rng = np.random.default_rng(10)
    check(sum(friedman_nemenyi(rng.normal(size=(12, 4))).p <= 0.05 for _ in range(sets)), sets, 0.03, 0.055)


@sizes(300)
def test_fairness_over_runs_is_covered(sets):
    """True index: what very many runs average to on the logit scale."""
    def runs(rng, count):
        return rng.uniform(0.6, 1.0, (count, 5))

    def logit(index):
        u = (index - 0.2) / 0.8
        return np.log(u / (1 - u))

    many = runs(np.random.default_rng(0), 400_000)
    truth = 0.2 + 0.8 / (1 + math.exp(-logit(many.sum(axis=1) ** 2 / (5 * (many**2).sum(axis=1))).mean()))
    rng = np.random.default_rng(11)
    check(sum(not outside(jain_ci(runs(rng, 10)), truth) for _ in range(sets)), sets, 0.925, 0.965)


@sizes(150)
@pytest.mark.parametrize(("phi", "high"), [(0.0, 0.06), (0.3, 0.065), (0.6, 0.075), (0.9, 0.125)])
def test_drift_on_batches_errs_little_where_minutes_would(phi, high, sets):
    """A steady soak of 480 minutes: how often Mann-Kendall and the interval of the slope see a drift."""
    rng, t = np.random.default_rng(int(10 * phi)), np.arange(480) * 60.0
    y = 100 + signal.lfilter([1.0], [1.0, -phi], rng.normal(size=(sets, 600)), axis=1)[:, 120:]
    found = [drift(row, t) for row in y]
    check(sum(d.p <= 0.05 for d in found), sets, 0.0, high)
    check(sum(outside(d.slope, 0.0) for d in found), sets, 0.0, high + 0.01)


@sizes(150)
def test_drift_of_one_percent_a_day_is_covered(sets):
    rng, t = np.random.default_rng(12), np.arange(1440) * 60.0
    rise = 1.0 / 86400
    y = 100 + rise * t + signal.lfilter([1.0], [1.0, -0.3], rng.normal(size=(sets, 1600)), axis=1)[:, 160:]
    check(sum(not outside(drift(row, t).slope, rise) for row in y), sets, 0.935, 0.975)


@sizes(300)
def test_unpaired_rates_hold_too(sets):
    rng = np.random.default_rng(13)
    wrong = sum(outside(ratio_welch(rng.lognormal(0, 0.02, 6), rng.lognormal(0, 0.06, 12)), 1.0) for _ in range(sets))
    check(wrong, sets, 0.035, 0.06)
