"""Do exact intervals hold at every true value, tolerance bounds at every shape, and outages at every phase?

Proportions and rates need no simulation: their coverage is a sum over all outcomes, computed here for a grid of true
values. The rest is simulated, thinned by default; `-m statistics` runs the full sizes.
"""

import math

import numpy as np
import pytest
from scipy import stats

from harness.stats.rare import availability, outage_from_probes, proportion_ci, rate_ci, tolerance_bound

FULL = 10_000


def sizes(full=FULL, thin=400):
    return pytest.mark.parametrize("sets", [thin, pytest.param(full, marks=pytest.mark.statistics)])


def slack(sets, full=FULL, p=0.95):
    return 0.0 if sets >= full else 4 * math.sqrt(p * (1 - p) / sets)


# --- exact intervals: no luck involved --------------------------------------------------------------------------------

@pytest.mark.parametrize("sided", [1, 2])
@pytest.mark.parametrize("n", [5, 10, 59, 300])
def test_proportions_cover_at_every_true_value(n, sided):
    p = np.linspace(0.0005, 0.9995, 1999)
    cis = [proportion_ci(k, n, sided).ci for k in range(n + 1)]
    mass = stats.binom.pmf(np.arange(n + 1)[:, None], n, p)
    above = sum(m * (p > ci.hi) for m, ci in zip(mass, cis, strict=True))
    below = sum(m * (p < ci.lo) for m, ci in zip(mass, cis, strict=True))
    assert max(above.max(), below.max()) <= 0.05 / sided + 1e-12
    if sided == 2:
        assert (1 - above - below).min() >= 0.95 - 1e-12


def test_rates_cover_at_every_true_value():
    mean = np.linspace(0.01, 40, 4000)
    outside = np.zeros_like(mean)
    for k in range(150):
        ci = rate_ci(k, 1.0).ci
        outside += stats.poisson.pmf(k, mean) * ((mean < ci.lo) | (mean > ci.hi))
    assert outside.max() <= 0.05 + 1e-12


# --- tolerance bounds -------------------------------------------------------------------------------------------------

SHAPES = {"lognormal": stats.lognorm(1.0), "exponential": stats.expon(), "uniform": stats.uniform(),
          "two kinds": None}


def draw(rng, shape, size):
    """Event times and their true 95th percentile; `two kinds`: one failover in five is ten times as long."""
    if shape != "two kinds":
        return SHAPES[shape].rvs(size=size, random_state=rng), SHAPES[shape].ppf(0.95)
    slow = rng.random(size) < 0.2
    quick, late = stats.norm(10, 1), stats.norm(100, 10)
    return np.where(slow, rng.normal(100, 10, size), rng.normal(10, 1, size)), _mixed(quick, late)


def _mixed(quick, late):
    grid = np.linspace(0, 200, 200_001)
    return grid[np.searchsorted(0.8 * quick.cdf(grid) + 0.2 * late.cdf(grid), 0.95)]


@sizes()
@pytest.mark.parametrize("n", [59, 150])
@pytest.mark.parametrize("shape", SHAPES)
def test_tolerance_bounds_hold_whatever_the_shape(shape, n, sets):
    x, truth = draw(np.random.default_rng(n), shape, (sets, n))
    found = [tolerance_bound(row, 0.95) for row in x]
    held = np.mean([f.bound >= truth for f in found])
    low = np.mean([f.estimate.ci.lo <= truth for f in found])
    error = 4 * math.sqrt(0.95 * 0.05 / sets)
    assert held >= 0.95 - error
    assert held == pytest.approx(found[0].exact_confidence, abs=error)
    assert low >= 0.95 - error


@sizes()
def test_the_lognormal_bound_holds_on_lognormal_times_and_not_on_two_kinds(sets):
    rng = np.random.default_rng(1)
    held = {}
    for shape in ("lognormal", "two kinds"):
        x, truth = draw(rng, shape, (sets, 10))
        held[shape] = np.mean([tolerance_bound(row, 0.95).lognormal >= truth for row in x])
    assert held["lognormal"] == pytest.approx(0.95, abs=0.01 + slack(sets))
    assert held["two kinds"] < 0.93, "why the lognormal bound never makes a verdict"


# --- availability -----------------------------------------------------------------------------------------------------

@sizes()
@pytest.mark.parametrize("expected", [3, 8, 30])
@pytest.mark.parametrize("spread", [0.3, 1.0])
def test_availability_covers_though_restorations_are_skewed(expected, spread, sets):
    """Failures by Poisson over the up time, lognormal restorations of mean 100 s."""
    rng, up = np.random.default_rng(expected), 1e6
    truth = 1 / (1 + expected / up * 100)
    below = above = 0
    for _ in range(sets):
        r = int(rng.poisson(expected))
        found = availability(up, rng.lognormal(math.log(100) - spread**2 / 2, spread, r), r)
        below, above = below + (found.ci.hi < truth), above + (found.ci.lo > truth)
    assert above / sets <= 0.025 + 4 * math.sqrt(0.025 / sets), "the lower bound is what certifies"
    assert below / sets <= 0.025 + 4 * math.sqrt(0.025 / sets)


# --- outages ----------------------------------------------------------------------------------------------------------

def seen(rng, length, d=10_000_000, probes=120):
    """The outage that probes every d see, for an outage of `length` ns at a random phase; None if no probe was lost."""
    sent = np.arange(probes, dtype=np.int64) * d
    begin = rng.uniform(10 * d, 11 * d)
    found = outage_from_probes(sent, (sent < begin) | (sent >= begin + length), d)
    return found[0] if found else None


@sizes()
def test_outages_are_unbiased_with_the_stated_spread_and_always_inside_the_bounds(sets):
    rng, d = np.random.default_rng(2), 0.01
    lengths = rng.uniform(3 * d, 100 * d, sets)
    found = [seen(rng, length * 1e9) for length in lengths]
    error = np.array([f.est_s for f in found]) - lengths
    assert abs(error.mean()) <= 0.001 * d + 4 * 0.408 * d / math.sqrt(sets)
    assert error.std() == pytest.approx(d / math.sqrt(6), rel=0.02 + 4 * 0.5 / math.sqrt(sets))
    assert [f.u_s for f in found] == pytest.approx([d / math.sqrt(6)] * sets)
    assert all(f.lo_s <= length <= f.hi_s for f, length in zip(found, lengths, strict=True))
    assert np.mean(np.abs(error) <= 2 * d / math.sqrt(6)) == pytest.approx(0.966, abs=0.006 + slack(sets, p=0.966))


@sizes()
def test_the_two_usual_answers_are_off_by_a_spacing_each_way(sets):
    rng, d = np.random.default_rng(3), 0.01
    lengths = rng.uniform(3 * d, 100 * d, sets)
    found = [seen(rng, length * 1e9) for length in lengths]
    error = 4 * 0.408 * d / math.sqrt(sets)
    assert np.mean([f.hi_s for f in found] - lengths) == pytest.approx(d, abs=error), "last answer to first answer"
    assert np.mean([f.lo_s for f in found] - lengths) == pytest.approx(-d, abs=error), "first loss to last loss"


@sizes()
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_an_outage_shorter_than_the_spacing_is_seen_in_proportion(share, sets):
    rng = np.random.default_rng(4)
    rate = np.mean([seen(rng, share * 1e7) is not None for _ in range(sets)])
    assert rate == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / sets))
