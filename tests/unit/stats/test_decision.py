"""Verdicts: zones, guard band, preconditions, doubts, planned looks, and what is refused outright."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats.decision import decide, guard_band, look_confidence, zone
from harness.stats.power import _least
from harness.stats.rare import proportion_ci, tolerance_bound
from harness.stats.records import (
    Budget,
    Check,
    Direction,
    Estimate,
    Interval,
    Requirement,
    Scale,
    StatsPolicy,
    Verdict,
)
from harness.stats.scores import gm_ci, mean_ci, median_ci
from harness.stats.series import series_mean_ci

PASS, FAIL, OPEN, INVALID = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.INVALID
T975_9 = 2.2621571627409915


def estimate(value=100.0, half=2.0, n=10, **fields):
    """An estimate with a symmetric t interval of n runs."""
    u = half / T975_9
    made = {"unit": "ms", "method": "t interval", "estimand": "arithmetic mean",
            "budget": Budget(u, (), u, T975_9, half, 9.0)}
    return Estimate(estimate=value, ci=Interval(value - half, value + half, 0.95), n=n, **{**made, **fields})


def limit(op, value, hi=None, unit="ms", **fields):
    return Requirement(indicator_id="", op=op, limit=value, limit_hi=hi, unit=unit, source="test", **fields)


def verdict(est, req, **how):
    return decide(est, req, **how).verdict


# --- zones -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("op", "value", "hi", "expected"), [
    (">=", 98.0, None, PASS), (">", 98.0, None, OPEN), (">=", 102.0, None, OPEN), (">", 102.0, None, FAIL),
    (">=", 102.1, None, FAIL), (">=", 100.0, None, OPEN), (">", 97.9, None, PASS),
    ("<=", 102.0, None, PASS), ("<", 102.0, None, OPEN), ("<=", 98.0, None, OPEN), ("<", 98.0, None, FAIL),
    ("<=", 97.9, None, FAIL), ("<", 102.1, None, PASS),
    ("between", 98.0, 102.0, PASS), ("between", 98.1, 110.0, OPEN), ("between", 90.0, 101.9, OPEN),
    ("between", 102.1, 110.0, FAIL), ("between", 50.0, 97.9, FAIL), ("between", 99.0, 101.0, OPEN)])
def test_the_whole_interval_must_lie_on_one_side(op, value, hi, expected):
    assert verdict(estimate(), limit(op, value, hi)) is expected


@given(st.floats(-1e3, 1e3), st.floats(0.01, 100), st.floats(-1e3, 1e3))
def test_upwards_and_downwards_mirror_each_other(value, half, at):
    for op, mirrored in ((">=", "<="), (">", "<")):
        up = zone(Interval(value - half, value + half, 0.95), limit(op, at))
        down = zone(Interval(-value - half, -value + half, 0.95), limit(mirrored, -at))
        assert up is down


@given(st.floats(1, 1e3), st.floats(0.01, 100), st.floats(1, 1e3), st.floats(0, 100))
def test_an_easier_limit_is_never_a_worse_verdict(value, half, at, easier):
    order = {FAIL: 0, OPEN: 1, PASS: 2}
    ci = Interval(value - half, value + half, 0.95)
    assert order[zone(ci, limit(">=", at - easier))] >= order[zone(ci, limit(">=", at))]
    assert order[zone(ci, limit("<=", at + easier))] >= order[zone(ci, limit("<=", at))]


@given(st.lists(st.floats(50, 150), min_size=5, max_size=20), st.floats(60, 140),
       st.sampled_from([">=", ">", "<=", "<"]))
def test_the_unit_does_not_decide(x, at, op):
    small = decide(gm_ci(x, unit="s"), limit(op, at, unit="s"))
    large = decide(gm_ci([v * 1000 for v in x], unit="ms"), limit(op, at * 1000))
    near = min(abs(end / at - 1) for end in (small.estimate.ci.lo, small.estimate.ci.hi))
    assert small.verdict is large.verdict or near < 1e-9
    assert large.margin == pytest.approx(small.margin * 1000, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("op", [">=", "<=", "between"])
def test_an_infinite_interval_decides_nothing(op):
    est = dataclasses.replace(estimate(), ci=Interval(-math.inf, math.inf, 0.95))
    found = decide(est, limit(op, 100.0, 110.0 if op == "between" else None))
    assert (found.verdict, found.p_pass_power, found.n_needed) == (OPEN, None, None)


def test_a_half_open_interval_can_still_fail_and_pass():
    est = dataclasses.replace(estimate(), ci=Interval(98.0, math.inf, 0.95))
    assert verdict(est, limit("<=", 90.0)) is FAIL
    assert verdict(est, limit(">=", 90.0)) is PASS
    assert verdict(est, limit("<=", 1000.0)) is OPEN


# --- guard band ------------------------------------------------------------------------------------------------------

def test_systematic_uncertainty_widens_before_the_comparison():
    u = 2.0 / T975_9
    est = estimate(budget=Budget(u, (("clock", 0.3), ("bins", 0.4)), math.hypot(u, 0.5), 2.0, 3.0, 9.0))
    assert guard_band(est) == pytest.approx(1.0)
    assert verdict(est, limit("<=", 103.0)) is PASS
    assert verdict(est, limit("<=", 102.9)) is OPEN
    assert verdict(est, limit("<=", 97.0)) is OPEN
    assert verdict(est, limit("<=", 96.9)) is FAIL
    assert "widened by 1 ms" in decide(est, limit("<=", 103.0)).reasons[0]


def test_a_budget_without_coverage_factor_uses_two():
    est = estimate(budget=Budget(math.inf, (("clock", 0.5),), math.inf, math.inf, math.inf, 0.0))
    assert guard_band(est) == 1.0


# --- preconditions ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("est", "req", "word"), [
    (estimate(n=4), limit("<=", 200.0), "replicates"),
    (estimate(n=5, estimand="median"), limit("<=", 200.0), "replicates"),
    (estimate(resolution=21.0), limit("<=", 200.0), "resolution"),
    (estimate(resolution=3.0), limit("between", 90.0, 110.0), "resolution"),
    (estimate(direction=Direction.LOWER_IS_BETTER), limit(">=", 50.0), "direction"),
    (estimate(direction=Direction.HIGHER_IS_BETTER), limit("<", 200.0), "direction"),
    (estimate(assumptions=(Check("steady", False, 0.3, 0.2, "range"),)), limit("<=", 200.0), "steady"),
    (estimate(assumptions=(Check("not censored", False),)), limit("<=", 10.0), "not censored")])
def test_a_violated_precondition_makes_even_a_clear_answer_invalid(est, req, word):
    found = decide(est, req)
    assert found.verdict is INVALID
    assert len(found.reasons) == 1
    assert found.reasons[0].startswith(f"{word} violated")


@pytest.mark.parametrize(("est", "req"), [
    (estimate(n=5), limit("<=", 200.0)), (estimate(n=6, estimand="median"), limit("<=", 200.0)),
    (estimate(resolution=20.0), limit("<=", 200.0)), (estimate(resolution=2.0), limit("between", 90.0, 110.0)),
    (estimate(resolution=9.0), limit(">=", 0.0)), (estimate(direction=Direction.LOWER_IS_BETTER), limit("<", 200.0)),
    (estimate(direction=Direction.HIGHER_IS_BETTER), limit("between", 50.0, 200.0))])
def test_preconditions_that_hold_do_not_disturb(est, req):
    assert verdict(est, req) is PASS


def test_what_could_not_be_judged_takes_the_verdict_away():
    doubt = (Check("steady", None, note="30 s after the ramp; needed are 5 rounds of 60 s"),)
    for at in (200.0, 50.0):
        found = decide(estimate(assumptions=doubt), limit("<=", at))
        assert found.verdict is OPEN
        assert found.reasons[0] == "steady could not be judged: 30 s after the ramp; needed are 5 rounds of 60 s"
        assert "the 95 % interval" in found.reasons[1]


@pytest.mark.parametrize(("check", "n", "expected"), [
    (Check("unimodal", None, note="below n = 10"), 5, PASS), (Check("no outliers", False, 1, 0), 10, PASS),
    (Check("unimodal", False, 0.7, 0.5), 10, OPEN), (Check("unimodal", False, 0.7, 0.5), 15, PASS),
    (Check("not skewed", None), 5, PASS), (Check("not skewed", False, 3.0, 1.0), 10, OPEN)])
def test_the_shape_of_scores_never_invalidates(check, n, expected):
    assert verdict(estimate(n=n, assumptions=(check,)), limit("<=", 200.0)) is expected


def test_one_run_is_no_sample_however_long_it_was():
    est = series_mean_ci(np.random.default_rng(1).normal(100, 1, 500), 1.0, unit="ms")
    assert verdict(est, limit("<=", 200.0)) is INVALID


def test_exact_intervals_and_drifts_need_no_minimum():
    assert verdict(estimate(n=1, method="Theil-Sen on 12 batch means"), limit("<=", 200.0)) is PASS
    assert verdict(proportion_ci(0, 3), limit("<=", 0.9, unit="1")) is PASS
    assert verdict(proportion_ci(0, 3), limit("<=", 0.5, unit="1")) is OPEN


def test_a_one_sided_bound_says_so():
    est = tolerance_bound(np.linspace(1, 9, 59), 0.95).estimate
    found = decide(est, limit("<=", 10.0, unit="s"))
    assert found.verdict is PASS
    assert found.reasons[-1] == "each end is a one-sided bound at 95 %"


# --- second opinion --------------------------------------------------------------------------------------------------

def test_a_second_method_that_says_the_opposite_leaves_it_open():
    opposite = dataclasses.replace(estimate(200.0), method="Hodges-Lehmann")
    found = decide(estimate(sensitivity=opposite), limit("<=", 150.0))
    assert found.verdict is OPEN
    assert found.reasons[0].startswith("method_sensitive: Hodges-Lehmann gives the opposite verdict with [198, 202] ms")


@pytest.mark.parametrize("second", [100.0, 150.0])
def test_a_second_method_that_agrees_or_hesitates_does_not(second):
    est = estimate(sensitivity=dataclasses.replace(estimate(second), method="Hodges-Lehmann"))
    assert verdict(est, limit("<=", 150.0)) is PASS


# --- looks -----------------------------------------------------------------------------------------------------------

def test_three_planned_looks_split_the_error():
    assert look_confidence(1) == pytest.approx(0.95)
    assert look_confidence(3) == pytest.approx(1 - 0.05 / 3)
    from scipy import stats

    wide = stats.t.ppf(1 - 0.05 / 6, 9) * 2.0 / T975_9
    just = limit("<=", 100 + wide * 1.0001)
    assert verdict(estimate(), limit("<=", 100 + wide * 0.999)) is PASS
    assert verdict(estimate(), limit("<=", 100 + wide * 0.999), look=2, looks=3) is OPEN
    assert verdict(estimate(), just, look=2, looks=3) is PASS


def test_an_estimate_made_for_the_look_is_taken_as_it_is():
    x = np.exp(np.random.default_rng(2).normal(0, 0.02, 10)) * 100
    made = gm_ci(x, unit="ms", confidence=look_confidence(3))
    widened = decide(gm_ci(x, unit="ms"), limit("<=", 500.0), look=1, looks=3)
    assert decide(made, limit("<=", made.ci.hi * 1.0001), look=1, looks=3).verdict is PASS
    assert decide(made, limit("<=", made.ci.hi * 0.9999), look=1, looks=3).verdict is OPEN
    assert f"[{made.ci.lo:.4g}, {made.ci.hi:.4g}]" in widened.reasons[0]
    assert "98.3 %" in widened.reasons[0]


def test_an_interval_that_cannot_be_widened_is_not_used_for_several_looks():
    est = median_ci(np.arange(10.0, 30.0), unit="ms")
    assert verdict(est, limit("<=", 100.0)) is PASS
    found = decide(est, limit("<=", 100.0), looks=2)
    assert found.verdict is OPEN
    assert "compute it at that confidence" in found.reasons[0]


@pytest.mark.parametrize("how", [{"look": 2}, {"look": 0}, {"looks": 4}, {"look": 4, "looks": 3}])
def test_more_looks_than_planned_are_refused(how):
    with pytest.raises(ValueError, match="planned beforehand"):
        decide(estimate(), limit("<=", 200.0), **how)


def test_the_policy_says_how_many_looks():
    assert verdict(estimate(), limit("<=", 200.0), look=4, looks=5, policy=StatsPolicy(looks=5)) is PASS


# --- outlook ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("op", "at", "hi", "margin"), [
    (">=", 90.0, None, 10.0), ("<=", 90.0, None, -10.0), ("between", 95.0, 120.0, 5.0),
    ("between", 110.0, 120.0, -10.0)])
def test_the_margin_is_the_distance_to_the_nearest_limit(op, at, hi, margin):
    assert decide(estimate(), limit(op, at, hi)).margin == pytest.approx(margin)


@pytest.mark.parametrize(("n", "cv", "margin", "power"), [
    (10, 0.02, 0.02, 0.81), (10, 0.05, 0.05, 0.82), (3, 0.05, 0.05, 0.18)])
def test_the_power_is_that_of_the_page(n, cv, margin, power):
    """Scores made to have exactly this spread: log sd = cv, limit so that the true margin is as named."""
    z = np.arange(n) - (n - 1) / 2
    x = np.exp(cv * z / z.std(ddof=1))
    found = decide(gm_ci(x, unit="ms"), limit(">=", math.exp(-margin)), policy=StatsPolicy(n_min=3))
    assert found.p_pass_power == pytest.approx(power, abs=0.02)


def test_the_runs_needed_are_enough_and_not_too_many():
    x = np.exp(np.random.default_rng(3).normal(0, 0.05, 10)) * 100
    found = decide(gm_ci(x, unit="ms"), limit(">=", gm_ci(x).estimate * 0.98))
    assert found.verdict is OPEN
    sd = gm_ci(x).dispersion
    from scipy import stats

    def power(n):
        ncp = -math.log(0.98) / (sd / math.sqrt(n))
        return 1 - stats.nct.cdf(stats.t.ppf(0.975, n - 1), n - 1, ncp)

    assert power(found.n_needed) >= 0.8 > power(found.n_needed - 1)
    assert any(f"takes {found.n_needed} runs" in reason for reason in found.reasons)


def test_an_inconclusive_verdict_says_what_it_would_take():
    x = np.exp(np.random.default_rng(4).normal(0, 0.05, 10)) * 100
    reasons = decide(gm_ci(x, unit="ms"), limit(">=", gm_ci(x).estimate * 0.99)).reasons
    assert "reaches across the limit" in reasons[0]
    assert "with 80 % power" in reasons[1]
    on_it = decide(estimate(100.0), limit(">=", 100.0))
    assert on_it.n_needed is None
    assert any("no number of runs" in reason for reason in on_it.reasons)


def test_a_limit_that_logarithms_cannot_reach_is_still_decided():
    est = gm_ci([100.0, 101, 99, 102, 98], unit="ms")
    assert est.scale is Scale.LOG
    assert verdict(est, limit(">=", 0.0)) is PASS
    assert verdict(est, limit("<=", -1.0)) is FAIL


def test_the_same_input_gives_the_same_decision():
    x = np.random.default_rng(5).normal(100, 3, 10)
    assert decide(mean_ci(x, unit="ms"), limit("<=", 101.0)) == decide(mean_ci(x, unit="ms"), limit("<=", 101.0))


# --- refusals --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("est", "req", "message"), [
    (estimate(unit="s"), limit("<=", 1.0), "in 's', the limit in 'ms'"),
    (estimate(indicator_id="CPU-01"), dataclasses.replace(limit("<=", 1.0), indicator_id="CPU-02"), "CPU-02"),
    (estimate(), limit("=", 1.0), "allowed are >=, >, <=, <, between"),
    (estimate(), limit("between", 1.0), "`between` needs two limits"),
    (estimate(), limit("<=", 1.0, 2.0), "'<=' has 2"),
    (estimate(), limit("between", 2.0, 1.0), "wrong order"),
    (estimate(), limit("<=", math.nan), "NaN"),
    (estimate(math.nan), limit("<=", 1.0), "NaN"),
    (dataclasses.replace(estimate(), ci=Interval(2.0, 1.0, 0.95)), limit("<=", 1.0), "wrong order")])
def test_nonsense_is_refused(est, req, message):
    with pytest.raises(ValueError, match=message):
        decide(est, req)


@pytest.mark.parametrize("n", [26, 28, 102, 106, 128])
def test_a_limit_far_away_does_not_change_the_chance_of_the_near_one(n):
    """scipy's noncentral t is NaN at some far places; the chance of PASS once read 0 for it."""
    x = np.exp(np.random.default_rng(1).normal(0, 0.01, n))
    est = gm_ci(x)
    near, both = (decide(est, Requirement(indicator_id="", op=op, limit=0.995, limit_hi=hi, unit="1", source="test"))
                  for op, hi in ((">=", None), ("between", 1e9)))
    assert both.p_pass_power == pytest.approx(near.p_pass_power, rel=1e-9)


@given(st.integers(2, 400), st.floats(0.02, 60))
def test_the_runs_needed_are_the_least_that_are_enough(true, near):
    assert _least(lambda n: n >= true, near) == true
    assert _least(lambda n: False, near) is None
