"""Counting, merging, reading fio and HdrHistogram, and the model of omitted requests."""

import json
from fractions import Fraction
from functools import reduce
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats.histograms import (
    FioLayout,
    HdrLayout,
    LatencyHistogram,
    correct_coordinated_omission,
    cumulative_bounds,
    hist_quantile,
)

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests/data/statistics"
SAMPLES = ROOT.parent / "shared/reference/samples"
PUBLISHED = json.loads((DATA / "histograms.json").read_text())
RECORDED = json.loads((DATA / "fio-3.33-json-plus.json").read_text())
HDR = HdrLayout(1, 3_600_000_000, 3)
times = st.lists(st.integers(0, 2**45), min_size=1, max_size=80)


def read(job, direction, clock="clat_ns", source=RECORDED):
    return LatencyHistogram.from_fio_json(source["jobs"][job][direction], clock=clock, version=source["fio version"])


@given(times, times)
def test_merging_equals_counting_together(a, b):
    together = LatencyHistogram.from_samples(a + b)
    merged = LatencyHistogram.from_samples(a).merge(LatencyHistogram.from_samples(b))
    assert merged == together
    assert merged.mean == pytest.approx(together.mean, rel=1e-15)
    assert merged == LatencyHistogram.from_samples(b).merge(LatencyHistogram.from_samples(a))


@given(times)
def test_extremes_and_mean_are_exact_and_the_order_is_nothing(values):
    h = LatencyHistogram.from_samples(values)
    assert (h.n, h.min, h.max) == (len(values), min(values), max(values))
    assert h.mean == float(Fraction(sum(values), len(values)))
    assert h == LatencyHistogram.from_samples(values[::-1])
    low, high = h.bounds_of_mean()
    assert low <= h.mean * (1 + 1e-15) or h.counts[-1]
    assert h.mean <= high * (1 + 1e-15) or h.counts[-1]


def test_the_mean_of_large_values_does_not_overflow():
    values = np.full(200_000, 2**62, dtype=np.int64)
    assert LatencyHistogram.from_samples(values).mean == float(2**62)


def test_many_chunks_count_like_one():
    values = np.random.default_rng(1).integers(0, 2**40, 300_001)
    assert (LatencyHistogram.from_samples(values).counts
            == np.bincount(FioLayout().index(values), minlength=1856)).all()


def test_merging_with_nothing_changes_nothing():
    h = LatencyHistogram.from_samples([5, 6])
    empty = LatencyHistogram.from_samples(np.array([], dtype=np.int64))
    assert h.merge(empty) == h == empty.merge(h)
    with pytest.raises(ValueError, match="nothing was counted"):
        hist_quantile(empty, 0.5)


def test_unlike_layouts_merge_as_an_interval():
    values = np.random.default_rng(2).integers(0, 5_000_000_000, 4000)
    parts = [LatencyHistogram.from_samples(values[:2000], HDR), LatencyHistogram.from_samples(values[2000:])]
    with pytest.raises(ValueError, match="cannot merge"):
        parts[0].merge(parts[1])
    points = np.linspace(0, 6e9, 50).astype(np.int64)
    low, high = cumulative_bounds(parts, points)
    truth = np.searchsorted(np.sort(values), points, side="right")
    assert (low <= truth).all()
    assert (truth <= high).all()
    assert low[-1] == high[-1] == 4000


def test_counts_cannot_be_changed_afterwards():
    counts = np.zeros(1856, dtype=np.int64)
    counts[3] = 1
    h = LatencyHistogram(FioLayout(), counts, 1)
    counts[3] = 7
    assert h.counts[3] == 1
    with pytest.raises(ValueError, match="read-only"):
        h.counts[3] = 2


def test_bins_are_read_back_from_keys():
    h = LatencyHistogram.from_samples(np.random.default_rng(3).integers(0, 2**35, 500))
    at = np.flatnonzero(h.counts)
    again = LatencyHistogram.from_bins((int(k) for k in h.layout.key(at)), h.counts[at].tolist(), h.layout,
                                       min=h.min, max=h.max)
    assert again == h


@pytest.mark.parametrize("direction", ["read", "write"])
@pytest.mark.parametrize("clock", ["clat_ns", "lat_ns"])
def test_percentiles_of_recorded_fio_output_are_those_that_fio_printed(direction, clock):
    h = read(0, direction, clock)
    printed = RECORDED["jobs"][0][direction][clock]
    assert {p: hist_quantile(h, Fraction(p) / 100).mid for p in printed["percentile"]} == printed["percentile"]
    assert (h.n, h.min, h.max, h.mean) == tuple(printed[k] for k in ("N", "min", "max", "mean"))
    low, high = h.bounds_of_mean()
    assert low <= h.mean <= high


def test_the_maximum_is_exact_though_the_highest_percentile_is_not():
    h = read(0, "write")
    assert hist_quantile(h, 1).mid > h.max, "fio prints a 100th percentile above its own maximum"
    assert hist_quantile(h, 1).lo <= h.max <= hist_quantile(h, 1).hi


@pytest.mark.reference
def test_percentiles_of_the_reference_file_are_bit_exact():
    path = SAMPLES / "fio/fio-3.33-jsonplus-sample.json"
    if not path.exists():
        pytest.skip(f"{path.name} is not here: other people's samples are not in the repository")
    source, checked = json.loads(path.read_text()), 0
    for job, direction, clock in ((j, d, c) for j in range(len(source["jobs"])) for d in ("read", "write")
                                  for c in ("clat_ns", "lat_ns")):
        h = read(job, direction, clock, source)
        for p, value in source["jobs"][job][direction][clock]["percentile"].items():
            assert hist_quantile(h, Fraction(p) / 100).mid == value
            checked += 1
    assert checked == 60


def test_a_direction_without_io_is_empty():
    assert read(0, "trim").n == 0


def broken(**changes):
    block = dict(RECORDED["jobs"][0]["read"]["clat_ns"])
    block.update(changes)
    return {"clat_ns": {k: v for k, v in block.items() if v is not None}}


@pytest.mark.parametrize(("direction", "message"), [
    (broken(bins=None), r"1426 I/Os but has no bins; run fio with --output-format=json\+"),
    (broken(N=1425), "N is 1425 but the bins hold 1426"),
    (broken(bins={"37121": 1426}), "37121 ns is no bin of FioLayout"),
    (broken(bins={"37248": -1426}), "negative"),
    (broken(max=None), "clat_ns has no 'max'"),
    ({}, "no 'clat_ns'"),
    ({"lat": {"min": 1}}, "it has lat"),
])
def test_damaged_fio_output_is_refused_with_a_reason(direction, message):
    with pytest.raises(ValueError, match=message):
        LatencyHistogram.from_fio_json(direction)


def outlier():
    row = PUBLISHED["hdr_percentiles"]
    return row, LatencyHistogram.from_samples([row["value"]] * row["times"] + [row["outlier"]], HDR)


def test_hdr_percentiles_are_as_published():
    row, h = outlier()
    assert h.n == row["total"]
    assert {p: hist_quantile(h, p).hi for p in row["highest_equivalent"]} == row["highest_equivalent"]


@pytest.mark.reference
def test_the_jhiccup_log_gives_the_published_percentiles():
    row = PUBLISHED["jhiccup_log"]
    path = SAMPLES / row["file"]
    if not path.exists():
        pytest.skip(f"{path.name} is not here: other people's samples are not in the repository")
    log = pytest.importorskip("hdrh.log", reason="hdrhistogram reads the compressed log")
    from hdrh.histogram import HdrHistogram

    # The log keeps two digits from 20 µs on; the published figures are of its lower edges, kept with three digits.
    logged, layout = HdrLayout(20_000, 3_600_000_000_000, 2), HdrLayout(1, 3_600_000_000_000, 3)
    parts, reader = [], log.HistogramLogReader(str(path), HdrHistogram(1, 3_600_000_000_000, 3))
    while (interval := reader.get_next_interval_histogram()) is not None:
        steps = [(i.value_iterated_to, i.count_added_in_this_iter_step) for i in interval.get_recorded_iterator()]
        lower = logged.edges(logged.index(np.array([value for value, _ in steps])))[0]
        parts.append(LatencyHistogram.from_samples(np.repeat(lower, [count for _, count in steps]), layout))
    reader.close()
    whole = reduce(LatencyHistogram.merge, parts)
    lo, width = layout.edges(layout.index(whole.max))
    assert (len(parts), whole.n) == (row["histograms"], row["total"])
    assert hist_quantile(whole, Fraction("0.999"), rule="nearest").hi == row["p99.9_highest_equivalent"]
    assert lo + width - 1 == row["max_highest_equivalent"]


def test_omitted_requests_are_added_as_published():
    row, h = outlier()
    corrected = correct_coordinated_omission(h, row["corrected"]["interval"])
    assert corrected.n == row["corrected"]["total"]
    assert corrected.tags == ("modelled",)
    expected = row["corrected"]["highest_equivalent"]
    assert {p: hist_quantile(corrected, p).hi for p in expected} == expected


def test_corrected_data_are_not_corrected_again():
    _, h = outlier()
    with pytest.raises(ValueError, match="already"):
        correct_coordinated_omission(correct_coordinated_omission(h, 10_000), 10_000)
    with pytest.raises(ValueError, match="above 0"):
        correct_coordinated_omission(h, 0)


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=30))
def test_nothing_is_added_below_the_interval(values):
    h = LatencyHistogram.from_samples(values)
    assert (correct_coordinated_omission(h, 10_000).counts == h.counts).all()
