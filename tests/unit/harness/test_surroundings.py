"""What is watched around a step, in real time and in simulated time."""

import time

import pytest

from drivers.shell import Local
from harness.clock import FakeClock, RealClock
from harness.surroundings import HERE, Surroundings, Vantage


def busy(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def test_a_guest_that_is_this_machine_shares_what_was_seen():
    seen = Surroundings(RealClock(), Vantage("host", inside=False))
    with seen, Local("bare") as machine:
        seen.guest(machine)
        busy(0.25)
    conditions = seen.conditions()
    for name in ("busy", "steal"):
        assert conditions[f"guest.{name}"] == conditions[f"host.{name}"]
    series = {(each.metric, each.labels["source"]): each for each in seen.series()}
    assert series["cpu.steal", "guest"].values == series["cpu.steal", "host"].values
    assert ("cpu.user", "guest") not in series


def test_a_step_without_a_guest_tells_of_none():
    seen = Surroundings(RealClock(), Vantage("host", inside=False))
    with seen:
        busy(0.05)
    assert not [name for name in seen.conditions() if name.startswith("guest.")]


def test_other_guests_are_watched_from_inside_once_each():
    seen = Surroundings(RealClock(), Vantage("controller"))
    with seen, Local("g1") as one, Local("g2") as two:
        for machine in (one, two, one):
            seen.guest(machine)
        busy(1.3)
    sources = {(each.labels["source"], each.labels.get("machine")) for each in seen.series()}
    assert sources == {("controller", None), ("guest", "g1"), ("guest", "g2")}
    assert "guest.busy" in seen.conditions()
    assert "controller.busy" in seen.conditions()
    assert seen.notes() == ()


def test_in_simulated_time_nothing_is_watched():
    seen = Surroundings(FakeClock(), HERE)
    with seen:
        seen.guest(Local("g"))
    assert (seen.series(), seen.conditions(), seen.notes()) == ((), {}, ())


def test_a_watch_ends_with_its_step_also_when_that_fails():
    seen = Surroundings(RealClock(), Vantage("host"))

    def fails():
        with seen, Local("g") as machine:
            seen.guest(machine)
            raise KeyError("the step")

    with pytest.raises(KeyError):
        fails()
    assert "load.before" in seen.conditions()
