"""Few failures, outages seen by probes, and tolerance limits: published values, properties, and what is refused."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats.rare import (
    availability,
    exponential_bound,
    outage_from_probes,
    poisson_limits,
    proportion_ci,
    rate_ci,
    tolerance_bound,
)
from harness.stats.tolerance import events_needed, normal_factor, order_ranks

PUBLISHED = json.loads((Path(__file__).parents[3] / "tests/data/statistics/rare.json").read_text())
MS = 1_000_000


def rows(name):
    return pytest.mark.parametrize("row", PUBLISHED[name]["rows"], ids=str)


def ends(row):
    return {k: row[k] for k in ("lo", "hi") if k in row}


def close(found, row, rel=1e-9):
    assert {k: getattr(found.ci, k) for k in ends(row)} == pytest.approx(ends(row), rel=rel)


# --- proportions and rates --------------------------------------------------------------------------------------------

@rows("clopper_pearson")
def test_proportions_as_published(row):
    found = proportion_ci(row["k"], row["n"], row["sided"])
    close(found, row)
    assert (found.estimate, found.n, found.ci.sided) == (row["k"] / row["n"], row["n"], row["sided"])


@rows("poisson")
def test_rates_as_published(row):
    close(rate_ci(row["k"], 1000), row)


@rows("faultless_trials")
def test_trials_without_a_fault_that_show_a_share(row):
    assert 1 - proportion_ci(0, row["n"], 1).ci.hi >= row["p"] > 1 - proportion_ci(0, row["n"] - 1, 1).ci.hi


def test_a_clean_soak_shows_a_day_between_failures_and_says_nothing_more():
    row = PUBLISHED["soak"]
    found = rate_ci(0, row["hours"] * 3600.0, 1)
    assert 1 / found.ci.hi / 3600 == pytest.approx(row["mtbf_h"], abs=0.005)
    assert found.ci.hi * row["hours"] * 3600 == pytest.approx(row["factor"], rel=1e-12)
    assert found.warnings[0].startswith("none_seen")
    assert "one-sided" in found.warnings[0]
    assert "two-sided" in rate_ci(0, 10.0).warnings[0]


@given(st.integers(0, 60), st.integers(1, 60))
def test_failures_mirror_successes(k, n):
    k = min(k, n)
    fail, work = proportion_ci(k, n).ci, proportion_ci(n - k, n).ci
    assert (fail.lo, fail.hi) == pytest.approx((1 - work.hi, 1 - work.lo), abs=1e-12)
    assert fail.lo <= k / n <= fail.hi


@given(st.integers(0, 200), st.floats(1e-3, 1e9))
def test_a_rate_scales_with_its_exposure(k, exposure):
    one, thousand = rate_ci(k, exposure), rate_ci(k, exposure * 1000)
    assert (one.ci.lo, one.ci.hi) == pytest.approx((thousand.ci.lo * 1000, thousand.ci.hi * 1000), rel=1e-12)
    assert one.ci.lo <= one.estimate <= one.ci.hi


@pytest.mark.parametrize("call", [
    lambda: proportion_ci(3, 2), lambda: proportion_ci(0, 0), lambda: proportion_ci(-1, 5),
    lambda: proportion_ci(1, 5, 3), lambda: proportion_ci(1.5, 5), lambda: rate_ci(-1, 5), lambda: rate_ci(1, 0),
    lambda: rate_ci(1, math.inf), lambda: rate_ci(1, math.nan), lambda: rate_ci("1", 5)])
def test_impossible_counts_are_refused(call):
    with pytest.raises(ValueError, match=r"needed|allowed|whole"):
        call()


# --- availability -----------------------------------------------------------------------------------------------------

def test_availability_is_the_product_of_two_bounds():
    downs, up = [30.0, 40.0, 35.0, 80.0, 20.0], 1e6
    found = availability(up, downs, 5)
    mean, half = np.mean(downs), 2.776445105 * np.std(downs, ddof=1) / math.sqrt(5)
    low, high = (limit / up for limit in poisson_limits(5, 0.025))
    assert found.estimate == up / (up + sum(downs))
    assert found.ci.lo == pytest.approx(1 / (1 + high * (mean + half)), rel=1e-9)
    assert found.ci.hi == pytest.approx(1 / (1 + low * (mean - half)), rel=1e-9)


def test_without_failures_the_restoration_limit_carries_the_bound():
    found = availability(72 * 3600.0, [], 0, rto_s=60.0, sided=1)
    assert found.ci.lo == pytest.approx(1 / (1 + 2.995732273553991 / (72 * 3600) * 60), rel=1e-12)
    assert (found.estimate, found.ci.hi, found.ci.sided) == (1.0, 1.0, 1)
    unknown = availability(72 * 3600.0, 0.0, 0)
    assert unknown.ci.lo == 0.0
    assert any(w.startswith("unbounded") for w in unknown.warnings)


def test_a_sum_of_down_times_is_taken_for_exponential_and_says_so():
    found = availability(1e6, 205.0, 5)
    assert "exponential" in found.method
    # Two separate bounds can only be wider than the joint one of the exponential model.
    assert found.ci.lo < exponential_bound(1e6, 205.0, 5, 0.975) < found.estimate < found.ci.hi


def test_a_failure_without_end_leaves_no_lower_bound():
    found = availability(1e6, [5.0, math.inf], 2)
    assert (found.estimate, found.ci.lo) == (0.0, 0.0)


def test_few_restorations_leave_the_check_open():
    assert [c.passed for c in availability(1e6, [5.0, 6.0], 2).assumptions] == [None]
    assert [c.passed for c in availability(1e6, [5.0] * 6, 6).assumptions] == [True]


@pytest.mark.parametrize("call", [
    lambda: availability(0, [], 0), lambda: availability(10, [1.0], 2), lambda: availability(10, [-1.0], 1),
    lambda: availability(10, 5.0, 0), lambda: availability(10, [], -1), lambda: availability(10, [math.nan], 1),
    lambda: exponential_bound(10, 0, 0)])
def test_impossible_availability_is_refused(call):
    with pytest.raises(ValueError, match="availability"):
        call()


# --- outages ----------------------------------------------------------------------------------------------------------

def probes(*pattern):
    return np.array([c == "1" for c in "".join(pattern)])


def test_k_losses_last_k_spacings_within_one_either_way():
    sent = np.arange(20) * 10 * MS
    (found,) = outage_from_probes(sent, probes("1" * 8, "0" * 5, "1" * 7), 10 * MS)
    assert (found.k, found.est_s, found.lo_s, found.hi_s) == (5, 0.05, 0.04, 0.06)
    assert found.u_s == pytest.approx(0.01 / math.sqrt(6))
    assert found.start_s == pytest.approx(0.075)
    assert not found.censored


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 10**10))
def test_every_loss_belongs_to_one_outage(ok, d):
    found = outage_from_probes(np.arange(len(ok), dtype=np.int64) * d, ok, d)
    assert sum(o.k for o in found) == ok.count(False)
    for outage in found:
        assert outage.lo_s <= outage.est_s <= outage.hi_s
        assert outage.censored == math.isinf(outage.hi_s)
        assert outage.lo_s == pytest.approx((outage.k - 1) * d / 1e9, rel=1e-12)
        if not outage.censored:
            assert outage.est_s == pytest.approx(outage.k * d / 1e9, rel=1e-12)
            assert outage.hi_s == pytest.approx((outage.k + 1) * d / 1e9, rel=1e-12)
    ends_down = {o.censored for o in found} == {True}
    assert not ends_down or not ok[0] or not ok[-1]


def test_a_record_that_ends_in_the_outage_is_not_recovered():
    found = outage_from_probes(np.arange(6) * MS, probes("110000"), MS)
    assert [(o.est_s, o.hi_s, o.censored) for o in found] == [(math.inf, math.inf, True)]
    assert found[0].warnings == ("censored: the outage reaches beyond the last probe",)
    first = outage_from_probes(np.arange(6) * MS, probes("001111"), MS)
    assert first[0].warnings == ("censored: the outage reaches before the first probe",)


def test_a_prober_that_stalled_gives_wide_bounds_and_says_so():
    """A prober that waits for its time-outs sends late; taking its spacing for the nominal one would be a lie."""
    sent = np.array([0, 10, 20, 1020, 2020, 2030, 2040]) * MS
    (found,) = outage_from_probes(sent, probes("1100111"), 10 * MS)
    assert (found.lo_s, found.hi_s) == (1.0, 2.01)
    assert found.warnings[0].startswith("stalled")


def test_an_unbiased_estimate_and_two_biased_ones():
    """Outages of all durations at all phases: k*d is right on average, the usual two answers are off by d."""
    rng, d = np.random.default_rng(7), 10 * MS
    sent = np.arange(200, dtype=np.int64) * d
    error, usual, spread = [], [], []
    for _ in range(4000):
        begin, length = rng.uniform(20 * d, 40 * d), rng.uniform(2 * d, 60 * d)
        ok = (sent < begin) | (sent >= begin + length)
        (found,) = outage_from_probes(sent, ok, d)
        error.append(found.est_s - length / 1e9)
        spread.append(found.u_s)
        usual.append((sent[np.flatnonzero(~ok)[-1] + 1] - sent[np.flatnonzero(~ok)[0] - 1] - length) / 1e9)
        assert found.lo_s <= length / 1e9 <= found.hi_s
    step = d / 1e9
    assert abs(np.mean(error)) < 4 * 0.41 * step / math.sqrt(4000)
    assert np.std(error) == pytest.approx(np.mean(spread), rel=0.05)
    assert np.mean(usual) == pytest.approx(step, rel=0.05), "last answer to first answer is a whole spacing too long"


@pytest.mark.parametrize(("sent", "ok", "d"), [
    ([0, 1], [True], 1), ([0, 0], [True, True], 1), ([1, 0], [True, True], 1), ([0, 1], [True, True], 0),
    ([0.0, 1.0], [True, True], 1), ([0, 1], [0.5, 1], 1), ([[0, 1]], [[1, 1]], 1)])
def test_impossible_probe_records_are_refused(sent, ok, d):
    with pytest.raises(ValueError, match="probes"):
        outage_from_probes(sent, ok, d)


def test_no_probes_no_outages():
    assert outage_from_probes([], [], 1) == []


# --- tolerance limits -------------------------------------------------------------------------------------------------

@rows("events_needed")
def test_events_needed_as_published(row):
    assert events_needed(row["p"], 0.95, row["rank"]) == row["n"]


@rows("normal_factor_95_95")
def test_normal_factors_as_published(row):
    assert normal_factor(row["n"], 0.95, 0.95) == pytest.approx(row["k"], rel=1e-9)


def test_ten_events_say_what_ten_events_can_say():
    found = tolerance_bound([3.0, 4, 5, 6, 7, 8, 9, 10, 11, 12], 0.95)
    assert found.text == ("The largest of 10 events covers the 74.1 % quantile at 95 % confidence, or the 95 % "
                          "quantile at 40 % confidence; both together need 59 events.")
    assert (found.bound, found.rank, found.n_needed) == (math.inf, 0, 59)
    assert found.max_covers == pytest.approx(0.05 ** 0.1)
    assert found.max_confidence == pytest.approx(1 - 0.95**10)
    assert found.estimate.ci.hi == math.inf


def test_fifty_nine_events_bound_the_95th_percentile_by_their_largest():
    found = tolerance_bound(np.arange(1.0, 60), 0.95)
    assert (found.bound, found.rank, found.estimate.ci.sided) == (59.0, 1, 1)
    assert 0.95 <= found.exact_confidence < 0.952
    assert found.text == "With 95 % confidence at least 95 % of all events stay at or below 59 s (n = 59)."
    assert tolerance_bound(np.arange(1.0, 94), 0.95).rank == 2


def test_a_recovery_that_never_came_stays_in():
    values = [*range(1, 59), math.inf]
    found = tolerance_bound(values, 0.95)
    assert (found.bound, found.lognormal) == (math.inf, None)
    assert "too many never ended" in found.text
    assert any(w.startswith("never_recovered") for w in found.warnings)
    assert tolerance_bound([*range(1, 93), math.inf], 0.95).bound == 92.0


def test_the_lognormal_bound_is_no_more_than_a_second_opinion():
    found = tolerance_bound([10.0, 12, 9, 11, 10.5], 0.95)
    logs = np.log([10.0, 12, 9, 11, 10.5])
    assert found.lognormal == pytest.approx(math.exp(logs.mean() + 4.20268074126019 * logs.std(ddof=1)), rel=1e-9)
    assert any(w.startswith("assumes_lognormal") for w in found.warnings)
    assert found.estimate.ci.hi == math.inf


def test_bounds_of_each_event_bound_the_bound():
    x = np.arange(1.0, 60)
    found = tolerance_bound(x, 0.95, bounds=(x - 0.5, x + 0.5))
    assert found.bound == 59.5
    assert found.estimate.ci.lo == tolerance_bound(x, 0.95).estimate.ci.lo - 0.5


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=120), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_tolerance_bounds_scale_with_the_unit_and_forget_the_order(x, p):
    a, b, c = tolerance_bound(x, p), tolerance_bound([v * 1024 for v in x], p), tolerance_bound(x[::-1], p)
    assert a == c
    assert b.bound == a.bound * 1024
    assert b.estimate.ci.lo == a.estimate.ci.lo * 1024
    assert a.estimate.ci.lo <= a.estimate.estimate <= a.estimate.ci.hi


@given(st.integers(1, 150), st.floats(0.05, 0.95))
def test_ranks_keep_their_promise(n, p):
    low, high, exact = order_ranks(n, p, 0.95)
    below = [math.fsum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(j)) for j in range(n + 1)]
    if high:
        assert exact == pytest.approx(below[high], abs=1e-9)
        assert below[high] >= 0.95 - 1e-9
        assert high == 1 or below[high - 1] < 0.95 + 1e-9
    else:
        assert below[n] < 0.95 + 1e-9
    assert low == 0 or 1 - below[low] >= 0.95 - 1e-9


@pytest.mark.parametrize("call", [
    lambda: tolerance_bound([1.0], 0.0), lambda: tolerance_bound([1.0], 1.0), lambda: tolerance_bound([1.0], 0.9, 1.0),
    lambda: tolerance_bound([math.nan], 0.9), lambda: tolerance_bound([], 0.9),
    lambda: tolerance_bound([-math.inf], 0.9), lambda: tolerance_bound([1.0, 2.0], 0.9, bounds=([1.0], [2.0]))])
def test_impossible_tolerance_bounds_are_refused(call):
    with pytest.raises(ValueError, match="tolerance bound"):
        call()
