"""What keeps runs from being compared; on the samples of the lab and on what is changed in them."""

import itertools
from pathlib import Path

import msgspec
import pytest

from harness import store
from harness.comparability import Kind, differences, doubts, noted, sets

SAMPLES = Path(__file__).parents[3] / "results" / "samples"
BOOKWORM, TRIXIE = (store.head(SAMPLES / name) for name in ("migration", "migration-trixie"))
QUICK = {name: store.head(next((SAMPLES / "quick" / name).glob("2*"))) for name in ("bare", "lab", "lab-podman")}


def told(run, machine, **facts):
    """Return the run with other facts of one machine; None takes one away; two underscores stand for a dot."""
    changed = run.facts.get(machine, {}) | {key.replace("__", "."): value for key, value in facts.items()}
    known = {key: value for key, value in changed.items() if value is not None}
    return msgspec.structs.replace(run, facts=run.facts | {machine: known})


def planned(run, change):
    """Return the run with every planned step changed."""
    steps = tuple(change(step) for step in run.plan.steps)
    return msgspec.structs.replace(run, plan=msgspec.structs.replace(run.plan, steps=steps))


def test_two_stacks_on_one_testbed_may_be_compared_and_what_they_differ_in_is_noted():
    assert differences(BOOKWORM, TRIXIE) == ()
    keys = {each.key for each in noted(BOOKWORM, TRIXIE)}
    assert {"version", "campaign"} <= keys
    assert {each.kind for each in noted(BOOKWORM, TRIXIE)} == {Kind.PLATFORM}


def test_a_container_and_an_emulated_guest_are_told_apart_by_accelerator_and_image():
    found = differences(QUICK["lab"], QUICK["lab-podman"])
    assert [(each.key, each.kind) for each in found] == [("accelerator", Kind.ACCELERATOR), ("image_hash", Kind.IMAGE)]
    assert (found[0].one, found[0].other) == ("tcg", "container")


def test_what_one_side_does_not_tell_is_a_doubt_and_no_difference():
    mute = told(TRIXIE, "target", image_hash=None)
    mute = msgspec.structs.replace(mute, facts={name: facts for name, facts in mute.facts.items()
                                                if not name.startswith("host.")})
    assert differences(BOOKWORM, mute) == ()
    assert doubts(BOOKWORM, mute) == ("image_hash", "host")
    assert doubts(BOOKWORM, TRIXIE) == ()


@pytest.mark.parametrize(("changed", "key", "kind"), [
    (told(TRIXIE, "guest", tool__fio="fio-3.36"), "guest.tool.fio", Kind.TOOLS),
    (told(TRIXIE, "target", accelerator="kvm"), "accelerator", Kind.ACCELERATOR),
    (told(TRIXIE, "target", simulated="true"), "simulated", Kind.ACCELERATOR),
    (told(TRIXIE, "target", image_hash="0123456789abcdef"), "image_hash", Kind.IMAGE),
    (told(TRIXIE, "host.0", cpu__model="Xeon"), "host.0.cpu.model", Kind.HOST),
    (told(TRIXIE, "client", cpu__threads="64"), "client.cpu.threads", Kind.HOST),
    (told(TRIXIE, "host.1", memory__total="8000000000"), "host.1.memory.total", Kind.HOST),
    (msgspec.structs.replace(TRIXIE, version="0.0.9"), "virtmark", Kind.TOOLS),
    (planned(TRIXIE, lambda step: msgspec.structs.replace(step, params=step.params | {"moves": 99})),
     "stage.idle.moves", Kind.WORKLOAD),
    (planned(TRIXIE, lambda step: msgspec.structs.replace(step, warmup=True)), "stage.idle", Kind.WORKLOAD),
])
def test_each_thing_that_must_agree_is_named(changed, key, kind):
    assert (key, kind) in [(each.key, each.kind) for each in differences(BOOKWORM, changed)]


@pytest.mark.parametrize("changed", [
    told(TRIXIE, "host.0", memory__total=str(25276063744 + 10**8)),
    told(TRIXIE, "host.0", kernel__release="5.10.0", cpu__governor="powersave"),
    told(TRIXIE, "guest", tool__fio=None),
    told(TRIXIE, "target", vendor="Example Corp", product="Example Cloud", disk_cache="writeback"),
    planned(TRIXIE, lambda step: msgspec.structs.replace(step, round=step.round + 10, order=step.order + 100)),
])
def test_what_belongs_to_the_platform_may_differ(changed):
    assert differences(BOOKWORM, changed) == ()


def test_one_product_over_time_may_change_its_version_but_not_its_name_or_set_up():
    assert differences(BOOKWORM, TRIXIE, same_product=True) == ()
    other = told(TRIXIE, "target", vendor="Example Corp", disk_cache="writeback")
    assert {each.key for each in differences(BOOKWORM, other, same_product=True)} == {"vendor", "disk_cache"}


def test_runs_fall_into_sets_whose_members_agree_whatever_their_order():
    runs = [BOOKWORM, QUICK["lab"], TRIXIE, QUICK["lab-podman"], QUICK["bare"]]
    assert sets(runs) == ((0, 2), (1,), (3,), (4,))
    for order in itertools.islice(itertools.permutations(range(5)), 0, None, 17):
        found = {frozenset(order[place] for place in group) for group in sets([runs[place] for place in order])}
        assert found == {frozenset(group) for group in sets(runs)}


def test_another_scenario_is_named_once_and_not_stage_by_stage():
    found = differences(BOOKWORM, QUICK["lab"])
    assert found[0].key == "scenario.name"
    assert {each.kind for each in found} == {Kind.SCENARIO, Kind.IMAGE}


@pytest.mark.parametrize("other", [TRIXIE, *QUICK.values()])
def test_a_difference_holds_both_ways(other):
    there = {(each.key, each.one, each.other) for each in differences(BOOKWORM, other)}
    assert there == {(each.key, each.other, each.one) for each in differences(other, BOOKWORM)}
    assert differences(other, other) == ()
