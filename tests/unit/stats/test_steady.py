"""Is a series steady: trends, change points, six truths that must be told apart, MSER-5."""

import json
import math
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats.changepoints import best_cuts, noise_sd, segments
from harness.stats.records import StatsPolicy
from harness.stats.steady import mser5, steady_state
from harness.stats.trend import batch_means, mann_kendall, slope_interval, theil_sen

PUBLISHED = json.loads((Path(__file__).parents[3] / "tests/data/statistics/series.json").read_text())
numbers = st.floats(-1e6, 1e6).map(lambda v: round(v, 3))


def ar(rng, n, phi, sd=1.0):
    """A stationary first-order autoregressive series of n values."""
    noise = rng.normal(size=n + 100)
    for i in range(1, n + 100):
        noise[i] = phi * noise[i - 1] + math.sqrt(1 - phi**2) * noise[i]
    return sd * noise[100:]


# --- trend ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("row", PUBLISHED["mann_kendall"]["rows"], ids=str)
def test_mann_kendall_as_tabled(row):
    rng, n = np.random.default_rng(1), row["n"]
    order = np.arange(n, dtype=float)
    while mann_kendall(order)[0] != row["s"]:
        order = rng.permutation(order) if rng.random() < 0.05 else _swap(order, rng)
    digits = len(row["p"]) - 2
    assert round(mann_kendall(order)[1] / 2, digits) == float(row["p"])


def _swap(order, rng):
    order, i = order.copy(), int(rng.integers(order.size - 1))
    order[i], order[i + 1] = order[i + 1], order[i]
    return order


@given(st.lists(st.integers(0, 30), min_size=3, max_size=60))
def test_mann_kendall_agrees_with_scipy(y):
    from scipy import stats

    s, p = mann_kendall(np.array(y, dtype=float))
    assert s == sum((b > a) - (b < a) for a, b in combinations(y, 2))
    assert mann_kendall(-np.array(y, dtype=float)) == (-s, p)
    if len(set(y)) == len(y):
        assert p == pytest.approx(stats.kendalltau(np.arange(len(y)), y, method="exact").pvalue, abs=1e-12)


@given(st.lists(numbers, min_size=2, max_size=40), st.floats(-5, 5))
def test_theil_sen_follows_a_slope_that_is_added(y, slope):
    t = np.arange(len(y), dtype=float)
    before, _ = theil_sen(t, np.array(y))
    after, slopes = theil_sen(t, np.array(y) + slope * t)
    assert after == pytest.approx(before + slope, abs=1e-6)
    lo, hi = slope_interval(slopes, len(y), 1.96)
    assert lo <= after <= hi


def test_too_many_pairs_are_refused():
    with pytest.raises(ValueError, match="batch means first"):
        theil_sen(np.arange(3001.0), np.arange(3001.0))


def test_batches_share_what_does_not_divide():
    assert batch_means(np.arange(7.0), 3).tolist() == [1.0, 3.5, 5.5]


# --- change points ----------------------------------------------------------------------------------------------------

def test_the_published_step_is_found():
    row = PUBLISHED["step_series"]
    found = segments(np.array(row["y"]), penalty=4.0, shortest=3)
    assert [s.start for s in found[1:]] == row["changes"]


@given(st.lists(numbers, min_size=4, max_size=14), st.floats(0, 1e6), st.integers(1, 3))
@settings(max_examples=60)
def test_the_partition_is_the_best_of_all(y, cost, shortest):
    """Every way to cut a short series is tried; none is cheaper."""
    y = np.array(y) - np.mean(y)

    def price(cuts):
        edges = [0, *cuts, y.size]
        parts = [y[a:b] for a, b in pairwise(edges)]
        if min(p.size for p in parts) < shortest:
            return math.inf
        return sum(float(((p - p.mean()) ** 2).sum()) for p in parts) + cost * len(cuts)

    found = price(best_cuts(y, cost, shortest))
    least = min(price(c) for k in range(y.size) for c in combinations(range(1, y.size), k))
    assert found <= least + 1e-6 * max(1.0, abs(least)) or y.size < 2 * shortest


def test_noise_is_not_inflated_by_a_drift():
    y = np.random.default_rng(6).normal(0, 3, 2000)
    assert noise_sd(y + np.linspace(0, 500, 2000)) == pytest.approx(3, rel=0.1)
    assert noise_sd(np.array([5.0])) == 0.0
    assert noise_sd(np.array([1.0, 1, 1, 1, 1, 2, 2, 2, 2])) > 0, "coarse data still have noise"


def test_long_series_are_searched_in_averages():
    y = np.random.default_rng(7).normal(100, 3, 10_000)
    y[6000:] += 10
    found = segments(y, penalty=4.0, shortest=10)
    assert [s.start for s in found] == [0, 6000]
    assert found[-1].end == 10_000
    assert found[1].mean - found[0].mean == pytest.approx(10, abs=0.3)


def test_a_constant_series_is_one_segment():
    assert len(segments(np.full(500, 7.0), penalty=4.0, shortest=10)) == 1


# --- steady state -----------------------------------------------------------------------------------------------------

T = np.arange(300)
TRUTHS = {
    "flat": (np.ones(300), "flat", True, 0),
    "ramp of 20 s": (1 - 0.4 * np.exp(-T / 20), "warmup", True, 65),
    "ramp of 60 s": (1 - 0.4 * np.exp(-T / 60), "no steady state", False, None),
    "cliff at 60 s": (np.where(T < 60, 1.6, 1.0), "slowdown", True, 60),
    "drift of -10 %": (1 - 0.1 * T / 300, "no steady state", False, None),
    "two levels in turn": (1 + 0.15 * np.where((T // 75) % 2, 1, -1), "no steady state", False, None),
}
ROUNDS_OF_10_S = StatsPolicy(snia_round_s=10.0)


@pytest.mark.parametrize("name", TRUTHS)
def test_six_truths_are_told_apart(name):
    """CV 3 %, phi 0.3; of 60 series at least 46 must be classed right (expected: 83 % and more)."""
    level, kind, steady, start = TRUTHS[name]
    rng = np.random.default_rng(8)
    found = [steady_state(1000 * level * (1 + ar(rng, 300, 0.3, 0.03)), 1.0, unit="1/s", policy=ROUNDS_OF_10_S)
             for _ in range(60)]
    assert sum((f.kind, f.steady) == (kind, steady) for f in found) >= 46
    if start is not None:
        assert abs(np.median([f.start_s for f in found]) - start) <= 15


def test_snia_alone_would_accept_what_it_must_not():
    rng = np.random.default_rng(9)
    for name in ("drift of -10 %", "two levels in turn"):
        found = steady_state(TRUTHS[name][0] * (1 + ar(rng, 300, 0.3, 0.03)), 1.0, policy=ROUNDS_OF_10_S)
        snia = [c.passed for c in found.checks if c.name.startswith("snia")]
        assert snia == [True, True]
        assert found.steady is False


def check(found, name):
    return next(c for c in found.checks if c.name == name)


def test_snia_judges_range_and_excursion_by_themselves():
    """Five rounds of 60 s; a line that rises by 14 of 107 rises by 4/5 of that between first and last round mean.

    What alternates by 60 hides both from the change points and leaves every round mean as it is.
    """
    saw = np.tile([30.0, -30.0], 150)
    rising = steady_state(np.linspace(100, 114, 300) + saw, 1.0)
    assert check(rising, "snia slope").value == pytest.approx(0.8 * 14 / 107, rel=0.01)
    assert [check(rising, f"snia {what}").passed for what in ("range", "slope")] == [True, False]
    hump = steady_state(saw + 100 + 25.0 * ((np.arange(300) >= 120) & (np.arange(300) < 180)), 1.0)
    assert check(hump, "snia range").value == pytest.approx(25 / 105)
    assert [check(hump, f"snia {what}").passed for what in ("range", "slope")] == [False, True]


def test_a_slow_drift_in_noise_is_seen_by_the_trend_alone():
    """10 % over ten minutes under 14 % noise: too flat for change points in many series, plain for batch means."""
    rng, t = np.random.default_rng(21), np.arange(600)
    found = [steady_state(100 * (1 + 0.10 * (t / 600 - 0.5) + 0.14 * rng.normal(size=600)), 1.0) for _ in range(40)]
    alone = [f for f in found if [c.name for c in f.checks if c.passed is False] == ["trend"]]
    assert len(alone) >= 12
    assert {(f.steady, f.kind) for f in alone} == {(False, "no steady state")}


def test_a_trend_that_is_real_but_small_is_a_warning():
    y = 100 + np.linspace(0, 2, 600) + np.random.default_rng(22).normal(0, 0.2, 600)
    found = steady_state(y, 1.0)
    assert found.steady is True
    assert found.warnings[0].startswith("trend: significant but small")


def test_a_short_window_is_not_judged():
    found = steady_state(100 + ar(np.random.default_rng(10), 120, 0.0), 1.0)
    assert found.steady is None
    notes = [c.note for c in found.checks if c.passed is None]
    assert any("needed are 5 rounds of 60 s" in note for note in notes)
    assert steady_state([1.0, 1.1, 0.9], 1.0).kind == "too short"


def test_a_time_that_falls_is_a_warmup_and_a_rate_that_falls_is_not():
    level = TRUTHS["cliff at 60 s"][0] * (1 + ar(np.random.default_rng(11), 300, 0.0, 0.01))
    assert steady_state(level, 1.0, unit="s").kind == "warmup"
    assert steady_state(level, 1.0, unit="B/s").kind == "slowdown"


@given(st.integers(0, 2**32), st.sampled_from([0.1, 1.0, 2.0]))
@settings(max_examples=20, deadline=None)
def test_the_unit_of_a_series_does_not_change_what_it_is(seed, dt):
    y = 100 + ar(np.random.default_rng(seed), 320, 0.2, 3.0)
    one, other = steady_state(y, dt), steady_state(y * 1024, dt)
    assert (one.kind, one.start_s, one.steady) == (other.kind, other.start_s, other.steady)
    assert other.segments[0].mean == one.segments[0].mean * 1024
    assert one == steady_state(y, dt)


def test_constant_series_are_steady():
    assert steady_state([5.0] * 600, 1.0).steady is True
    assert steady_state([0.0] * 600, 1.0).steady is True


def test_a_change_that_does_not_matter_does_not_count():
    y = np.where(np.arange(600) < 300, 100.0, 101.0) + np.random.default_rng(12).normal(0, 0.2, 600)
    found = steady_state(y, 1.0)
    assert len(found.segments) == 2
    assert (found.kind, found.start_s) == ("flat", 0.0)


def test_mser_proposes_where_a_ramp_ends_and_gives_up_on_a_jump_at_the_end():
    rng = np.random.default_rng(13)
    ramps = 1 - 0.4 * np.exp(-T / 20) + rng.normal(0, 0.03, (40, 300))
    assert 45 <= np.median([mser5(ramp) for ramp in ramps]) <= 80
    assert mser5(np.arange(29.0)) == 0
    assert steady_state(np.where(T < 225, 1.0, 2.0) + 0.01 * np.sin(T), 1.0).mser_s == math.inf


def mser_by_definition(y):
    batches = np.array(y[:len(y) // 5 * 5]).reshape(-1, 5).mean(axis=1)
    k = batches.size
    return [float(((batches[d:] - batches[d:].mean()) ** 2).sum()) / (k - d) ** 2 for d in range(k - 5)]


@given(st.lists(numbers, min_size=30, max_size=90))
def test_mser_minimises_what_it_says(y):
    g = mser_by_definition(y)
    assert g[mser5(np.array(y)) // 5] <= min(g) + 1e-9 * (1 + max(y) ** 2)


@pytest.mark.parametrize("dt", [0.0, -1.0, math.inf, math.nan])
def test_a_series_needs_a_step(dt):
    with pytest.raises(ValueError, match="positive step"):
        steady_state([1.0, 2.0], dt)
