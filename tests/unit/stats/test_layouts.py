"""Where a value falls: published layouts, exact edges, and the float trick against binning by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats.histograms import FioLayout, HdrLayout, LatencyHistogram

PUBLISHED = json.loads((Path(__file__).parents[3] / "tests/data/statistics/histograms.json").read_text())
LAYOUTS = [FioLayout(), HdrLayout(1, 3_600_000_000, 3), HdrLayout(1000, 3_600_000_000_000, 2), HdrLayout(1, 2**61, 3),
           HdrLayout(7, 2**54, 4)]
wild = st.one_of(st.integers(0, 200), st.integers(0, 2**63 - 1),
                 st.builds(lambda e, d: max(0, min(2**63 - 1, 2**e + d)), st.integers(0, 62), st.integers(-70, 70)))


def bin_by_hand(layout, value):
    """The bin of a value by shifting integers, bit by bit: what the float trick must equal."""
    value >>= layout.unit
    shift = 0
    while value >> shift >= 2 << layout.bits:
        shift += 1
    return min((value >> shift) + (shift << layout.bits), layout.size - 1)


def test_the_bins_of_fio_are_as_published():
    row, layout = PUBLISHED["fio_layout"], FioLayout()
    lo, width = layout.edges(np.arange(layout.size))
    assert layout.size == row["bins"]
    assert lo[layout.clamp_index] == row["last_lower_ns"]
    assert layout.key(layout.clamp_index) == row["last_key"]
    assert (width[:row["exact_below_ns"]] == 1).all()
    assert max(width[1:] / lo[1:]) <= row["relative_width_max"] or width[1] == 1
    wide = width > 1
    assert max(width[wide] / lo[wide]) == row["relative_width_max"]
    assert max(width[wide] / 2 / lo[wide]) == row["relative_half_width_max"]


def test_the_bins_of_hdrhistogram_are_as_published():
    row = PUBLISHED["hdr_layout"]
    layout = HdrLayout(row["lo"], row["hi"], row["sig"])
    assert layout.size == row["bins"]
    assert (layout.size >> layout.bits) - 1 == row["octaves"]
    assert 2 << layout.bits == row["bins_per_octave_pair"]
    for value, highest in row["highest_equivalent"].items():
        lo, width = layout.edges(layout.index(int(value)))
        assert lo + width - 1 == highest


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_bins_join_and_their_edges_lead_back(layout):
    at = np.arange(layout.size)
    lo, width = layout.edges(at)
    assert lo[0] == 0
    assert (lo[1:] == lo[:-1] + width[:-1]).all()
    for value in (lo, lo + width // 2, lo + width - 1):
        assert (layout.index(value) == at).all()
    assert (layout.key(at) == lo + width // 2).all()


@given(st.sampled_from(LAYOUTS), st.lists(wild, min_size=1, max_size=50))
@settings(max_examples=300)
def test_binning_equals_binning_by_hand_up_to_the_last_bit(layout, values):
    expected = [bin_by_hand(layout, v) for v in values]
    assert layout.index(np.array(values, dtype=np.int64)).tolist() == expected
    assert [layout.index(v) for v in values] == expected
    counts = layout.count(np.array(values, dtype=np.int64))
    assert (counts == np.bincount(expected, minlength=layout.size)).all()


def test_values_that_floats_cannot_hold_fall_into_the_right_bin():
    layout = HdrLayout(1, 2**61, 3)
    edges = [2**e + d for e in range(52, 62) for d in (-2, -1, 0, 1)]
    assert layout.index(np.array(edges)).tolist() == [bin_by_hand(layout, v) for v in edges]


@pytest.mark.parametrize("version", ["2.18", "fio-2.1.4", "fio-2.18-59-g618e", "", "new"])
def test_histograms_of_old_fio_are_refused(version):
    with pytest.raises(ValueError, match="fio >= 3"):
        FioLayout(version)


@pytest.mark.parametrize("bad", [[-1], [1.5], [2**63], ["1"], [True], np.array([2**63], dtype=np.uint64)])
def test_what_is_no_time_in_ns_is_refused(bad):
    with pytest.raises(ValueError, match="histogram"):
        LatencyHistogram.from_samples(bad)


@pytest.mark.parametrize("bad", [(0, 100, 3), (1, 1, 3), (1, 2**62, 3), (1, 100, 0), (1, 100, 6)])
def test_impossible_hdr_ranges_are_refused(bad):
    with pytest.raises(ValueError, match="histogram"):
        HdrLayout(*bad)


def test_a_bin_outside_the_layout_is_refused():
    with pytest.raises(ValueError, match="0 to 1855"):
        FioLayout().edges(1856)
