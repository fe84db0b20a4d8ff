import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import curves, rows
from harness import stats
from harness.model import Series
from harness.stats.histograms import hist_quantile

LATENCIES = st.lists(st.integers(1, 10**10), min_size=1, max_size=300)


def fio(nanoseconds):
    found = stats.LatencyHistogram.from_samples(np.asarray(nanoseconds, dtype=np.int64))
    kept = np.flatnonzero(found.counts)
    return found, Series(metric="disk.latency", unit="s", values=tuple(map(float, found.layout.key(kept) / 1e9)),
                         weights=tuple(map(float, found.counts[kept])), labels={"layout": "fio", "stat": "histogram"})


@given(LATENCIES, st.floats(0, 1))
def test_quantiles_are_those_of_the_statistics_core(nanoseconds, share):
    histogram, series = fio(nanoseconds)
    read = curves.read(series)
    (at,) = read.at(np.array([share]))
    expected = hist_quantile(histogram, share)
    assert (read.low[at], read.values[at]) == pytest.approx((expected.lo / 1e9, expected.mid / 1e9), rel=1e-12)


@given(LATENCIES, LATENCIES)
def test_merging_is_the_histogram_of_both(first, second):
    _, whole = fio([*first, *second])
    merged, expected = curves.merged([curves.read(fio(first)[1]), curves.read(fio(second)[1])]), curves.read(whole)
    for name in ("values", "low", "high", "counts"):
        assert np.array_equal(getattr(merged, name), getattr(expected, name))
    assert merged.n == len(first) + len(second)


def test_the_open_last_bin_is_censored():
    _, series = fio([1000, 20 * 10**9])
    assert curves.read(series).censored
    assert not curves.read(fio([1000, 10**9])[1]).censored


def test_a_bin_of_cyclictest_is_a_microsecond_wide_and_its_overflow_open():
    series = Series(metric="scheduling.latency", unit="s", values=(5e-6, 9e-6), weights=(3.0, 1.0),
                    labels={"layout": "us", "stat": "histogram"})
    read = curves.read(series, beyond=2.0)
    assert read.low.tolist() == pytest.approx([5e-6, 9e-6, 10e-6])
    assert read.high.tolist()[:2] == pytest.approx([6e-6, 10e-6])
    assert (read.n, read.censored, read.counts.tolist()) == (6, True, [3, 1, 2])


def test_a_sample_is_known_to_half_its_resolution():
    series = Series(metric="net.latency", unit="s", values=(2e-4, 1e-4),
                    labels={"stat": "sample", "resolution": "1e-05"})
    read = curves.read(series)
    assert read.low.tolist() == pytest.approx([0.95e-4, 1.95e-4])
    assert read.high.tolist() == pytest.approx([1.05e-4, 2.05e-4])


@pytest.mark.parametrize(("n", "deepest"), [(0, -1.0), (100, 0.0), (1000, 0.9), (100_000, 0.999)])
def test_a_percentile_needs_a_hundred_values_beyond_it(n, deepest):
    ones = np.ones(n)
    assert curves.Distribution(ones, ones, ones, ones).deepest == pytest.approx(deepest)


def test_families_keep_points_apart_and_leave_the_host_arm_out(tidy):
    runs, findings = tidy
    made = curves.families(rows.material(runs, findings))
    assert [(family.stage, family.point, family.metric) for family in made] == [
        ("random-read", "iodepth=1", "disk.latency"), ("random-read", "iodepth=32", "disk.latency"),
        ("wake-up", "interval=1ms", "scheduling.latency")]
    for family in made:
        assert [curve.party.index for curve in family.curves] == [0, 1, 2]
        assert all(len(curve.rounds) == 5 for curve in family.curves)
        assert all(curve.whole.n == sum(one.n for one in curve.rounds) for curve in family.curves)


def test_single_numbers_are_no_distribution(made_up):
    runs, findings = made_up.campaign(1, rounds=2)
    mean = Series(metric="disk.latency", unit="s", values=(0.001,), labels={"stat": "mean"})
    changed = [curves_with(run, mean) for run in runs]
    assert len(curves.families(rows.material(changed, findings))) == len(curves.families(rows.material(runs, findings)))


def curves_with(run, series):
    results = tuple(msgspec.structs.replace(result, series=(*result.series, series)) for result in run.results)
    return msgspec.structs.replace(run, results=results)
