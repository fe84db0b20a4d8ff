"""Series: autocorrelation, effective sample size, intervals within a run, and clocks."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats.series import autocovariance, clock_fit, ess, series_mean_ci

DATA = Path(__file__).parents[3] / "tests/data/statistics"
PUBLISHED = json.loads((DATA / "series.json").read_text())
numbers = st.floats(-1e6, 1e6).map(lambda v: round(v, 3))


def ar(rng, n, phi, sd=1.0):
    """A stationary first-order autoregressive series of n values."""
    noise = rng.normal(size=n + 100)
    for i in range(1, n + 100):
        noise[i] = phi * noise[i - 1] + math.sqrt(1 - phi**2) * noise[i]
    return sd * noise[100:]


# --- autocorrelation and effective sample size ------------------------------------------------------------------------

def test_autocorrelations_are_those_of_r():
    row = PUBLISHED["acf_lh"]
    gamma = autocovariance(np.array(row["y"]))
    assert gamma[1:5] / gamma[0] == pytest.approx(row["acf"], abs=1e-9)


def nist(name):
    """The data of a NIST set; those that a rule defines are made here."""
    base = {"NumAcc2": 1.2, "NumAcc3": 1000000.2}
    if name in base:
        return np.array([base[name], *[base[name] - 0.1, base[name] + 0.1] * 500])
    return np.array([10000001.0, 10000003, 10000002]) if name == "NumAcc1" else np.loadtxt(DATA / f"nist/{name}.txt")


@pytest.mark.parametrize("row", PUBLISHED["nist_lag1"]["rows"], ids=lambda row: row["set"])
def test_lag_one_autocorrelations_are_those_of_nist(row):
    gamma = autocovariance(nist(row["set"]))
    found = gamma[1] / gamma[0]
    assert -math.log10(max(abs(found - row["r1"]) / abs(row["r1"]), 1e-16)) >= row["lre"]


@given(st.lists(numbers, min_size=2, max_size=50))
def test_autocovariances_equal_their_definition(y):
    y = np.array(y)
    away = y - y.mean()
    direct = [float(np.sum(away[:y.size - k] * away[k:])) / y.size for k in range(y.size)]
    assert autocovariance(y) == pytest.approx(direct, abs=1e-9 * (1 + float(np.abs(away).max()) ** 2))


@pytest.mark.parametrize(("phi", "n"), [(0.0, 4000), (0.3, 4000), (0.6, 8000), (0.9, 40000)])
def test_the_effective_sample_size_is_that_of_the_process(phi, n):
    found = ess(ar(np.random.default_rng(3), n, phi))
    assert found.ess == pytest.approx(n * (1 - phi) / (1 + phi), rel=0.2)
    assert found.tau == pytest.approx(n / found.ess)


def test_alternating_data_have_more_than_n_but_not_without_end():
    found = ess([1.0, -1.0] * 200 + [1.0])
    assert 401 < found.ess <= 401 * math.log10(401) * (1 + 1e-12)
    assert found.v > 0


def test_constant_data_have_n_and_no_variance():
    assert (ess([2.0] * 50).ess, ess([2.0] * 50).v) == (50.0, 0.0)


@given(st.lists(numbers, min_size=20, max_size=60).filter(lambda y: max(y) > min(y)))
def test_the_interval_scales_with_the_unit(y):
    one, other = series_mean_ci(y, 1.0), series_mean_ci([v * 1024 for v in y], 1.0)
    assert (other.ci.lo, other.ci.hi) == (one.ci.lo * 1024, one.ci.hi * 1024)
    assert one == series_mean_ci(y, 1.0)


def test_the_wider_of_two_intervals_is_taken():
    rng = np.random.default_rng(4)
    for phi in (0.0, 0.5, 0.9):
        y = ar(rng, 300, phi)
        found, size = series_mean_ci(y, 1.0), ess(y)
        from scipy import stats

        by_ess = stats.t.ppf(0.975, size.ess - 1) * math.sqrt(size.v / 300)
        by_batches = stats.t.ppf(0.975, 9) * y.reshape(10, 30).mean(axis=1).std(ddof=1) / math.sqrt(10)
        assert (found.ci.hi - found.ci.lo) / 2 == pytest.approx(max(by_ess, by_batches), rel=1e-9)
        assert found.n == 1, "one run is one replicate, however many seconds it has"


def test_a_series_that_hangs_together_has_no_resolved_interval():
    found = series_mean_ci(ar(np.random.default_rng(5), 60, 0.9), 1.0)
    assert [c.passed for c in found.assumptions] == [False]
    assert any(w.startswith("autocorrelation_unresolved") for w in found.warnings)


def test_short_and_constant_series_have_no_invented_width():
    assert series_mean_ci([1.0] * 19, 1.0).ci.hi == math.inf
    assert series_mean_ci([1.0] * 100, 1.0).ci.hi == math.inf
    assert series_mean_ci([1.0] * 100, 1.0, resolution=0.1).ci.hi == pytest.approx(1 + 0.2 / math.sqrt(12))


@pytest.mark.parametrize("bad", [[], [1.0], [math.nan, 1.0], [math.inf, 1.0], [[1.0, 2.0], [3.0, 4.0]], ["a", "b"]])
def test_what_is_no_series_is_refused(bad):
    with pytest.raises(ValueError, match="series"):
        ess(bad)


# --- clocks -----------------------------------------------------------------------------------------------------------

def exchanges(rng, *, drift=20e-6, offset=0.005, seconds=600, extra=0.0):
    """One exchange every half second: 200 µs and an exponential wait each way, `extra` on the way back."""
    t1 = np.arange(0, seconds, 0.5)
    forth, back = (200e-6 + rng.exponential(100e-6, t1.size) for _ in range(2))
    arrive = t1 + forth
    ahead = offset + drift * (arrive - seconds / 2)
    return t1, arrive + ahead, arrive + ahead + 50e-6, arrive + 50e-6 + back + extra


def test_offset_and_drift_are_found_within_their_uncertainty():
    rng = np.random.default_rng(14)
    found = [clock_fit(*exchanges(rng)) for _ in range(40)]
    drift, offset = ([value(f) for f in found] for value in (lambda f: f.drift_ppm, lambda f: f.at(300.0)))
    assert np.mean(drift) == pytest.approx(20, abs=0.01)
    assert np.mean(offset) == pytest.approx(0.005, abs=5e-6)
    assert np.mean([f.u_drift_ppm for f in found]) == pytest.approx(np.std(drift), rel=0.5)
    assert found[0].n == 60
    assert found[0].at(600.0) == pytest.approx(0.005 + 20e-6 * 300, abs=2e-5)


def test_a_lopsided_path_is_covered_by_the_asymmetry_not_by_more_data():
    model = clock_fit(*exchanges(np.random.default_rng(15), extra=150e-6))
    assert abs(model.offset_s - 0.005) == pytest.approx(75e-6, rel=0.2)
    assert abs(model.offset_s - 0.005) < 2 * model.u_offset_s


def test_a_short_record_has_no_drift():
    model = clock_fit([0.0, 1.0], [0.1, 1.1], [0.1, 1.1], [0.2, 1.2])
    assert (model.drift_ppm, model.u_drift_ppm) == (0.0, math.inf)
    assert model.offset_s == pytest.approx(0.0)
    assert model.warnings


def test_a_long_record_is_cut_into_longer_windows():
    assert clock_fit(*exchanges(np.random.default_rng(16), seconds=20_000)).n <= 1001


@pytest.mark.parametrize("bad", [([1.0, 0.0], [1, 0], [1, 0], [1, 0]), ([0.0], [0.0], [1.0], [0.5]),
                                 ([0.0, 1.0], [0.0], [0.0], [1.0]), ([math.nan], [0.0], [0.0], [1.0])])
def test_impossible_exchanges_are_refused(bad):
    with pytest.raises(ValueError, match=r"clock|t1"):
        clock_fit(*bad)
