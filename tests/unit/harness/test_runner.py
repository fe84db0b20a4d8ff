"""Carrying out a campaign: what breaks stays where it broke, everything is cleaned up, and nothing is lost."""

import errno
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

import drivers.targets
from harness import plan, runner, scenario, store
from harness.errors import InputError, VirtmarkError
from harness.model import Repetition, Scenario, Stage, Status

ROOT = Path(__file__).parents[3]
ARMS = Stage(workload="toyload", grid={"depth": (1, 8)}, arms={"where": ("guest", "host")})
QUICK = Scenario(name="quick", title="Quick", stage=(ARMS,), repetition=Repetition(rounds=3))
OPTIONS = runner.Options(wall=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


class Listening:
    """A watch that keeps what it is told."""

    def __init__(self):
        self.notes, self.order, self.left, self.campaigns = [], [], [], []

    def campaign(self, campaign, steps, seconds):
        self.campaigns.append((len(campaign.plans), steps, seconds))

    def begin(self, step, left):
        self.order.append(f"{step.target} {step.id}")
        self.left.append(left)

    def end(self, result, left):
        self.order.append(result.status)
        self.left.append(left)

    def note(self, text):
        self.notes.append(text)


def target(name="toy", **settings):
    return scenario.build({"driver": "toytarget", "name": name} | settings, "test")


def go(out, *targets, scenarios=(QUICK,), watch=None, seed=1):
    campaign = plan.make(list(scenarios), [placed.name for placed in targets], seed=seed)
    return runner.execute(campaign, targets, out, watch=watch or Listening(), options=OPTIONS)


def statuses(folder):
    return [result.status for result in store.load(folder).results]


def one(**stage):
    return Scenario(name="one", title="One", repetition=Repetition(rounds=2),
                    stage=(Stage(workload="toyload", **stage),))


def test_a_campaign_leaves_whole_folders(tmp_path):
    a, b = target("a"), target("b")
    watch = Listening()
    outcome = go(tmp_path, a, b, watch=watch)
    assert (outcome.exit_code, outcome.stopped, outcome.counts) == (0, "", {Status.DONE: 24})
    assert outcome.folders == (tmp_path / "a/20260102T030405Z-quick", tmp_path / "b/20260102T030405Z-quick")
    runs = [store.load(folder) for folder in outcome.folders]
    assert runs[0].plan.campaign == runs[1].plan.campaign
    for run, folder in zip(runs, outcome.folders, strict=True):
        assert [result.step for result in run.results] == list(run.plan.steps)
        assert run.created == "2026-01-02T03:04:05.000Z"
        assert set(run.facts) == {"target", "controller", "guest", "host.0"}
        assert run.facts["guest"] == {"os.name": "Toy OS", "kernel.release": "1.0"}
        assert store.verify(folder) == []
        assert all(result.evidence and result.series for result in run.results)
    assert watch.campaigns == [(2, 24, pytest.approx(24 * 5.5 + 6 * 10))]


def test_rounds_are_interleaved_and_every_round_boots_anew(tmp_path):
    a, b = target("a"), target("b")
    watch = Listening()
    go(tmp_path, a, b, watch=watch)
    steps = [line.split()[0] for line in watch.order if " " in line]
    assert "".join(steps) == "aaaabbbb" + "bbbbaaaa" + "aaaabbbb"
    for placed in (a, b):
        log = placed.target.log
        assert log.count("boot") == 1 + 3
        assert log[0] == "clean"
        assert log[-1] == "closed"
        assert not placed.target.alive
        assert [line for line in log if line.startswith("removed sut")] == ["removed sut-0"] * 4


def test_same_seed_same_bytes(tmp_path):
    for out in ("one", "two"):
        go(tmp_path / out, target("a"), target("b"))
    files = [{path.relative_to(tmp_path / out): path.read_bytes() for path in sorted((tmp_path / out).rglob("*"))
              if path.is_file() and path.name != "run.json"} for out in ("one", "two")]
    assert len(files[0]) == 2 * (1 + 12 + 2)   # steps and settings, one output a step, the lock
    assert files[0] == files[1]


def test_times_are_those_of_the_target_and_booting_is_told(tmp_path):
    outcome = go(tmp_path, target("a"), scenarios=[one()])
    first, second = store.load(outcome.folders[0]).results
    for result in (first, second):
        assert (result.elapsed, result.conditions["boot"]) == (15.0, 10.0)
        assert result.evidence[0].start == 10.0
        assert result.telemetry == ()


def test_the_time_left_shrinks_to_nothing(tmp_path):
    watch = Listening()
    go(tmp_path, target("a"), watch=watch)
    assert watch.left == sorted(watch.left, reverse=True)
    assert watch.left[-1] == 0


@pytest.mark.parametrize(("trouble", "error", "files"), [
    ("tool", "ToolError: toytool: printed nonsense", ["01-toytool.out"]),
    ("bug", "KeyError: 'a bug in a workload'", ["01-toytool.out", "02-traceback.txt"]),
    ("far", "ValueError: event a b: times must be finite numbers", ["01-toytool.out", "02-traceback.txt"]),
    ("text", "TypeError: a workload yields Series, Event and History, not str", ["01-toytool.out", "02-traceback.txt"]),
    ("nothing", "VirtmarkError: the workload ended without a single result", []),
])
def test_a_broken_step_is_a_result_and_the_others_go_on(tmp_path, trouble, error, files):
    mixed = Scenario(name="m", title="M", repetition=Repetition(rounds=2), stage=(
        Stage(workload="toyload", name="bad", params={"trouble": trouble}), Stage(workload="toyload", name="good")))
    outcome = go(tmp_path, target("a"), scenarios=[mixed])
    assert (outcome.exit_code, outcome.counts) == (2, {Status.DONE: 2, Status.BROKEN: 2})
    results = {result.step.stage: result for result in store.load(outcome.folders[0]).results}
    assert results["bad"].error == error
    assert [item.path.rpartition("/")[2] for item in results["bad"].evidence] == files
    assert results["good"].status is Status.DONE
    assert store.verify(outcome.folders[0]) == []


def test_what_a_target_lacks_is_unsupported_not_broken(tmp_path):
    both = Scenario(name="b", title="B", repetition=Repetition(rounds=1), stage=(
        Stage(workload="toyclient"), Stage(workload="toyload", params={"where": "host"})))
    outcome = go(tmp_path, target("a", hosts=0), scenarios=[both])
    assert (outcome.exit_code, outcome.counts) == (0, {Status.UNSUPPORTED: 2})
    errors = {result.step.stage: result.error for result in store.load(outcome.folders[0]).results}
    assert errors == {"toyclient": "the target does not offer: Viewed", "toyload": "there is no such host"}


def test_a_missing_tool_is_named_with_its_package_before_anything_runs(tmp_path):
    watch = Listening()
    outcome = go(tmp_path, target("a", tools=["fio"]), watch=watch)
    assert (outcome.exit_code, outcome.counts) == (2, {Status.BROKEN: 12})
    advice = "toytool is missing on guest sut-0 of a; there, run: apt-get install toytool"
    assert f"toyload: {advice}" in watch.notes
    errors = {(r.step.params["where"], r.error) for r in store.load(outcome.folders[0]).results}
    assert ("guest", f"VirtmarkError: {advice}") in errors
    assert ("host", f"VirtmarkError: {advice.replace('guest sut-0', 'host host-0')}") in errors


def test_a_guest_that_never_boots_ends_its_target_and_no_other(tmp_path):
    bad, good = target("bad", unbootable=True), target("good")
    outcome = go(tmp_path, bad, good, scenarios=[Scenario(
        name="g", title="G", stage=(Stage(workload="toyload", grid={"depth": (1, 2, 4, 8)}),),
        repetition=Repetition(rounds=2))])
    assert outcome.counts == {Status.DONE: 8, Status.BROKEN: 8}
    assert bad.target.log.count("boot") == 3   # once before the first round, and twice in it
    errors = [result.error for result in store.load(outcome.folders[0]).results]
    assert errors[0] == "TargetError: the guest never booted"
    assert errors[-1] == "given up after 3 failed boots in a row, the last: the guest never booted"
    assert set(statuses(outcome.folders[1])) == {Status.DONE}


def test_an_unreachable_target_is_told_and_the_others_go_on(tmp_path):
    watch = Listening()
    outcome = go(tmp_path, target("far", unreachable=True), target("near"), watch=watch)
    assert outcome.counts == {Status.DONE: 12, Status.BROKEN: 12}
    assert "far: the target cannot be used: no route to toyland" in watch.notes
    assert {result.error for result in store.load(outcome.folders[0]).results} == {
        "the target cannot be used: no route to toyland"}


def test_after_a_lost_guest_the_next_step_gets_a_fresh_one(tmp_path):
    placed = target("a", lost_at=2)
    outcome = go(tmp_path, placed, scenarios=[one(grid={"depth": (1, 2, 4)})])
    assert statuses(outcome.folders[0]) == [Status.DONE, Status.BROKEN] + [Status.DONE] * 4
    results = store.load(outcome.folders[0]).results
    assert results[1].error == "TargetError: sut-0 is gone"
    assert ["boot" in result.conditions for result in results] == [True, False, True, True, False, False]
    assert not placed.target.alive


def test_secrets_are_nowhere_in_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VIRTMARK_TEST_TOKEN", "hunter2hunter2")
    outcome = go(tmp_path, target("a", token_env="VIRTMARK_TEST_TOKEN"), scenarios=[one(params={"trouble": "bug"})])
    kept = [path.read_bytes() for path in outcome.folders[0].rglob("*") if path.is_file()]
    assert any(b"***" in data for data in kept)
    assert not any(b"hunter2" in data for data in kept)
    assert store.verify(outcome.folders[0]) == []


def test_folders_and_targets_are_not_shared(tmp_path):
    go(tmp_path, target("a"))
    with pytest.raises(InputError, match="exists already; a run folder is never used twice"):
        go(tmp_path, target("a"))
    later = runner.Options(wall=lambda: datetime(2027, 1, 1, tzinfo=UTC))
    campaign = plan.make([QUICK], ["a"], seed=1)
    with store.hold(tmp_path / "a"), pytest.raises(InputError, match="another virtmark process is at work here"):
        runner.execute(campaign, [target("a")], tmp_path, options=later)
    with pytest.raises(InputError, match="target 'a' is in the plan but was not given"):
        runner.execute(campaign, [target("b")], tmp_path, options=later)


def test_several_scenarios_get_a_folder_each(tmp_path):
    outcome = go(tmp_path, target("a"), target("b"), scenarios=[QUICK, one()])
    assert [str(folder.relative_to(tmp_path)) for folder in outcome.folders] == [
        "a/20260102T030405Z-quick", "b/20260102T030405Z-quick", "a/20260102T030405Z-one", "b/20260102T030405Z-one"]
    assert outcome.counts == {Status.DONE: 28}


def comparable(out):
    """Return steps and raw files of all runs below `out`; only the mark of a resumed round may differ."""
    found = {}
    for folder in store.runs(out):
        results = store.load(folder).results
        found[str(folder.relative_to(out))] = [msgspec.structs.replace(result, conditions={
            key: value for key, value in result.conditions.items() if key not in ("round.resumed", "boot")},
            elapsed=0.0, evidence=tuple(msgspec.structs.replace(item, start=0.0) for item in result.evidence))
            for result in results]
        found |= {str(path.relative_to(out)): path.read_bytes() for path in folder.rglob("*.out")}
    return found


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_an_interrupt_cleans_up_and_the_run_can_go_on(tmp_path, name):
    placed = target("a", signal_at=6, signal_name=name)
    outcome = go(tmp_path / "cut", placed, target("b"))
    assert outcome.exit_code == 2
    assert outcome.stopped == ("interrupted; everything is cleaned up. "
                               f"To go on: virtmark run --resume {outcome.folders[0]}")
    assert not placed.target.alive
    assert placed.target.log[-1] == "closed"
    done = sum(len(statuses(folder)) for folder in outcome.folders)
    assert done == 4 + 4 + 4 + 1     # a, b, b and one step of a's second round

    watch = Listening()
    again = runner.resume(outcome.folders[1], watch=watch, options=OPTIONS, targets=[target("a"), target("b")])
    assert (again.exit_code, again.counts, again.folders) == (0, {Status.DONE: 24}, outcome.folders)
    assert len(watch.order) == 2 * (24 - done)
    go(tmp_path / "whole", target("a"), target("b"))
    assert comparable(tmp_path / "cut") == comparable(tmp_path / "whole")
    resumed = [result.step.id for result in store.load(outcome.folders[0]).results
               if "round.resumed" in result.conditions]
    assert len(resumed) == 3
    assert all(store.verify(folder) == [] for folder in again.folders)


def test_an_interrupt_waits_until_the_line_is_written(tmp_path, monkeypatch):
    real = store._write_at

    def interrupted(file, data, place):
        if place:
            os.kill(os.getpid(), signal.SIGINT)
        real(file, data, place)

    monkeypatch.setattr(store, "_write_at", interrupted)
    watch = Listening()
    outcome = go(tmp_path, target("a"), watch=watch)
    assert outcome.stopped
    assert outcome.counts == {Status.DONE: 2}
    assert len(statuses(outcome.folders[0])) == 2


SCRIPT = """
import drivers.targets, drivers.workloads, sys
from pathlib import Path
from datetime import UTC, datetime
for package in (drivers.targets, drivers.workloads):
    package.__path__.append(str(Path("tests/plugins") / package.__name__.partition(".")[2]))
from harness import plan, runner, scenario
from harness.model import Repetition, Scenario, Stage
arms = Stage(workload="toyload", grid={"depth": (1, 8)}, arms={"where": ("guest", "host")})
quick = Scenario(name="quick", title="Quick", stage=(arms,), repetition=Repetition(rounds=3))
targets = [scenario.build({"driver": "toytarget", "name": name, "signal_at": int(at), "signal_name": "SIGKILL"}, "test")
           for name, at in zip("ab", sys.argv[2:])]
wall = lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
runner.execute(plan.make([quick], ["a", "b"], seed=1), targets, Path(sys.argv[1]), options=runner.Options(wall=wall))
"""


@pytest.mark.parametrize(("at_a", "at_b", "done"), [(1, 0, 0), (0, 3, 6), (12, 0, 19)])
def test_after_kill_9_the_run_goes_on_where_it_stopped(tmp_path, at_a, at_b, done):
    argv = [sys.executable, "-c", SCRIPT, str(tmp_path / "cut"), str(at_a), str(at_b)]
    killed = subprocess.run(argv, cwd=ROOT, check=False)
    assert killed.returncode == -9
    folders = store.runs(tmp_path / "cut")
    assert sum(len(statuses(folder)) for folder in folders) == done
    watch = Listening()
    outcome = runner.resume(tmp_path / "cut", watch=watch, options=OPTIONS, targets=[target("a"), target("b")])
    assert outcome.counts == {Status.DONE: 24}
    go(tmp_path / "whole", target("a"), target("b"))
    assert comparable(tmp_path / "cut") == comparable(tmp_path / "whole")


def test_targets_are_built_again_from_the_folder(tmp_path):
    outcome = go(tmp_path, target("a", signal_at=3, rate=50.0))
    before = (outcome.folders[0] / store.TARGET).read_text()
    (outcome.folders[0] / store.TARGET).write_text(before.replace('"signal_at": 3', '"signal_at": 0'))
    assert runner.resume(outcome.folders[0], options=OPTIONS).counts == {Status.DONE: 12}
    assert {round(result.series[0].values[0], -1) for result in store.load(outcome.folders[0]).results} <= {50, 100}


def test_a_finished_run_has_nothing_to_resume(tmp_path):
    outcome = go(tmp_path, target("a"))
    placed = target("a")
    assert runner.resume(outcome.folders[0], targets=[placed]).counts == {Status.DONE: 12}
    assert placed.target.log == []


def test_what_to_resume_must_be_clear(tmp_path):
    with pytest.raises(InputError, match=r"holds no unfinished campaigns; name one of their folders"):
        runner.resume(tmp_path)
    go(tmp_path, target("a", signal_at=3))
    go(tmp_path, target("b", signal_at=3), seed=2)
    with pytest.raises(InputError, match=r"holds 2 unfinished campaigns; name one of their folders"):
        runner.resume(tmp_path)


def test_a_run_is_not_continued_on_another_product(tmp_path):
    outcome = go(tmp_path, target("a", signal_at=3))
    with pytest.raises(InputError, match=r"^a: since the run began, target's vendor went from 'Toys' to 'Other'; beg"):
        runner.resume(outcome.folders[0], targets=[target("a", vendor="Other")])


def test_a_full_disk_stops_clearly_and_loses_nothing(tmp_path, monkeypatch):
    placed = target("a")
    real, calls = store._write_at, []

    def full(file, data, place):
        calls.append(place)
        if len(calls) == 6:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(file, data, place)

    monkeypatch.setattr(store, "_write_at", full)
    with pytest.raises(VirtmarkError, match=r": No space left on device; nothing recorded is lost\. To go on: "):
        go(tmp_path, placed)
    assert not placed.target.alive
    (folder,) = store.runs(tmp_path)
    assert len(statuses(folder)) == 5
    assert runner.resume(folder, options=OPTIONS, targets=[target("a")]).counts == {Status.DONE: 12}


def test_a_full_disk_while_evidence_is_written(tmp_path, monkeypatch):
    def full(self, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(VirtmarkError, match=r"01-toytool\.out: No space left on device; nothing recorded is lost"):
        go(tmp_path, target("a"))


def test_errors_while_removing_guests_are_noted_and_results_stay(tmp_path):
    kind = type(target("a").target)

    class Sticky(kind, frozen=True, kw_only=True, dict=True):
        def _machine(self, name, factor=1.0):
            context = super()._machine(name, factor)
            return Clinging(context)

    class Clinging:
        def __init__(self, context):
            self.context = context

        def __enter__(self):
            return self.context.__enter__()

        def __exit__(self, *trouble):
            self.context.__exit__(*trouble)
            raise RuntimeError("it would not go")

    watch = Listening()
    placed = scenario.Placed("a", Sticky(), {"driver": "toytarget", "name": "a"}, scenario.Mask())
    outcome = go(tmp_path, placed, watch=watch)
    assert outcome.counts == {Status.DONE: 12}
    assert "while removing the machines of a round: RuntimeError: it would not go" in watch.notes


def test_the_toys_are_found_like_any_driver():
    assert len(drivers.targets.__path__) == 2
