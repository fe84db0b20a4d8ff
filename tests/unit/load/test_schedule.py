"""The schedule of a load, and the rows that are written of it: known before anything is sent, and nothing is lost."""

import math
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.load import reading, schedule
from harness.errors import ToolError
from harness.stats import LatencyHistogram

RATES = st.floats(0.5, 300)
SEGMENTS = st.lists(st.tuples(st.floats(0.1, 3), RATES, RATES), min_size=1, max_size=5)
NS = st.integers(0, 2**61)
HEAD = {"head": "alone", "index": 0, "of": 1, "model": "open", "boot": "b", "locust": "2"}


def output(rows, begin=0):
    """Return what a generator writes that sent `rows` of (intended, lag, latency, code, which)."""
    log = schedule.Log()
    for row in rows:
        log.add(*row)
    lines = [HEAD, {"begin": begin}, {"names": {0: "GET /"}}]
    return "".join(map(schedule.line, lines)) + schedule.block(log.take()) + schedule.line(
        {"end": 0, "written": len(rows)})


@given(SEGMENTS)
def test_as_many_requests_are_due_as_the_integral_of_the_rate(segments):
    times = list(schedule.arrivals(segments, "even"))
    whole = sum(seconds * (first + last) / 2 for seconds, first, last in segments)
    assert abs(len(times) - whole) <= 1
    assert times == sorted(times)
    assert 0 <= times[0] <= times[-1] <= sum(each[0] for each in segments) * 1e9 + 1


def test_an_even_rate_is_even():
    assert list(schedule.arrivals([(0.5, 10, 10)], "even")) == [0, 100_000_000, 200_000_000, 300_000_000, 400_000_000]


def test_a_rising_rate_is_due_where_its_integral_is_whole():
    times = np.array(list(schedule.arrivals([(10, 0, 20)], "even"))) / 1e9
    assert times.size == 100
    assert times**2 == pytest.approx(np.arange(100))      # the integral of 2 t


def test_poisson_arrivals_are_seeded_and_scatter_as_they_should():
    times = np.array(list(schedule.arrivals([(100, 50, 50)], "poisson", 3)))
    assert list(schedule.arrivals([(100, 50, 50)], "poisson", 3)) == times.tolist()
    assert abs(times.size - 5000) < 4 * math.sqrt(5000)
    gaps = np.diff(times) / 1e9
    assert gaps.std() / gaps.mean() == pytest.approx(1, abs=0.06)


@given(SEGMENTS, st.integers(1, 5), st.sampled_from(["even", "poisson"]))
def test_workers_share_one_schedule_without_a_gap_or_a_double(segments, of, process):
    whole = list(schedule.arrivals(segments, process, 5))
    shares = [list(schedule.share(schedule.arrivals(segments, process, 5), index, of)) for index in range(of)]
    assert sorted(at for share in shares for at in share) == sorted(whole)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(st.lists(st.tuples(NS, NS, st.one_of(st.just(-1), NS), st.integers(-3, 599), st.integers(0, 9)), max_size=40))
def test_rows_come_back_as_they_were(rows):
    (found,) = reading.read(output(rows)).rows()
    assert list(zip(*(found[name].tolist() for name in schedule.COLUMNS), strict=True)) == rows


@given(st.lists(st.tuples(st.integers(0, 10**10), st.integers(0, 3 * 10**10)), min_size=1, max_size=60),
       st.integers(1, 4))
def test_the_histogram_of_all_workers_is_that_of_all_requests(sent, of):
    rows = [(due, 0, took, schedule.OK, 0) for due, took in sent]
    outputs = [reading.read(output(rows[index::of])) for index in range(of)]
    shot = reading.Shot(workers=outputs, master=None, seconds=10)
    direct = LatencyHistogram.from_samples([took for _, took in sent])
    assert np.array_equal(shot.tally().answered, direct.counts)
    assert reading.merged(outputs) == direct


def test_times_count_from_the_begin_of_the_schedule_on_each_workers_own_clock():
    early, late = (reading.read(output([(begin + 5, 0, 7, 0, 0)], begin)) for begin in (100, 10**15))
    assert [next(each.rows())["intended"].tolist() for each in (early, late)] == [[5], [5]]


def test_a_line_that_was_cut_off_is_left_out_and_a_damaged_one_is_told():
    text = output([(1, 0, 2, 0, 0)])
    assert not reading.read(text[:-10]).end
    with pytest.raises(ToolError, match="locust: what it wrote cannot be read"):
        reading.read('{"rows": 3, "intended"}\n')
    with pytest.raises(ToolError, match="locust: 1 of 2 rows arrived"):
        reading.read(text.replace('"written":1', '"written":2'))
    with pytest.raises(ToolError, match="a column of its rows cannot be read"):
        list(reading.read(text.replace('"lag":"', '"lag":"!')).rows())


def test_memory_of_the_log_does_not_grow():
    log, sizes = schedule.Log(), []
    for number in range(3 * schedule.BLOCK):
        if log.add(number, 0, 1, 0, 0):
            sizes.append(len(log.take()["code"]))
    assert sizes == [schedule.BLOCK] * 3
    assert log.written == 3 * schedule.BLOCK


def test_a_schedule_is_made_as_it_is_needed():
    endless = schedule.arrivals([(1e9, 1000, 1000)], "even")
    assert list(islice(endless, 3)) == [0, 1_000_000, 2_000_000]
