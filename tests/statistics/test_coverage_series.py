"""Do intervals within a run cover what they say on series that hang together, and are truths told apart as they must?

Thinned by default; `-m statistics` runs the full sizes. Tolerances at the thinned sizes are four binomial standard
deviations wider than the range that the full size must meet.
"""

import math

import numpy as np
import pytest
from scipy import signal, stats

from harness.stats.records import StatsPolicy
from harness.stats.series import clock_fit, ess, series_mean_ci
from harness.stats.steady import steady_state

FULL = 10_000


def sizes(full=FULL, thin=300):
    return pytest.mark.parametrize("sets", [thin, pytest.param(full, marks=pytest.mark.statistics)])


def slack(sets, full=FULL, p=0.95):
    return 0.0 if sets >= full else 4 * math.sqrt(p * (1 - p) / sets)


def ar(rng, sets, n, phi):
    """Stationary AR(1) series of mean 0 and variance 1, shape (sets, n)."""
    noise = rng.normal(size=(sets, n)) * math.sqrt(1 - phi**2)
    noise[:, 0] /= math.sqrt(1 - phi**2)
    return signal.lfilter([1.0], [1.0, -phi], noise, axis=1)


@sizes()
@pytest.mark.parametrize(("n", "phi", "expected"), [(300, 0.0, 0.975), (300, 0.3, 0.968), (300, 0.6, 0.959),
                                                    (1000, 0.9, 0.958)])
def test_the_wider_of_two_intervals_covers_at_least_what_it_says(n, phi, expected, sets):
    series = ar(np.random.default_rng([n, int(10 * phi)]), sets, n, phi)
    cis = [series_mean_ci(y, 1.0).ci for y in series]
    covered = np.mean([ci.lo <= 0 <= ci.hi for ci in cis])
    assert covered >= 0.945 - slack(sets)
    assert covered == pytest.approx(expected, abs=0.01 + slack(sets))


@sizes()
@pytest.mark.parametrize(("phi", "naive"), [(0.3, 0.840), (0.6, 0.668), (0.9, 0.343)])
def test_an_interval_that_takes_seconds_for_independent_is_a_lie(phi, naive, sets):
    series = ar(np.random.default_rng(int(10 * phi)), sets, 300, phi)
    half = stats.t.ppf(0.975, 299) * series.std(axis=1, ddof=1) / math.sqrt(300)
    assert np.mean(np.abs(series.mean(axis=1)) <= half) == pytest.approx(naive, abs=0.015 + slack(sets, p=naive))


@sizes()
@pytest.mark.parametrize(("n", "least"), [(60, 0.99), (300, 0.95)])
def test_the_gate_fires_where_the_interval_fails(n, least, sets):
    """phi = 0.9: coverage is 79 % at n = 60 and 92 % at n = 300; both have too few effective samples for a verdict."""
    series = ar(np.random.default_rng(n), sets, n, 0.9)
    assert np.mean([ess(y).ess < 50 for y in series]) >= least - slack(sets, p=least)


@sizes()
@pytest.mark.parametrize(("phi", "off"), [(0.0, 0.12), (0.5, 0.12), (0.9, 0.2)])
def test_the_effective_sample_size_is_right_in_the_middle(phi, off, sets):
    true = 1000 * (1 - phi) / (1 + phi)
    found = [ess(y).ess for y in ar(np.random.default_rng(5), sets, 1000, phi)]
    assert np.median(found) == pytest.approx(true, rel=off)


T = np.arange(300)
TRUTHS = {   # level, classes that count as right, share of right answers measured when the method was chosen
    "flat": (np.ones(300), {"flat", "warmup", "slowdown"}, True, 0.97),
    "ramp of 20 s": (1 - 0.4 * np.exp(-T / 20), {"warmup"}, True, 0.94),
    "ramp of 60 s": (1 - 0.4 * np.exp(-T / 60), {"no steady state"}, False, 0.82),
    "cliff at 60 s": (np.where(T < 60, 1.6, 1.0), {"slowdown"}, True, 0.97),
    "drift of -10 %": (1 - 0.1 * T / 300, {"no steady state"}, False, 0.99),
    "two levels in turn": (1 + 0.15 * np.where((T // 75) % 2, 1, -1), {"no steady state"}, False, 0.995),
}


@sizes(full=FULL, thin=50)
@pytest.mark.parametrize("name", TRUTHS)
def test_six_truths_are_told_apart_at_the_known_rates(name, sets):
    level, kinds, steady, share = TRUTHS[name]
    noise = ar(np.random.default_rng(17), sets, 300, 0.3)
    policy = StatsPolicy(snia_round_s=10.0)
    found = [steady_state(1000 * level * (1 + 0.03 * z), 1.0, unit="1/s", policy=policy) for z in noise]
    right = np.mean([f.kind in kinds and f.steady is steady for f in found])
    assert right >= share - 0.02 - slack(sets, p=share)


@sizes(full=FULL, thin=50)
def test_what_is_left_of_a_ramp_hardly_biases_the_mean(sets):
    """Raw mean -2.7 %; after the change points and MSER-5 within half a percent."""
    level = TRUTHS["ramp of 20 s"][0]
    noise = ar(np.random.default_rng(18), sets, 300, 0.3)
    series = [level * (1 + 0.03 * z) for z in noise]
    found = [(y, steady_state(y, 1.0, policy=StatsPolicy(snia_round_s=10.0))) for y in series]
    left = np.mean([y[f.start:].mean() for y, f in found if f.steady]) - 1
    assert np.mean(series) - 1 == pytest.approx(-0.027, abs=0.002)
    assert abs(left) <= 0.005


@sizes(full=FULL, thin=150)
def test_the_uncertainty_of_a_clock_is_that_of_the_clock(sets):
    """20 ppm over 10 minutes, 200 µs + Exp(100 µs) each way: drift within its uncertainty, offset always within."""
    rng, inside, offsets = np.random.default_rng(19), 0, []
    for _ in range(sets):
        t1 = np.arange(0, 600, 1.0)
        forth, back = 200e-6 + rng.exponential(100e-6, (2, 600))
        ahead = 0.005 + 20e-6 * (t1 + forth - 300)
        model = clock_fit(t1, t1 + forth + ahead, t1 + forth + ahead, t1 + forth + back)
        inside += abs(model.drift_ppm - 20) <= 1.96 * model.u_drift_ppm
        offsets.append(abs(model.at(300.0) - 0.005) / model.u_offset_s)
    assert inside / sets == pytest.approx(0.95, abs=0.03 + slack(sets))
    assert max(offsets) < 1
