"""What a stage may say of load beside it, what becomes of that in plan and comparison, and no error hides another."""

import msgspec
import pytest

from harness import codec, comparability, plan, scenario, store
from harness.cli import main
from harness.errors import InputError
from harness.model import Quick, Scenario, Stage, Status, Step
from tests.support import generator

LOADED = Stage(workload="toyload", background={"rate": "20/s"}, arms={"where": ("guest", "host")})
SCENARIO = Scenario(name="s", title="S", stage=(LOADED,), quick=Quick())
LATER = 'arrivals = "poisson", rate = "0.0001/s"'     # nothing comes to be sent, which no step may hide
FAILS = 'driver = "fake"\n[[failures]]\ntool = "sysbench"\nhow = '
NOTHING = "background: locust: no request was sent in "


def checked(**background):
    made = msgspec.structs.replace(SCENARIO, stage=(msgspec.structs.replace(LOADED, background=background),))
    scenario.check(made, "f.toml")


def ran(folder, background, params="", target='driver = "fake"\n'):
    """Run a stage of compute on the simulated target; return exit status and the step's result."""
    (folder / "under.toml").write_text(generator.BESIDE.format(
        workload="compute", background=background, params=f'duration = "5s"{params}'))
    (folder / "t.toml").write_text(target)
    code = main(["run", str(folder / "under.toml"), "-t", str(folder / "t.toml"), "--out", str(folder / "results")])
    return code, store.load(next(folder.glob("results/t/2*"))).results[0]


def test_what_makes_sense_beside_another_workload_is_taken():
    checked(rate="5/s", request="GET / 3, POST /claim", patience="5s", url="http://10.0.0.9", model="open",
            shape="soak", workers=1, arrivals="poisson", generator="client", connections=10, body="x")


@pytest.mark.parametrize(("background", "said"), [
    ({"model": "closed"}, ".model: 'closed' makes no sense beside another workload; allowed: 'open'"),
    ({"shape": "spike"}, ".shape: 'spike' makes no sense beside another workload; allowed: 'constant', 'soak'"),
    ({"workers": 2}, ".workers: 2 makes no sense beside another workload; allowed: 1"),
    ({"through": True}, ".through: True makes no sense beside another workload; allowed: False"),
    ({"machines": "ssh://a"}, ": 'machines' makes no sense beside another workload; allowed: rate, request, "),
    ({"locustfile": "shop.py"}, ": 'locustfile' makes no sense beside another workload; allowed: rate, request, "),
    ({"duration": "5s"}, ": 'duration' makes no sense beside another workload; allowed: rate, request, "),
    ({"speed": 3}, ": unknown key 'speed'; allowed: rate, request, "),
    ({"rate": 20}, ".rate: 20 "),
    ({"patience": "1h"}, ": patience must be between 0.1s and 17s"),
    ({"request": "LOOK /"}, ": request: 'LOOK /' is none; "),
    ({"url": "ftp://a"}, ": url and gateway must begin with http:// or https://"),
])
def test_what_does_not_is_refused_in_one_line_with_stage_and_key(background, said):
    with pytest.raises(InputError) as caught:
        checked(**background)
    assert str(caught.value).startswith(f"f.toml: stage[0].background{said}")
    assert "\n" not in str(caught.value)


def test_a_workload_with_load_of_its_own_is_refused():
    stage = Stage(workload="microservice", background={"rate": "20/s"})
    with pytest.raises(InputError, match=r"^f\.toml: stage\[0\]\.background: microservice brings load of its own; "):
        scenario.check(msgspec.structs.replace(SCENARIO, stage=(stage,)), "f.toml")


def test_it_stands_in_every_step_of_a_plan_its_quick_look_and_its_second_stage():
    for made in (SCENARIO, plan.quick(SCENARIO)):
        campaign = plan.make([made], ["a", "b"], seed=1)
        campaign = plan.extend(campaign, {made.name: made.repetition.rounds + 1})
        steps = [step for each in campaign.plans for step in each.steps]
        assert len(steps) == 4 * (made.repetition.rounds + 1)
        assert all(step.background == {"rate": "20/s"} for step in steps)


def test_it_takes_its_time():
    alone = msgspec.structs.replace(SCENARIO, stage=(msgspec.structs.replace(LOADED, background={}),))
    longer, shorter = (plan.estimate(plan.make([made], ["a"], seed=1)).seconds for made in (SCENARIO, alone))
    assert longer - shorter == pytest.approx(10 * plan.BESIDE)


def test_a_step_of_an_older_run_has_nothing_beside_it():
    (step, *_) = plan.make([SCENARIO], ["a"], seed=1).plans[0].steps
    old = codec.plain(step)
    del old["background"]
    assert codec.decode(Step, codec.encode(old), "x") == msgspec.structs.replace(step, background={})


def test_runs_with_another_load_beside_them_are_not_comparable():
    runs = []
    for background in ({"rate": "20/s"}, {"rate": "40/s"}, {}):
        made = msgspec.structs.replace(SCENARIO, stage=(msgspec.structs.replace(LOADED, background=background),))
        (one,) = plan.make([made], ["a"], seed=1).plans
        runs.append(store.Run(plan=one, facts={}, created="2026-10-01T10:00:00Z", version="1"))
    assert not comparability.differences(runs[0], runs[0])
    assert [(each.key, each.one, each.other) for each in comparability.differences(runs[0], runs[1])] == [
        ("stage.toyload.background.rate", "20/s", "40/s")]
    assert [each.other for each in comparability.differences(runs[0], runs[2])] == [""]


def test_the_plan_tells_of_it(capsys):
    assert main(["plan", "under-load", "-t", "fake"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all(line.endswith("  beside it: rate = 20/s, request = GET /, patience = 10s") for line in lines)


def test_a_load_that_cannot_begin_is_named_and_the_workload_is_not_begun(tmp_path):
    code, result = ran(tmp_path, 'url = "http://10.9.9.9"')
    assert (code, result.status) == (2, Status.BROKEN)
    assert result.error == "ToolError: background: locust: http://10.9.9.9: cannot be reached: No route to host"
    assert not result.series


def test_a_load_that_failed_breaks_the_step_and_leaves_what_the_workload_saw(tmp_path):
    code, result = ran(tmp_path, LATER)
    assert (code, result.status) == (2, Status.BROKEN)
    assert result.error.startswith(f"ToolError: {NOTHING}")
    assert {each.metric for each in result.series} >= {"cpu.rate"}


def test_where_both_fail_both_are_told_the_workloads_error_first(tmp_path):
    code, result = ran(tmp_path, LATER, target=FAILS + '"missing"')
    assert (code, result.status) == (2, Status.BROKEN)
    first, second = result.error.split("; ")
    assert first.startswith("ToolError: sysbench: no such program")
    assert second.startswith(NOTHING)


def test_where_only_the_workload_fails_what_went_on_beside_it_is_kept(tmp_path):
    _, result = ran(tmp_path, 'rate = "50/s"', target=FAILS + '"dies"')
    assert result.status is Status.BROKEN
    assert "background" not in result.error
    assert [history.kind for history in result.histories] == ["load"]


def test_a_workload_that_asks_for_no_guest_leaves_nothing_to_load(tmp_path):
    _, result = ran(tmp_path, 'rate = "50/s"', params=', where = "host", threads = 1')
    assert result.status is Status.BROKEN
    assert result.error.endswith("background: the step's workload asked for no guest, so that nothing began beside it")
