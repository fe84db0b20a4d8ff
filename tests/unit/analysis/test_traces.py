import msgspec
import numpy as np
import pytest

from analysis import rows, traces
from harness.model import Series
from harness.stats import steady_state


def test_a_track_holds_all_rounds_of_all_parties(tidy):
    made = traces.tracks(rows.material(*tidy))
    assert [(track.point, track.metric, track.unit) for track in made] == [
        ("iodepth=1", "disk.rate", "1/s"), ("iodepth=32", "disk.rate", "1/s")]
    for track in made:
        assert [lane.party.index for lane in track.lanes] == [0, 1, 2]
        assert all([trace.round for trace in lane.traces] == [0, 1, 2, 3, 4] for lane in track.lanes)


def test_the_window_is_that_of_the_statistics_core_and_measuring_begins_after_the_filling(tidy):
    runs, findings = tidy
    (track, *_) = traces.tracks(rows.material(runs, findings))
    trace = track.lanes[0].traces[0]
    judged = steady_state(trace.line.values, 1.0, unit="1/s")
    assert trace.begin == 8.0
    assert trace.start == pytest.approx(8.0 + judged.start_s)
    assert (trace.steady, trace.kind) == (judged.steady, judged.kind)
    assert [name for name, _ in trace.around] == ["host cpu.busy", "host cpu.steal"]


def test_the_typical_round_has_the_median_level(tidy):
    for track in traces.tracks(rows.material(*tidy)):
        for lane in track.lanes:
            levels = sorted(trace.level for trace in lane.traces)
            assert lane.typical.level == levels[2]


def test_directions_are_added_as_the_indicators_do(made_up):
    rng = np.random.default_rng(1)
    read, write = made_up.rate(rng, 20, 100.0), made_up.rate(rng, 20, 50.0)
    write = msgspec.structs.replace(write, labels=write.labels | {"op": "write"}, times=write.times[:-1],
                                    values=write.values[:-1])
    runs, _ = made_up.campaign(1, rounds=1)
    result = msgspec.structs.replace(runs[0].results[0], series=(read, write))
    (whole,) = traces.lines(result)
    assert len(whole.values) == 19
    assert whole.values[3] == read.values[3] + write.values[3]
    assert whole.labels["op"] == "read + write"


@pytest.mark.parametrize("series", [
    Series(metric="disk.rate", unit="1/s", values=(1.0, 2.0), times=(1.0, 2.0)),
    Series(metric="disk.rate", unit="1/s", values=(1.0,) * 20, times=tuple(float(i // 2) for i in range(20))),
    Series(metric="net.latency", unit="s", values=(1.0,) * 20, times=tuple(map(float, range(20))),
           labels={"stat": "sample"}),
])
def test_what_is_too_short_or_not_in_order_or_a_sample_is_no_trace(made_up, series):
    runs, _ = made_up.campaign(1, rounds=1)
    assert list(traces.lines(msgspec.structs.replace(runs[0].results[0], series=(series,)))) == []
