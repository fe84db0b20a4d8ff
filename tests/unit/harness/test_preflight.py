"""What is known before the first round: machines, tools, and from where the target is watched."""

import dataclasses

import pytest

from drivers.targets.bare import Bare
from harness import masking, plan, preflight, scenario
from harness.errors import InputError
from harness.model import GuestSize, Scenario, Stage
from harness.preflight import Site
from harness.rounds import Boots
from harness.scenario import Placed
from harness.surroundings import Vantage

STEPS = plan.make([Scenario(name="q", title="Q", stage=(
    Stage(workload="toyload", arms={"where": ("guest", "host")}), Stage(workload="toytrue"),
    Stage(workload="toyclient")))], ["a"], seed=1).plans[0].steps


def looked(placed, steps=STEPS):
    said = []
    site = Site(placed, Boots(), {"controller": {"os.name": "here"}})
    preflight.look(site, steps, GuestSize(), said.append)
    return site, said


def toy(**settings):
    return scenario.build({"driver": "toytarget", "name": "toy"} | settings, "x")


@pytest.fixture
def bare(tmp_path):
    return Placed("bare", Bare(directory=str(tmp_path)), {}, masking.UNMASKED)


def test_this_machine_is_its_own_guest_and_watched_once(bare, tmp_path):
    site, said = looked(bare)
    assert set(site.facts) == {"controller", "target", "guest"}
    assert site.facts["guest"]["kernel.release"]
    assert site.vantage == Vantage("host", inside=False)
    assert site.boot is not None
    assert site.lacking.keys() == {("toyload", "guest"), ("toyclient", "guest")}   # there is `true`, but no toytool
    assert sorted(line.partition(":")[0] for line in said) == ["toyclient", "toyload"]
    assert list(tmp_path.iterdir()) == []


def test_a_target_elsewhere_is_watched_from_the_controller():
    site, said = looked(toy(hosts=3))
    assert set(site.facts) == {"controller", "target", "guest", "host.0", "host.1", "host.2"}
    assert site.vantage == Vantage("controller", inside=True)
    assert site.boot == 10.0
    missing = "toytrue: true is missing on guest sut-0 of toy; there, run: apt-get install true"
    assert said == ["toy: cleaned: an old guest", missing]
    assert site.placed.target.log[-1].startswith("removed")


def test_a_target_that_cannot_be_reached_is_given_up_at_once():
    site, said = looked(toy(unreachable=True))
    assert site.boots.given_up == "the target cannot be used: no route to toyland"
    assert said[-1] == f"toy: {site.boots.given_up}"
    assert set(site.facts) == {"controller"}


def test_a_guest_that_does_not_boot_may_boot_later():
    site, said = looked(toy(unbootable=True))
    assert (site.boots.failed, site.boots.given_up, site.boot) == (1, "", None)
    assert said[-1] == "toy: the guest never booted"
    assert set(site.facts) == {"controller", "target"}


def test_a_driver_that_crashes_is_told_by_the_kind_of_its_error():
    class Crashing:
        def clean(self):
            raise ZeroDivisionError("oops")

        def facts(self):
            return {}

        def guest(self, spec):
            raise NotImplementedError

    _, said = looked(Placed("bad", Crashing(), {}, masking.UNMASKED))
    assert said == ["bad: the target cannot be used: ZeroDivisionError: oops"]


def test_kinds_of_steps_are_looked_up_once():
    assert sorted((workload, place) for workload, place, _ in preflight.uses(STEPS)) == [
        ("toyclient", "guest"), ("toyload", "guest"), ("toyload", "host"), ("toytrue", "guest")]


@pytest.mark.parametrize(("machine", "key", "outcome"), [
    ("target", "product", "refused"), ("target", "seed", "noted"), ("guest", "kernel.release", "noted"),
    ("guest", "state.load", "nothing"),
])
def test_what_changed_since_the_run_began(machine, key, outcome):
    site = dataclasses.replace(Site(toy(), Boots()), facts={machine: {key: "new"}})
    said = []
    before = {machine: {key: "old"}, "gone": {"x": "y"}}
    if outcome == "refused":
        with pytest.raises(InputError, match=r"^toy: since the run began, target's product went from 'old' to 'new'; "):
            preflight.compare(before, site, said.append)
    else:
        preflight.compare(before, site, said.append)
    assert said == ([f"toy: since the run began, {machine}'s {key} went from 'old' to 'new'"]
                    if outcome == "noted" else [])
