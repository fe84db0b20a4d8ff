"""What the rows of high availability read of a step: outages, parts of a recovery, two copies, broken promises."""

import math

import numpy as np
import pytest

from harness import history, indicators
from harness.errors import Unsupported
from harness.indicators import availability
from harness.model import Event, Outcome, Series, Status, Step, StepResult
from harness.stats.records import DEFAULT_POLICY


def event(action, at, actor="ha", outcome=Outcome.OK):
    return Event(actor=actor, action=action, start=at, end=at, outcome=outcome, detail="")


TOLD = (event("host-power-off", 5.0, "fault"), event("detected", 7.0), event("fenced", 8.0), event("restarted", 9.0),
        event("booted", 13.0), event("served", 14.0))


def step(turn=0, events=TOLD, lag=0, numbers=None, labels=None, **params):
    made = {"ha.recovered": 1, "ha.copies": 1, "ha.interleaved": 0, "ha.rto": 8.0, "ha.rto.low": 7.98,
            "ha.rto.high": 8.02, "integrity.acked": 500, "integrity.lost": 0, "integrity.rpo": 0} | (numbers or {})
    where = Step(id=f"host#{turn}", stage="host", workload="failover", params=params, point="host", grid={}, arm={},
                 round=turn, order=turn, target="t")
    sent = np.arange(0, 20 * 10**9, 2 * 10**7)
    seen = history.made(history.Columns(sent, np.full_like(sent, lag), np.full_like(sent, 10**6)), probe="echo",
                        kind="icmp", machine="sut", interval=0.02, patience=30)
    series = tuple(Series(metric=name, unit="1", values=(float(value),), labels=labels or {})
                   for name, value in made.items() if value is not None)
    return StepResult(step=where, status=Status.DONE, started="2026-10-01T10:00:00Z", elapsed=20.0, events=events,
                      histories=(seen,), series=series)


def evaluated(row, *steps):
    return indicators.catalogue()[row].evaluate(steps, DEFAULT_POLICY)


@pytest.mark.parametrize(("part", "took"), [
    ("detected", 2), ("fenced", 1), ("restarted", 1), ("booted", 4), ("served", 1)])
def test_the_parts_of_a_recovery_follow_each_other(part, took):
    assert availability.component(part)(step())[0].value == took


def test_a_part_that_no_log_tells_of_is_left_out_and_the_next_one_takes_its_time():
    told = step(events=(TOLD[0], *TOLD[4:]))
    assert availability.component("restarted")(told) == []
    assert availability.component("booted")(told)[0].value == 8
    with pytest.raises(Unsupported, match="restarted"):
        evaluated("HA-02.restarted", told)


def test_a_part_that_was_never_reached_never_ends():
    gone = step(events=TOLD[:3], numbers={"ha.recovered": 0, "ha.rto": None})
    assert availability.component("fenced")(gone)[0].value == 1
    assert availability.component("served")(gone)[0].value == math.inf
    assert availability.recovery(gone)[0].value == math.inf


@pytest.mark.parametrize(("numbers", "said"), [
    ({"ha.copies": 2}, "split-brain: two copies of the guest ran"),
    ({"ha.interleaved": 1}, "split-brain: two copies of the guest wrote"),
    ({"ha.broken-word": 1}, "it was said"), ({"integrity.lost": 3}, "data-loss: 3 of 1500")])
def test_what_must_never_be_fails_whatever_the_times(numbers, said):
    found = evaluated("HA-02", step(0, numbers=numbers, labels={"reason": "it was said"}), step(1), step(2))
    assert said in found.fail


def test_all_rows_of_a_sound_host_failure_have_numbers():
    steps = [step(turn) for turn in range(5)]
    for row in indicators.catalogue().values():
        if row.workload == "failover" and row.applies(steps[0].step):
            found = row.evaluate(steps, DEFAULT_POLICY)
            assert not found.fail, row.id
            assert not math.isnan(found.estimate.estimate), row.id
    assert evaluated("HA-02", *steps).estimate.estimate == pytest.approx(8.0)
    assert evaluated("HA-02.availability", *steps).estimate.estimate == pytest.approx(12 / 20, abs=0.01)


@pytest.mark.parametrize(("lag", "passed"), [(0, True), (11_000_000, False)])
def test_a_prober_that_was_late_decides_nothing(lag, passed):
    checks = evaluated("HA-02", *(step(turn, lag=lag) for turn in range(3))).checks
    assert [check.passed for check in checks if check.name == "send lag"] == [passed]
    checks = evaluated("HA-02.success", *(step(turn, lag=lag) for turn in range(3))).checks
    assert not [check for check in checks if check.name == "send lag"]


@pytest.mark.parametrize(("lost", "point"), [(0, 0.0), (2, math.inf)])
def test_a_database_tells_a_recovery_point_only_where_nothing_is_lost(lost, point):
    kept = step(numbers={"integrity.rpo": None, "integrity.lost": lost}, data="postgres")
    assert availability.point(kept)[0].value == point


@pytest.mark.parametrize(("fault", "row"), [
    ("manager-kill", "HA-03"), ("link-down", "HA-04"), ("storage-slow", "HA-05"), ("guest-panic", "HA-01")])
def test_each_fault_feeds_its_row(fault, row):
    assert indicators.catalogue()[row].applies(step(fault=fault).step)
    assert not indicators.catalogue()["HA-02"].applies(step(fault=fault).step)
