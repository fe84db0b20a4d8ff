"""The whole road on the simulated platform: from files to findings, twice the same, stopped and resumed, gone wrong."""

import json
import signal
from datetime import UTC, datetime

import pytest

from harness import plan, profile, runner, scenario, store, verdict
from harness.cli import main
from harness.model import Status
from harness.stats.records import Verdict

SCENARIO = """
name = "small"
title = "Small"
[repetition]
rounds = 6
[[stage]]
workload = "compute"
params = { duration = "1s" }
arms = { where = ["guest", "host"] }
[[stage]]
workload = "network"
params = { measure = "rtt", path = "cross-host", duration = "1s" }
"""
PROFILE = """
name = "limits"
title = "Limits"
[[requirement]]
indicator = "CPU-03"
limit = "<= 15 %"
source = "user"
[[requirement]]
indicator = "CPU-01"
limit = ">= 600 /s"
source = "user"
"""
OPTIONS = runner.Options(wall=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


@pytest.fixture
def files(tmp_path):
    """Write a scenario, a profile, a good and a slow target; return their paths by name."""
    texts = {"small": SCENARIO, "limits": PROFILE, "good": 'driver = "fake"\noverhead = "5%"\n',
             "slow": 'driver = "fake"\nseed = 2\nspeed = 0.5\noverhead = "40%"\n'}
    for name, text in texts.items():
        (tmp_path / f"{name}.toml").write_text(text)
    return {name: tmp_path / f"{name}.toml" for name in texts}


def carry_out(files, out, *names, watch=runner.SILENT):
    targets = [scenario.target(files[name]) for name in names]
    campaign = plan.make([scenario.load(files["small"])], [placed.name for placed in targets], seed=4)
    return runner.execute(campaign, targets, out, options=OPTIONS, watch=watch)


def judged(files, outcome):
    runs = [store.load(folder) for folder in outcome.folders]
    return {(f.target, f.indicator): f for f in verdict.judge(runs, profile.load(files["limits"]))}


def test_from_files_to_findings(files, tmp_path):
    outcome = carry_out(files, tmp_path / "out", "good", "slow")
    assert outcome.counts == {Status.DONE: 2 * 3 * 6}
    found = judged(files, outcome)
    assert found["good", "CPU-03"].verdict is Verdict.PASS
    assert found["slow", "CPU-03"].verdict is Verdict.FAIL
    assert found["good", "CPU-01"].verdict is Verdict.PASS
    assert found["slow", "CPU-01"].verdict is Verdict.FAIL
    assert found["good", "NET-04"].verdict is Verdict.MEASURED
    assert found["slow", "CPU-03"].estimate.estimate == pytest.approx(0.4, abs=0.03)
    for folder in outcome.folders:
        assert store.load(folder).facts["target"]["simulated"] == "true"
        assert store.verify(folder) == []


def contents(out):
    """Return every file of the runs below `out` but run.json, which tells of this machine's load."""
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*"))
            if path.is_file() and path.name not in (store.RUN, store.LOCK)}


def test_same_seed_same_bytes(files, tmp_path):
    for name in ("one", "two"):
        carry_out(files, tmp_path / name, "good", "slow")
    first, second = contents(tmp_path / "one"), contents(tmp_path / "two")
    assert first.keys() == second.keys()
    assert {name for name in first if first[name] != second[name]} == set()
    assert len(first) > 2 * 3 * 6


class Interrupting:
    """A watch that presses Ctrl-C at a step."""

    def __init__(self, at):
        self.at = at

    def campaign(self, campaign, steps, seconds):
        pass

    def begin(self, step, left):
        if step.order == self.at:
            signal.raise_signal(signal.SIGINT)

    def end(self, result, left):
        pass

    def note(self, text):
        pass


def test_stopped_and_continued(files, tmp_path):
    cut = carry_out(files, tmp_path / "cut", "good", "slow", watch=Interrupting(at=13))
    assert cut.exit_code == 2
    assert sum(cut.counts.values()) == 13
    again = runner.resume(cut.folders[0], options=OPTIONS)
    assert (again.exit_code, again.counts) == (0, {Status.DONE: 36})
    whole = carry_out(files, tmp_path / "whole", "good", "slow")
    for one, two in zip(again.folders, whole.folders, strict=True):
        first, second = store.load(one), store.load(two)
        assert first.plan == second.plan
        assert [result.step for result in first.results] == [result.step for result in second.results]
        assert [[item.argv[:1] for item in r.evidence] for r in first.results] == [
            [item.argv[:1] for item in r.evidence] for r in second.results]
        assert store.verify(one) == []
    assert {key: f.verdict for key, f in judged(files, again).items()} == {
        key: f.verdict for key, f in judged(files, whole).items()}


@pytest.mark.parametrize("how", ["dies", "text", "nan", "missing"])
def test_a_tool_that_goes_wrong_spoils_its_own_finding_only(files, tmp_path, how):
    files["good"].write_text(f'driver = "fake"\nfailures = [{{ tool = "sysbench", how = "{how}", every = 7 }}]\n')
    outcome = carry_out(files, tmp_path / "out", "good")
    found = judged(files, outcome)
    broken = outcome.counts.get(Status.BROKEN, 0)
    if broken:
        assert outcome.exit_code == 2
        assert found["good", "CPU-03"].verdict is Verdict.INVALID
        assert all(result.error for result in store.load(outcome.folders[0]).results if result.status is Status.BROKEN)
    assert how == "text" or broken
    assert found["good", "NET-04"].verdict is Verdict.MEASURED


def test_the_command_line(files, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["run", str(files["small"]), "-t", str(files["good"]), "-t", str(files["slow"]), "--out", str(out)]
    assert main([*arguments, "--json"]) == 0
    folders = json.loads(capsys.readouterr().out)["folders"]
    assert main(["judge", *folders, "--profile", str(files["limits"]), "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["verdict"] == "FAIL"
    assert said["counts"]["PASS"] == 2
    assert main(["judge", folders[0], "--profile", str(files["limits"])]) in (0, 3)
    assert main(["run", "--resume", folders[0]]) == 0
    assert main(["run", str(files["small"]), "-t", str(tmp_path / "none.toml")]) == 2
    assert "none.toml: No such file or directory" in capsys.readouterr().err
