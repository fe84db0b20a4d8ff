"""Ratios, overheads and equivalence: closed forms, unbounded denominators, margins."""

import math

import numpy as np
import pytest
from scipy import stats

from harness.stats import (
    Interval,
    Scale,
    equivalence,
    mean_ci,
    median_ci,
    order_abba,
    overhead,
    plan_repetitions,
    ratio_fieller,
    ratio_paired,
    ratio_welch,
    welch,
)
from harness.stats.repetition import mde

RNG = np.random.default_rng(11)
X, Y = RNG.lognormal(0, 0.05, 12), RNG.lognormal(0.1, 0.1, 9)


def test_paired_ratio_is_students_interval_on_logs():
    y = RNG.lognormal(0.1, 0.05, 12)
    oracle = stats.ttest_rel(np.log(X), np.log(y)).confidence_interval()
    found = ratio_paired(X, y)
    assert (found.ci.lo, found.ci.hi) == pytest.approx((math.exp(oracle.low), math.exp(oracle.high)), rel=1e-12)
    assert found.estimate == pytest.approx(stats.gmean(X) / stats.gmean(y), rel=1e-12)


def test_welch_ratio_is_welchs_interval_on_logs():
    oracle = stats.ttest_ind(np.log(X), np.log(Y), equal_var=False)
    interval = oracle.confidence_interval()
    found = ratio_welch(X, Y)
    assert (found.ci.lo, found.ci.hi) == pytest.approx((math.exp(interval.low), math.exp(interval.high)), rel=1e-12)
    test = welch(X, Y, scale=Scale.LOG)
    assert (test.p, test.dof) == pytest.approx((oracle.pvalue, oracle.df), rel=1e-12)
    assert found.n == 9
    assert found.n_by_level == {"x": 12, "y": 9}


def test_ignoring_pairs_under_a_common_drift_costs_width():
    drift = np.exp(RNG.normal(0, 0.2, 12))
    x, y = X * drift, RNG.lognormal(0.1, 0.05, 12) * drift
    paired, loose = ratio_paired(x, y).ci, ratio_welch(x, y).ci
    assert math.log(loose.hi / loose.lo) > 2 * math.log(paired.hi / paired.lo)


def test_fieller_solves_its_equation():
    """Each end r of the interval makes mean(x) - r mean(y) exactly t standard errors from zero."""
    found = ratio_fieller(X, Y)
    v_x, v_y = X.var(ddof=1) / 12, Y.var(ddof=1) / 9
    r = X.mean() / Y.mean()
    dof = (v_x + r**2 * v_y) ** 2 / (v_x**2 / 11 + (r**2 * v_y) ** 2 / 8)
    t = stats.t.ppf(0.975, dof)
    for end in (found.ci.lo, found.ci.hi):
        assert abs(X.mean() - end * Y.mean()) / math.sqrt(v_x + end**2 * v_y) == pytest.approx(t, rel=1e-9)


def test_fieller_has_no_bound_where_the_denominator_may_be_zero():
    found = ratio_fieller([1.0, 1.1, 1.2], [0.1, 5.0, 0.2])
    assert (found.ci.lo, found.ci.hi) == (-math.inf, math.inf)
    assert any(w.startswith("unbounded") for w in found.warnings)


@pytest.mark.parametrize("f", [ratio_paired, ratio_welch, ratio_fieller])
def test_resolution_of_a_ratio_follows_from_that_of_its_readings(f):
    found = f(X * 100, RNG.lognormal(0.1, 0.05, 12) * 100, unit="s", resolution=1.0)
    u = dict(found.budget.u_b)["resolution"]
    assert found.unit == "1"
    assert u == pytest.approx(found.resolution / math.sqrt(12))
    assert 0.003 < u < 0.005  # about sqrt(2) * 1 % / sqrt(12)


@pytest.mark.parametrize(("lo", "hi", "delta", "shown"), [
    (-0.01, 0.015, 0.02, True), (-0.01, 0.02, 0.02, False), (-0.03, 0.0, 0.02, False), (0.005, 0.01, 0.02, True)])
def test_equivalence_is_the_whole_interval_inside(lo, hi, delta, shown):
    found = equivalence(Interval(lo, hi, 0.95), delta)
    assert found.shown is bool(found) is shown


def test_equivalence_of_ratios_is_around_one_and_of_overheads_around_zero():
    y = X * np.exp(RNG.normal(0, 0.002, 12))
    ratio, cost = equivalence(ratio_paired(X, y), 0.02), equivalence(overhead(X, y, "higher"), 0.02)
    assert (ratio.shown, ratio.lo, ratio.hi) == (True, 0.98, 1.02)
    assert (cost.shown, cost.lo, cost.hi) == (True, -0.02, 0.02)
    assert ratio.p < 0.025
    assert cost.p < 0.025
    assert not equivalence(ratio_paired(X, y * 1.05), 0.02).shown


def test_equivalence_says_no_more_than_it_knows():
    assert equivalence(median_ci(X - 1), 0.5).p is None
    assert equivalence(mean_ci([1.0]), 0.5).p is None
    assert not equivalence(mean_ci([1.0]), 0.5).shown
    for bad in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="delta"):
            equivalence(mean_ci(X), bad)
    with pytest.raises(ValueError, match="below 1"):
        equivalence(ratio_paired(X, X), 1.0)


def test_no_significance_is_not_equality():
    a, b = [10.0, 14.0, 9.0], [11.0, 10.0, 13.0]
    assert welch(a, b).p > 0.5
    assert not equivalence(ratio_welch(a, b), 0.02).shown


@pytest.mark.parametrize(("rounds", "order"), [(0, ""), (1, "AB"), (2, "ABBA"), (3, "ABBAAB"), (4, "ABBAABBA")])
def test_abba(rounds, order):
    assert "".join(order_abba(rounds)) == order


def test_a_linear_drift_cancels_over_two_rounds():
    order = order_abba(6, ("X", "Y", "Z"))
    place = {arm: sum(i for i, a in enumerate(order) if a == arm) for arm in "XYZ"}
    assert len(set(place.values())) == 1


@pytest.mark.parametrize(("call", "says"), [
    (lambda: plan_repetitions([1.0, 2.0], 0.0), "eps_rel"), (lambda: plan_repetitions([1.0], 0.02), "at least 2"),
    (lambda: plan_repetitions([-1.0, 1.0], 0.02), "mean is zero"), (lambda: mde(-0.1, 5), "cv"),
    (lambda: mde(0.1, 5, power=1.5), "power"), (lambda: order_abba(-1), "rounds"),
    (lambda: welch([1.0], [1.0, 2.0]), "at least 2 and 2")])
def test_nonsense_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_a_bimodal_pilot_asks_for_fifteen():
    pilot = [10.0, 10.01, 10.02, 10.03, 10.0, 10.01, 10.02, 10.0, 10.3, 10.31]
    found = plan_repetitions(pilot, 0.05)
    assert (found.n, found.basis) == (15, "bimodal")
    assert any(w.startswith("bimodal") for w in found.warnings)


def test_the_plan_meets_its_precision_and_says_what_it_detects():
    pilot = RNG.normal(10, 0.5, 10)
    found = plan_repetitions(pilot, 0.02)
    assert found.basis == "precision"
    assert found.half_width <= 0.02
    assert found.mde80 == pytest.approx(mde(pilot.std(ddof=1) / pilot.mean(), found.n))
    logs = plan_repetitions(pilot, 0.02, scale=Scale.LOG)
    assert abs(logs.n - found.n) <= 2
    assert mde(0.0, 5) == 0.0
    assert math.isinf(mde(0.1, 1))
