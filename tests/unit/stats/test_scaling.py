"""Fairness, limits, scalability, drift: shapes that are right, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats import amdahl_fit, drift, jain, jain_ci, qos_error, usl_fit

RNG = np.random.default_rng(4)
shares = st.lists(st.floats(0, 1e6), min_size=1, max_size=12).filter(lambda x: max(x) > 1e-3)


@given(shares, st.floats(1e-6, 1e6))
def test_jain_is_bounded_symmetric_and_without_unit(x, factor):
    index = jain(x)
    assert 1 / len(x) - 1e-12 <= index <= 1 + 1e-12
    assert jain(x[::-1]) == pytest.approx(index)
    assert jain(np.multiply(x, factor)) == pytest.approx(index)
    cv = np.std(x) / np.mean(x)
    assert index == pytest.approx(1 / (1 + cv**2), rel=1e-9)


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=8))
def test_shares_in_proportion_to_entitlement_are_fair(due):
    assert jain(np.multiply(due, 3.0), due) == pytest.approx(1.0)


def test_fairness_over_runs_has_an_interval_inside_its_bounds():
    runs = RNG.uniform(0.7, 1.0, (10, 4))
    found = jain_ci(runs)
    each = [jain(r) for r in runs]
    assert min(each) < found.estimate < max(each)
    assert 0.25 < found.ci.lo < found.estimate < found.ci.hi < 1
    assert (found.n, found.unit, found.direction) == (10, "1", "higher")
    fair = jain_ci(np.ones((8, 4)), resolution=0.001)
    assert fair.estimate == 1.0
    assert 0.99 < fair.ci.lo < fair.ci.hi <= 1.0


@pytest.mark.parametrize(("call", "says"), [
    (lambda: jain([-1.0, 1.0]), "at least 0"), (lambda: jain([0.0, 0.0]), "not all 0"),
    (lambda: jain([1.0, 2.0], [1.0]), "entitlement"), (lambda: jain([1.0, 2.0], [1.0, 0.0]), "entitlement"),
    (lambda: jain_ci([1.0, 2.0]), "runs by tenants"), (lambda: qos_error([1.0], 0.0), "limit"),
    (lambda: qos_error(np.ones((2, 2, 2)), 1.0), "shape"), (lambda: usl_fit([1, 2, 3], [1, 2, 3]), "more than 3"),
    (lambda: usl_fit([1, 1, 2, 2], [1, 1, 2, 2]), "different sizes"),
    (lambda: usl_fit([1, 2, 3, 4], [1, 2, 3]), "shapes"), (lambda: amdahl_fit([1, 2, 0], [1, 2, 3]), "above zero"),
    (lambda: drift(np.ones(10), np.arange(10)), "at least 48"),
    (lambda: drift(np.ones(60), np.ones(60)), "increasing")])
def test_nonsense_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_a_limit_that_is_held():
    found = qos_error(100 + RNG.normal(0, 1, (6, 400)), 100)
    assert found.within.shown
    assert found.mean.n == 6
    assert found.mean.n_by_level == {"run": 6, "window": 400}
    assert found.settling_s == (0.0,) * 6
    assert found.p99 <= found.p99_upper <= found.overshoot < 0.06


def test_a_limit_that_is_overshot_and_settles():
    y = np.full(400, 100.0) + RNG.normal(0, 0.5, 400)
    y[:20] = 150.0
    found = qos_error(np.array([y, y, y]), 100, dt_s=0.5)
    assert found.settling_s == pytest.approx((10.0,) * 3, abs=2.0)
    assert found.overshoot == pytest.approx(0.5)
    assert not found.within.shown or found.mean.ci.hi < 0.05
    never = qos_error(np.full(50, 120.0), 100)
    assert never.settling_s == (math.inf,)
    assert math.isinf(never.p99_upper)  # fifty windows cannot bound a 99th percentile
    assert math.isinf(never.mean.ci.hi)  # one run has no interval


@given(st.floats(0.001, 0.3), st.floats(1e-5, 1e-2), st.floats(0.1, 1e6))
@settings(max_examples=30, deadline=None)
def test_usl_recovers_its_own_law_in_any_unit(alpha, beta, gamma):
    n = np.array([1, 2, 4, 8, 16, 24, 32.0])
    x = gamma * n / (1 + alpha * (n - 1) + beta * n * (n - 1))
    found = usl_fit(n, x)
    assert (found.alpha, found.beta) == pytest.approx((alpha, beta), rel=1e-4, abs=1e-7)
    assert found.gamma == pytest.approx(gamma, rel=1e-5)
    assert found.peak_n == pytest.approx(math.sqrt((1 - alpha) / beta), rel=1e-3)
    assert found.limit == pytest.approx(gamma / alpha, rel=1e-3)
    assert found.predict(n) == pytest.approx(x, rel=1e-6)
    assert any(w.startswith("extrapolated") for w in found.warnings) == (found.peak_n > 64)


def test_standard_errors_are_those_of_least_squares():
    n = np.repeat([1, 2, 4, 8, 16, 32.0], 3)
    x = 20 * n / (1 + 0.03 * (n - 1) + 0.001 * n * (n - 1)) * np.exp(RNG.normal(0, 0.02, n.size))
    found = usl_fit(n, x)
    law = lambda a, b, g: g * n / (1 + a * (n - 1) + b * n * (n - 1))  # noqa: E731
    at = np.array([found.alpha, found.beta, found.gamma])
    steps = np.diag(1e-6 * np.maximum(at, 1e-6))
    jacobian = np.column_stack([(law(*(at + h)) - law(*(at - h))) / (2 * h.max()) for h in steps])
    cov = np.linalg.inv(jacobian.T @ jacobian) * ((x - law(*at)) ** 2).sum() / (n.size - 3)
    assert [found.se[k] for k in ("alpha", "beta", "gamma")] == pytest.approx(np.sqrt(np.diag(cov)), rel=1e-3)
    assert found.dof == 15
    assert found.ci["alpha"].lo < 0.03 < found.ci["alpha"].hi


def test_amdahl_is_usl_without_coherency_and_linear_growth_has_no_contention():
    n = np.array([1, 2, 4, 8, 16, 32.0])
    found = amdahl_fit(n, 5 * n / (1 + 0.1 * (n - 1)))
    assert (found.alpha, found.gamma, found.beta) == pytest.approx((0.1, 5.0, 0.0))
    assert found.limit == pytest.approx(50.0)
    linear = usl_fit(n, 3 * n)
    assert set(linear.bounded) == {"alpha", "beta"}
    assert (linear.limit, linear.peak_n, linear.gamma) == (math.inf, math.inf, pytest.approx(3.0))
    assert any("6" in w for w in usl_fit(n[:5], 3 * n[:5] / (1 + 0.1 * n[:5])).warnings)


def test_drift_of_a_ramp_and_of_a_plateau():
    t = np.arange(600) * 60.0
    rising = drift(100 + 1e-4 * t + RNG.normal(0, 0.5, 600), t, unit="B")
    assert rising.slope.ci.lo < 1e-4 < rising.slope.ci.hi
    assert (rising.slope.unit, rising.total.unit, rising.share.unit) == ("B/s", "B", "1")
    assert rising.total.estimate == pytest.approx(rising.slope.estimate * 599 * 60)
    assert rising.p < 0.001
    assert rising.steps_s == ()
    assert rising.quarters.ci.lo > 0
    flat = drift(100 + RNG.normal(0, 0.5, 600), t)
    assert flat.share.ci.lo < 0 < flat.share.ci.hi
    assert abs(flat.share.estimate) < 0.01
    assert flat.share.n == 1
    assert flat.share.n_by_level == {"run": 1, "batch": 12}


def test_drift_finds_a_step_and_its_time():
    t = np.arange(480) * 60.0
    y = 100 + RNG.normal(0, 0.2, 480)
    y[240:] += 5
    found = drift(y, t)
    assert found.steps_s == (240 * 60.0,)
    assert drift(y - y.mean(), t).slope.estimate == pytest.approx(found.slope.estimate)
    assert drift(np.zeros(60), np.arange(60.0)).share is None
