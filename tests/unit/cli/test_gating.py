"""`virtmark gate` and `noise` as a user or a CI job calls them, on runs of the simulated target."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness import plan, runner, scenario, store
from harness.cli import main

SCENARIO = """
name = "small"
title = "Small"
[repetition]
rounds = 5
[[stage]]
workload = "memory"
params = { measure = "bandwidth", span = "64MiB", duration = "1s" }
[[stage]]
workload = "compute"
params = { duration = "1s" }
arms = { where = ["guest", "host"] }
"""
FILES = {"target": "site", "scenario": "small"}
BENCHMARKS = sorted((Path(__file__).parents[2] / "data" / "imports" / "pytest_benchmark").glob("round-*.json"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return a folder with twelve daily runs of a simulated product that gets 10 % slower with version 1.7."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "small.toml").write_text(SCENARIO)
    small = scenario.load(folder / "small.toml")
    for day in range(12):
        placed = target(folder, seed=day + 1, version=f"1.{day}", speed=1.0 if day < 7 else 1 / 1.1)
        options = runner.Options(wall=lambda day=day: datetime(2026, 1, 1 + day, tzinfo=UTC) + timedelta(hours=1))
        runner.execute(plan.make([small], ["site"], seed=1), [placed], folder / "runs", options=options)
    return folder


def target(folder, **settings):
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
    (folder / "site.toml").write_text(f'driver = "fake"\nnoise = "0.5%"\n{lines}\n')
    return scenario.target(folder / "site.toml")


@pytest.fixture
def run(site):
    """Return the folder of the run of a day."""
    return lambda day: str(site / "runs" / "site" / f"202601{day + 1:02}T010000Z-small")


def test_a_slower_version_fails_the_gate_and_every_format_says_so(run, tmp_path, capsys, monkeypatch):
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    formats = [part for name in ("junit", "sarif", "markdown") for part in (f"--{name}", str(tmp_path / "out" / name))]
    assert main(["gate", run(8), "--baseline", run(0), *formats, "--github"]) == 1
    said = capsys.readouterr()
    assert re.search(r"^worse +CPU-01 +compute ", said.out, re.MULTILINE)
    assert "::error title=CPU-01 compute%3A worse (site)::loss +" in said.out
    assert "SIMULATED: nothing here was measured" in said.err
    assert '<failure message="worse: loss +' in (tmp_path / "out" / "junit").read_text()
    assert json.loads((tmp_path / "out" / "sarif").read_text())["runs"][0]["results"]
    assert summary.read_text() == "before\n" + (tmp_path / "out" / "markdown").read_text()


def test_the_same_version_passes(run, capsys):
    assert main(["gate", run(3), "-b", run(0), "-b", run(1), "-b", run(2), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["exit_code"] == 0
    assert document["simulated"] is True
    assert {change["contrast"]["n"][1] for change in document["changes"] if change["contrast"]} == {15}


def test_what_is_tolerated_passes(run, capsys):
    assert main(["gate", run(8), "-b", run(0), "--limit", "*.*=25%"]) == 0
    assert "limit 25.00 %" in capsys.readouterr().out


@pytest.mark.parametrize(("argv", "said"), [
    (["--limit", "disk.*=5%"], "'disk.*' matches nothing"), (["--limit", "5%"], "no PATTERN=SHARE"),
    (["--by", "version"], "go with --history"),
    (["--noise", "none.json"], "none.json: No such file"), (["--junit", "/proc/x/y"], "cannot be written")])
def test_a_wrong_option_is_one_line_and_exit_2(run, capsys, argv, said):
    assert main(["gate", run(1), "-b", run(0), *argv]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("virtmark: ")]
    assert said in line


def test_the_floor_is_given_in_percent(run, capsys):
    assert main(["gate", run(8), "-b", run(0), "--floor", "30"]) == 0
    assert "floor 30.00 % (--floor)" in capsys.readouterr().out
    assert main(["gate", run(8), "-b", run(0), "--floor", "much"]) == 2


def test_a_run_is_no_baseline_of_itself(run, capsys):
    assert main(["gate", run(1), "--baseline", run(1)]) == 2
    assert "is RUN and its baseline" in capsys.readouterr().err
    assert main(["gate", run(1)]) == 2
    assert "give RUN and --baseline RUN, or --history DIR" in capsys.readouterr().err


def test_an_unfinished_run_ends_with_2_and_passes_forced(run, tmp_path, capsys):
    whole = store.load(next(iter(store.runs(Path(run(1))))))
    folder = tmp_path / "part"
    store.create(folder, whole, {"driver": "fake"})
    with store.Journal(folder) as journal:
        for result in whole.results[:-1]:
            journal.append(result)
    assert main(["gate", str(folder), "-b", run(0)]) == 2
    assert re.search(r"^missing .*1 of 5 rounds are not run yet", capsys.readouterr().out, re.MULTILINE)
    assert main(["gate", str(folder), "-b", run(0), "--force"]) == 0


def test_a_history_finds_the_version_and_ends_with_1(site, tmp_path, capsys):
    assert main(["gate", "--history", str(site / "runs"), "-o", str(tmp_path / "out"), "--by", "version"]) == 1
    said = capsys.readouterr()
    assert re.search(r"worse +CPU-01 .* worse from 1\.6 to 1\.7: loss \+", said.out)
    assert "12 runs, " in said.err
    assert (tmp_path / "out" / "history.html").exists()
    assert main(["gate", "--history", str(site / "runs"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["label"] == "target.version"


@pytest.mark.parametrize(("argv", "said"), [
    (["--target", "other"], "no run of 'other'; there are: site"), (["--scenario", "x"], "there are: small"),
    (["--by", "target.nothing"], "no run tells 'target.nothing'")])
def test_a_history_of_nothing_is_an_error(site, capsys, argv, said):
    assert main(["gate", "--history", str(site / "runs"), *argv]) == 2
    assert said in capsys.readouterr().err


def test_noise_is_measured_stored_with_the_testbed_and_used_by_the_gate(tmp_path, capsys):
    (tmp_path / "small.toml").write_text(SCENARIO)
    target(tmp_path, seed=3)
    names = [part for kind in ("target", "scenario") for part in (f"--{kind}", str(tmp_path / f"{FILES[kind]}.toml"))]
    assert main(["noise", *names, "--pairs", "4", "--out", str(tmp_path / "runs")]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("SIMULATED noise of site, small, A/A pairs in ABBA order")
    place = tmp_path / "runs" / "site" / "noise.json"
    noise = json.loads(place.read_text())
    assert (noise["target"], noise["pairs"], noise["order"], noise["simulated"]) == ("site", 4, "ABBA", True)
    assert 0 < noise["indicators"]["MEM-01"]["floor"] < 0.05
    (folder,) = store.runs(tmp_path / "runs")
    assert noise["runs"][0]["folder"] == str(folder)
    assert len({step.round for step in store.head(folder).plan.steps}) == 8
    other = tmp_path / "runs" / "site" / "later"
    store.create(other, store.load(folder), {"driver": "fake"})
    with store.Journal(other) as journal:
        for result in store.load(folder).results:
            journal.append(result)
    main(["gate", str(other), "-b", str(folder), "--json"])
    changes = json.loads(capsys.readouterr().out)["changes"]
    assert {change["floor_source"] for change in changes if change["contrast"]} == {"noise file"}


def test_noise_is_read_off_runs_that_there_are(run, tmp_path, capsys):
    assert main(["noise", run(0), run(1), run(2), "-o", str(tmp_path / "noise.json"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "noise.json").read_text())


def test_a_stopped_measurement_of_noise_goes_on(tmp_path, capsys):
    (tmp_path / "small.toml").write_text(SCENARIO)
    placed = target(tmp_path, seed=3)
    small = scenario.load(tmp_path / "small.toml")
    campaign = plan.make([small], ["site"], seed=1, rounds=6)

    class Stop(runner.SILENT.__class__):
        def end(self, result, left):
            if result.step.round == 2:
                raise KeyboardInterrupt

    outcome = runner.execute(campaign, [placed], tmp_path / "runs", watch=Stop())
    assert outcome.stopped
    assert main(["noise", "--resume", str(outcome.folders[0])]) == 0
    assert json.loads((tmp_path / "runs" / "site" / "noise.json").read_text())["pairs"] == 3


def test_noise_needs_something_to_measure(capsys):
    assert main(["noise", "--target", "fake"]) == 2
    assert "give --target T and --scenario S" in capsys.readouterr().err


@pytest.mark.parametrize(("factor", "limit", "code"), [(1.0, "5%", 0), (30.0, "5%", 1), (30.0, "99900%", 0)])
def test_files_of_pytest_benchmark_are_gated_directly(tmp_path, capsys, factor, limit, code):
    """The recorded files against themselves, every time in them multiplied; three processes are three rounds."""
    folders = []
    for name, by in (("head", factor), ("base", 1.0)):
        files = []
        for path in BENCHMARKS:
            document = json.loads(path.read_text())
            for each in document["benchmarks"]:
                times = each["stats"]
                times["data"] = [by * value for value in times["data"]]
                times["median"] *= by
            files.append(tmp_path / f"{name}-{path.name}")
            files[-1].write_text(json.dumps(document))
        argv = ["import", "pytest-benchmark", *map(str, files), "--target", "own", "--out", str(tmp_path / name)]
        assert main(argv) == 0
        folders.append(capsys.readouterr().out.strip())
    assert main(["gate", folders[0], "--baseline", folders[1], "--limit", f"*={limit}"]) == code
    assert "GEN-01" in capsys.readouterr().out
