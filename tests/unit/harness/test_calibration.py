"""Errors of probes held to cuts that are known: exact schedules with the cut's probes lost, and what ping printed."""

import msgspec
import numpy as np
import pytest

from drivers.tools import ping
from harness import history, indicators
from harness.history import Columns
from harness.indicators import probing
from harness.model import Event, Outcome, Series, Status, Step, StepResult
from harness.stats.records import StatsPolicy

INTERVAL = 0.01
CUTS = [(1 + 0.9 * number, 1 + 0.9 * number + 0.003 * 1.2 ** number) for number in range(25)]
PRINTED = """PING 10.77.0.200 (10.77.0.200) 56(84) bytes of data.
[1764301234.000500] 64 bytes from 10.77.0.200: icmp_seq=65534 ttl=64 time=0.500 ms
no answer yet for icmp_seq=65535
[1764301234.020700] 64 bytes from 10.77.0.200: icmp_seq=0 ttl=64 time=0.700 ms
[1764301234.020900] 64 bytes from 10.77.0.200: icmp_seq=0 ttl=64 time=0.900 ms (DUP!)
[1764301234.050500] 64 bytes from 10.77.0.200: icmp_seq=1 ttl=64 time=20.5 ms
"""


def calibrated(cuts=tuple(CUTS), lag=0):
    sent = np.arange(0, 24_000_000_000, 10_000_000, dtype=np.int64)
    lost = np.zeros(sent.size, dtype=bool)
    for begin, end in cuts:
        lost |= (sent >= begin * 1e9) & (sent < end * 1e9)
    columns = Columns(sent, np.full(sent.size, lag, dtype=np.int64), np.where(lost, history.NEVER, 400_000))
    step = Step(id="calibration#0", stage="calibration", workload="calibration", params={}, point="calibration",
                grid={}, arm={}, round=0, order=0, target="t")
    events = tuple(Event(actor="fault", action="cut", start=begin, end=end, outcome=Outcome.OK) for begin, end in CUTS)
    seen = history.made(columns, probe="icmp", kind="icmp", machine="sut", interval=INTERVAL, patience=2.0)
    return StepResult(step=step, status=Status.DONE, started="", elapsed=25.0, series=(), events=events,
                      histories=(seen,))


def found(name, result):
    return indicators.catalogue()[name].evaluate([result], StatsPolicy())


def test_exact_probes_are_never_off_by_more_than_an_interval():
    result = calibrated()
    assert len(probing.errors(result, "icmp")) == sum(end < 23.99 for _, end in CUTS)
    assert found("CAL-01", result).estimate.estimate == 1.0
    assert abs(found("CAL-02", result).estimate.estimate) < 0.5
    assert 0 < found("CAL-03", result).estimate.estimate < 0.6


def test_a_cut_that_was_not_seen_is_an_error_of_its_whole_length():
    result = calibrated(cuts=())
    begin, end = CUTS[20]
    assert min(probing.errors(result, "icmp")) <= -(end - begin) / INTERVAL
    assert found("CAL-01", result).estimate.estimate < 1.0


def test_a_prober_that_is_late_is_told_by_its_gate():
    checks = {check.name: check.passed for check in found("CAL-01", calibrated(lag=6_000_000)).checks}
    assert checks["send lag"] is False


def test_nothing_is_said_of_a_probe_that_was_not_there():
    with pytest.raises(ValueError, match="udp: no event was looked at"):
        found("CAL-01.udp", calibrated())


def test_times_of_ping_are_those_of_sending_and_numbers_go_on():
    rows = ping.stamped(PRINTED)
    assert (rows.sequence - rows.sequence[0]).tolist() == [0, 2, 3]
    assert (rows.sent - rows.sent[0]).tolist() == pytest.approx([0.0, 0.02, 0.03], abs=1e-5)
    assert rows.latency.tolist() == pytest.approx([0.0005, 0.0007, 0.0205])


def lossy(dropped, told):
    """A step that drops packets twice, each time `dropped` of them by the kernel's count and `told` by the probes."""
    sent = np.arange(0, 10_000_000_000, 10_000_000, dtype=np.int64)
    latency = np.full(sent.size, 400_000)
    for begin in (2.0, 6.0):
        latency[np.flatnonzero(sent >= begin * 1e9)[:told]] = history.NEVER
    seen = history.made(Columns(sent, np.zeros(sent.size, dtype=np.int64), latency), probe="udp", kind="udp",
                        machine="sut", interval=INTERVAL, patience=2.0)
    step = Step(id="loss#0", stage="loss", workload="calibration", params={"injects": "loss"}, point="loss", grid={},
                arm={}, round=0, order=0, target="t")
    events = tuple(Event(actor="fault", action="loss", start=begin, end=begin + 2, outcome=Outcome.OK)
                   for begin in (2.0, 6.0))
    counts = Series(metric="probe.dropped", unit="1", values=(float(dropped),) * 2, labels={"probe": "udp"})
    return StepResult(step=step, status=Status.DONE, started="", elapsed=10.0, series=(counts,), events=events,
                      histories=(seen,))


def test_packets_that_were_dropped_are_told_as_lost_one_by_one():
    exact = found("CAL-04.udp", lossy(dropped=10, told=10))
    assert exact.estimate.estimate == 0.0
    assert 0 < exact.estimate.ci.hi < 0.02
    assert found("CAL-04.udp", lossy(dropped=10, told=12)).estimate.n == exact.estimate.n
    assert probing.mistold(lossy(dropped=10, told=12), "udp").number == 4
    assert probing.mistold(lossy(dropped=10, told=7), "udp").number == 6


def test_a_loss_that_nobody_counted_is_refused():
    result = msgspec.structs.replace(lossy(10, 10), series=())
    with pytest.raises(ValueError, match="2 losses, 0 counts of packets dropped of udp"):
        found("CAL-04.udp", result)


def delayed(told, held=(0.02, 0.1)):
    """A step whose packets are held up twice for 3 s, `told` s each as the probe sees it, said to be `held`."""
    sent = np.arange(0, 12_000_000_000, 10_000_000, dtype=np.int64)
    latency = np.full(sent.size, 400_000)
    for begin, delay in zip((2.0, 7.0), told, strict=True):
        latency[(sent >= begin * 1e9) & (sent < (begin + 3) * 1e9)] += round(delay * 1e9)
    seen = history.made(Columns(sent, np.zeros(sent.size, dtype=np.int64), latency), probe="udp", kind="udp",
                        machine="sut", interval=INTERVAL, patience=2.0)
    step = Step(id="delay#0", stage="delay", workload="calibration", params={"injects": "delay", "longest": "3s"},
                point="delay", grid={}, arm={}, round=0, order=0, target="t")
    events = tuple(Event(actor="fault", action="packet-delay", start=begin - 0.5, end=begin, outcome=Outcome.OK)
                   for begin in (2.0, 7.0))
    return StepResult(step=step, status=Status.DONE, started="", elapsed=12.0, histories=(seen,), events=events,
                      series=(Series(metric="probe.delayed", unit="s", values=held),))


def test_a_delay_is_told_by_the_time_that_answers_take():
    estimate = found("CAL-05.udp", delayed(told=(0.02, 0.1))).estimate
    assert (estimate.n, estimate.unit) == (2, "s")
    assert estimate.estimate == pytest.approx(0.0, abs=1e-9)
    assert probing.delays(delayed(told=(0.021, 0.098)), "udp") == pytest.approx([0.001, -0.002])


def test_a_delay_that_is_not_told_is_refused():
    with pytest.raises(ValueError, match="held up 2 times, 1 delays are told"):
        probing.delays(delayed(told=(0.02, 0.1), held=(0.02,)), "udp")


def test_a_pause_is_judged_like_a_cut():
    cut = calibrated()
    pause = msgspec.structs.replace(cut, events=tuple(msgspec.structs.replace(each, action="pause")
                                                      for each in cut.events))
    assert probing.told(pause, "icmp") == probing.told(cut, "icmp")
