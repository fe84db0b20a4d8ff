"""Guests of a round: booted once, removed together, counted when they do not come up."""

import random
from contextlib import ExitStack, contextmanager

import pytest

from harness import evidence, plan, scenario
from harness.errors import TargetError, Unsupported
from harness.model import GuestSize, Scenario, Stage
from harness.protocols import Lab
from harness.rounds import Boots, Round, StepLab
from harness.surroundings import HERE, Surroundings

STEP = plan.make([Scenario(name="q", title="Q", stage=(Stage(workload="toyload"),))], ["a"], seed=1).plans[0].steps[0]


def toy(**settings):
    return scenario.build({"driver": "toytarget", "name": "toy"} | settings, "x").target


def test_a_guest_boots_once_and_all_go_together():
    target, notes = toy(), []
    with Round(target, GuestSize(), Boots(), notes.append) as machines:
        assert machines.guest("sut", 0) is machines.guest("sut", 0)
        assert machines.guest("peer", 0) is not machines.guest("sut", 0)
        assert machines.host(0) is machines.host(0)
        assert machines.booting == 20.0
        assert target.alive == {"sut-0", "peer-0", "host-0"}
    assert (target.alive, target.log.count("boot"), notes) == (set(), 2, [])


class Gathering:
    """A target that boots several at once, and tells what it was asked for."""

    def __init__(self):
        self.target, self.asked, self.trouble = toy(), [], None

    @property
    def clock(self):
        return self.target.clock

    def guest(self, spec):
        raise AssertionError("asked for one alone")

    @contextmanager
    def guests(self, specs):
        self.asked.append([spec.role for spec in specs])
        if self.trouble:
            raise self.trouble
        with ExitStack() as stack:
            yield [stack.enter_context(self.target.guest(spec)) for spec in specs]


def test_what_a_round_used_boots_side_by_side_in_the_next():
    target, usual = Gathering(), set()
    for _ in range(2):
        with Round(target, GuestSize(), Boots(), print, usual) as machines:
            machines.guest("sut", 0)
            machines.guest("peer", 1)
            machines.guest("sut", 0, "movable")
    assert target.asked == [["sut"], ["peer"], ["sut"], ["sut", "peer"], ["sut"]]
    assert target.target.alive == set()


def test_after_a_failed_boot_none_waits_for_another():
    target, usual = Gathering(), {("sut", 0, "plain"), ("peer", 0, "plain")}
    with Round(target, GuestSize(), Boots(), print, usual) as machines:
        target.trouble = TargetError("one of them never booted")
        with pytest.raises(TargetError):
            machines.guest("sut", 0)
        target.trouble = None
        machines.guest("sut", 0)
    assert target.asked == [["sut", "peer"], ["sut"]]


def test_after_discarding_the_next_use_boots_anew():
    target = toy()
    with Round(target, GuestSize(), Boots(), print) as machines:
        machines.guest("sut", 0)
        machines.discard()
        assert target.alive == set()
        machines.guest("sut", 0)
    assert (target.alive, target.log.count("boot")) == (set(), 2)


def test_what_a_target_lacks_is_unsupported_and_no_failed_boot():
    boots = Boots()
    with Round(toy(hosts=0), GuestSize(), boots, print) as machines:
        with pytest.raises(Unsupported, match="there is no such host"):
            machines.host(0)
        with pytest.raises(Unsupported, match="the target offers no client machine outside its hosts"):
            machines.client()
    with Round(object(), GuestSize(), boots, print) as machines, \
            pytest.raises(Unsupported, match="the target offers no commands on the machine below its guests"):
        machines.host(0)
    assert boots == Boots()


def test_failed_boots_in_a_row_give_a_target_up():
    boots = Boots(limit=2)
    with Round(toy(unbootable=True), GuestSize(), boots, print) as machines:
        with pytest.raises(TargetError):
            machines.guest("sut", 0)
        boots.succeeded()
        for _ in range(2):
            assert not boots.given_up
            with pytest.raises(TargetError):
                machines.guest("sut", 0)
    assert boots.given_up == "given up after 2 failed boots in a row, the last: the guest never booted"
    assert machines.booting == 30.0


def test_a_step_sees_recorded_machines_and_its_own_random_numbers(tmp_path):
    target = toy()
    with Round(target, GuestSize(), Boots(), print) as machines:
        recorder = evidence.Recorder(tmp_path, STEP, target.clock)
        lab: Lab = StepLab(machines, recorder, Surroundings(target.clock, HERE), "7/step")
        assert lab.clock is target.clock
        assert lab.rng.random() == random.Random("7/step").random()
        lab.guest().run(["toytool", "1"], timeout=5)
        lab.host().run(["toytool", "1"], timeout=5)
        with pytest.raises(Unsupported):
            lab.client()
    assert [item.source for item in recorder.kept()] == ["sut-0", "host-0"]
