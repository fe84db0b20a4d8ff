"""What is watched around a step, in real time and in simulated time."""

import time
from contextlib import contextmanager

import pytest

from drivers.shell import Local
from harness import surroundings
from harness.clock import FakeClock, RealClock
from harness.model import Series
from harness.protocols import Completed
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


@pytest.mark.parametrize(("seconds", "per_second"), [(0, 10), (1, 10), (60, 10), (120, 5), (330, 600 / 330), (3600, 1)])
def test_long_steps_are_sampled_less_often(seconds, per_second):
    assert surroundings.rate(seconds) == pytest.approx(per_second)


def test_samples_are_kept_to_six_digits():
    series = Series(metric="cpu.busy", unit="1", values=(0.123456789, 1e9 / 3), times=(0.1 + 0.2, 12.3456789))
    kept = surroundings._rounded(series)
    assert (kept.values, kept.times) == ((0.123457, 333333000.0), (0.3, 12.3457))


def test_a_step_without_a_guest_tells_of_none():
    seen = Surroundings(RealClock(), Vantage("host", inside=False))
    with seen:
        busy(0.05)
    assert not [name for name in seen.conditions() if name.startswith("guest.")]


class Counting:
    """A machine that counts what is started on it, and prints nothing."""

    address = "127.0.0.1"

    def __init__(self, name):
        self.name, self.started, self.running = name, 0, 0

    @contextmanager
    def start(self, argv):
        self.started, self.running = self.started + 1, self.running + 1
        yield self
        self.running -= 1

    def run(self, argv, *, timeout, stdin=b""):
        return self.stop()

    def stop(self):
        return Completed(argv=("sh",), code=0, stdout="", stderr="")


def test_other_guests_are_watched_from_inside_once_each():
    seen = Surroundings(RealClock(), Vantage("controller"))
    one, two = Counting("g1"), Counting("g2")
    with seen:
        for machine in (one, two, one):
            seen.guest(machine)
        assert (one.running, two.running) == (1, 1)
    assert (one.started, two.started, one.running, two.running) == (1, 1, 0, 0)
    assert [note.partition(":")[0] for note in seen.notes()] == ["g1", "g2"]   # they printed nothing to be read
    assert "controller.cpus" in seen.conditions()


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
