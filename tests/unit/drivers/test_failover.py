"""The failover workload on the simulated platform, and how what was seen of a failure is read."""

import random
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest

from drivers.workloads import _recovery
from drivers.workloads.failover import Failover
from harness import history, probing, scenario
from harness.errors import Unsupported
from harness.integrity import Promise
from harness.model import Event, GuestSize, History, Outcome, Series
from harness.protocols import GuestSpec
from harness.units import Seconds


class Place:
    """The lab of one step on a target, without evidence."""

    def __init__(self, target, stack):
        self.target, self.stack, self.clock, self.rng = target, stack, target.clock, random.Random(1)
        self.began, self.injected = target.clock.now(), []

    def guest(self, role="sut", *, host=0, life="plain"):
        return self.stack.enter_context(self.target.guest(GuestSpec(role=role, size=GuestSize(), host=host, life=life)))

    def client(self):
        return self.stack.enter_context(self.target.client())

    def whereabouts(self, guest):
        return self.target.whereabouts(guest)

    def chronicle(self, guest, since):
        return self.target.chronicle(guest, since)

    @contextmanager
    def fault(self, fault, guest=None):
        with self.target.fault(fault, guest) as injected:
            self.injected.append(injected)
            yield injected


@pytest.fixture
def place():
    with ExitStack() as stack:
        yield Place(scenario.target("fake").target, stack)


def ran(place, **params):
    found = list(Failover(**params).run(place.target, place))
    numbers = {each.metric: each.values[0] for each in found if isinstance(each, Series)}
    events = [each for each in found if isinstance(each, Event)]
    return numbers, events, [each for each in found if isinstance(each, History)]


@pytest.mark.parametrize("fault", ["host-power-off", "host-isolated", "guest-kill", "guest-panic"])
def test_the_platform_brings_a_guest_back_and_nothing_is_lost(place, fault):
    numbers, events, (echo,) = ran(place, fault=fault)
    assert (numbers["ha.recovered"], numbers["ha.copies"], numbers["ha.rebooted"]) == (1, 1, 1)
    assert numbers["ha.rto.low"] <= numbers["ha.rto"] <= numbers["ha.rto.high"]
    assert (numbers["integrity.lost"], numbers["ha.interleaved"]) == (0, 0)
    assert numbers["integrity.acked"] > 100
    down = next(iter(place.target._cluster.tenants.values())).down[0]
    assert numbers["ha.rto.low"] <= down.end - down.start <= numbers["ha.rto.high"]
    at = {each.action: each.start for each in events}
    assert place.injected[0].start < at["detected"] < at["restarted"] < at["booted"] <= at["served"] + 0.05
    assert echo.kind == "icmp"
    assert probing.punctual([echo]).passed


def test_a_killed_daemon_is_away_and_its_guests_are_not(place):
    numbers, _, seen = ran(place, fault="manager-kill", recovery="heal")
    manager = place.target._cluster.managers[0][1]
    assert numbers["ha.management.low"] <= manager.end - manager.start <= numbers["ha.management.high"]
    assert (numbers["ha.rto"], numbers["ha.service"], numbers["ha.rebooted"]) == (0, 0, 0)
    assert [each.probe for each in seen] == ["echo", "service", "management"]


def test_a_guest_that_stood_still_is_seen_whole(place):
    numbers, _, _ = ran(place, fault="guest-hang", recovery="heal", hold=Seconds(4), data="none")
    (injected,) = place.injected
    assert numbers["ha.rto"] == pytest.approx(injected.healed - injected.start, abs=0.12)
    assert numbers["ha.service"] == pytest.approx(numbers["ha.rto"], abs=0.12)


def test_what_nobody_brings_back_in_time_has_no_time(place):
    numbers, events, _ = ran(place, fault="guest-kill", recovery="heal", within=Seconds(5), data="none")
    assert numbers["ha.recovered"] == 0
    assert "ha.rto" not in numbers
    assert [each.outcome for each in events if each.action == "served"] == [Outcome.FAILED]


def test_a_target_that_lacks_what_a_fault_needs_is_unsupported(place):
    class Bare:
        clock = place.target.clock

    with pytest.raises(Unsupported, match="high availability"):
        list(Failover().run(Bare(), place))


def probed(away, seconds=20.0, interval=0.02, trip=0.001):
    sent = (np.arange(0, seconds, interval) * 1e9).astype(np.int64)
    lost = (sent >= away[0] * 1e9) & (sent < away[1] * 1e9)
    columns = history.Columns(sent, np.zeros_like(sent), np.where(lost, history.NEVER, round(trip * 1e9)))
    return history.made(columns, probe="echo", kind="icmp", machine="sut", interval=interval, patience=30)


def test_the_outage_is_the_one_after_the_fault():
    seen = probed((8.0, 9.5))
    assert _recovery.longest(seen, 8.0).est_s == pytest.approx(1.5)
    assert _recovery.longest(seen, 12.0) is None
    metrics = {each.metric: each.values[0] for each in _recovery.lasted("x", None, 0.02, "guest-kill")}
    assert metrics == {"x": 0.0, "x.low": 0.0, "x.high": 0.04}


def test_an_outage_that_did_not_end_has_no_length():
    assert list(_recovery.lasted("x", _recovery.longest(probed((8.0, 99.0)), 8.0), 0.02, "guest-kill")) == []


def test_a_slow_guest_is_not_an_outage():
    assert _recovery.longest(probed((0.0, 0.0), trip=0.3), 8.0) is None


def test_the_silence_of_the_writer_is_its_longest_gap_after_the_fault():
    promises = [Promise(1, n, t) for n, t in enumerate([9.98, 9.99, 10.0, 12.0, 12.01, 12.02])]
    found = {each.metric: each.values[0] for each in _recovery.silence(promises, 10.5, 20.0, 0.01, "storage-slow")}
    assert found == pytest.approx({"ha.write-gap": 1.99, "ha.write-gap.low": 1.98, "ha.write-gap.high": 2.0})
    assert list(_recovery.silence(promises[:3], 10.5, 20.0, 0.01, "storage-slow")) == []


def test_a_last_answer_that_is_late_does_not_make_a_recovery_endless():
    seen = probed((8.0, 9.5))
    its = history.columns(seen)
    late = its._replace(latency=np.where((its.sent >= 11e9) & (its.sent % 3 == 0) | (its.sent >= 19.9e9), 90_000_000,
                                         its.latency))
    busy = history.made(late, probe="echo", kind="icmp", machine="sut", interval=0.02, patience=30)
    assert _recovery.longest(busy, 8.0, served=10.0).est_s == pytest.approx(1.5)
    gone = history.made(its._replace(latency=np.where(its.sent >= 19.9e9, history.NEVER, its.latency)), probe="echo",
                        kind="icmp", machine="sut", interval=0.02, patience=30)
    assert _recovery.longest(gone, 8.0, served=10.0).est_s == pytest.approx(1.5)
    assert _recovery.longest(gone, 8.0).censored
