"""The commands as a user calls them, on the simulated target: what they print, where, and the exit codes."""

import json
from pathlib import Path

import pytest

from harness.cli import main
from tests.support.simulated import SCENARIO

DATA = Path(__file__).parents[2] / "data/tools"
PROFILE = """
name = "mine"
title = "Mine"
[[requirement]]
indicator = "MEM-01"
limit = ">= {limit}"
source = "user"
"""


@pytest.fixture
def scenario(tmp_path):
    path = tmp_path / "short.toml"
    path.write_text(SCENARIO)
    return str(path)


@pytest.fixture
def folder(tmp_path, scenario, capsys):
    assert main(["run", scenario, "--target", "fake", "--out", str(tmp_path / "results")]) == 0
    return capsys.readouterr().out.strip()


@pytest.fixture
def profile(tmp_path):
    def write(limit: str) -> str:
        path = tmp_path / f"profile-{len(list(tmp_path.glob('profile-*')))}.toml"
        path.write_text(PROFILE.format(limit=limit))
        return str(path)
    return write


def test_plan_lists_every_step_and_touches_nothing(scenario, tmp_path, capsys):
    assert main(["plan", scenario, "-t", "fake", "-t", "bare", "--rounds", "3"]) == 0
    said = capsys.readouterr()
    assert [line.split()[3] for line in said.out.splitlines()] == ["fake", "bare", "bare", "fake", "fake", "bare"]
    assert "6 steps in 2 run folders" in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["short.toml"]


def test_plan_as_json_is_json_alone(scenario, capsys):
    assert main(["plan", scenario, "-t", "fake", "--json"]) == 0
    said = capsys.readouterr()
    assert len(json.loads(said.out)["campaign"]["plans"][0]["steps"]) == 5
    assert said.err == ""


def test_run_prints_its_folder_alone_on_stdout(folder, tmp_path):
    assert (tmp_path / "results").joinpath(folder, "steps.jsonl").read_text().count("\n") == 5


def test_run_as_json_counts_steps(scenario, tmp_path, capsys):
    assert main(["run", scenario, "-t", "fake", "--out", str(tmp_path / "r"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["steps"] == {"done": 5}
    assert document["stopped"] == ""


@pytest.mark.parametrize(("limit", "code", "verdict"), [
    ("1 MB/s", 0, "PASS"), ("1 TB/s", 1, "FAIL"),
])
def test_judge_says_which_side_of_the_limit(folder, profile, capsys, limit, code, verdict):
    assert main(["judge", folder, "--profile", profile(limit), "--json"]) == code
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == verdict
    assert [finding["requirement"]["source"] for finding in document["findings"]] == ["user"]


def test_judge_at_the_measured_value_is_inconclusive(folder, profile, capsys):
    assert main(["judge", folder, "--json"]) == 0
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    at = f"{finding['estimate']['estimate'] / 1e9:.9f} GB/s"
    assert main(["judge", folder, "-p", profile(at)]) == 3
    assert "INCONCLUSIVE" in capsys.readouterr().out


def test_judge_without_a_profile_measures_and_never_passes(folder, capsys):
    assert main(["judge", folder]) == 0
    said = capsys.readouterr()
    assert "MEASURED" in said.out
    assert "PASS" not in said.out


def test_report_writes_page_charts_and_findings(folder, tmp_path, capsys):
    out = tmp_path / "report"
    assert main(["report", folder, "-o", str(out)]) == 0
    assert (out / "report.html").samefile(capsys.readouterr().out.strip())
    assert (out / "findings.json").exists()
    assert (out / "findings.csv").exists()
    assert list((out / "charts").glob("mem-01*.svg"))
    assert "SIMULATED" in (out / "report.html").read_text()


def test_resume_of_a_finished_run_runs_nothing_again(folder):
    journal = Path(folder, "steps.jsonl")
    before = journal.read_bytes()
    assert main(["run", "--resume", folder]) == 0
    assert journal.read_bytes() == before


def test_resume_continues_where_the_journal_ends(folder):
    journal = Path(folder, "steps.jsonl")
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:2]) + lines[2][:40])
    assert main(["run", "--resume", folder]) == 0
    assert ids(journal.read_text().splitlines()) == ids(lines)


def ids(lines):
    return [json.loads(line)["step"]["id"] for line in lines]


@pytest.mark.parametrize(("argv", "words"), [
    (["run", "short", "-t", "fake"], ["scenario 'short' is unknown", "quick"]),
    (["run", "quick", "-t", "nowhere"], ["target 'nowhere' is unknown", "bare"]),
    (["run", "quick"], ["--target"]),
    (["run", "-t", "fake"], ["name a scenario"]),
    (["run", "quick", "-t", "fake", "-t", "fake"], ["'fake' is given twice"]),
    (["plan", "quick", "-t", "./none.toml"], ["none.toml", "No such file"]),
    (["clean", "nowhere"], ["target 'nowhere' is unknown"]),
])
def test_bad_input_is_one_line_and_exit_2(argv, words, capsys):
    assert main(argv) == 2
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0
    assert all(word in said for word in words), said


def test_an_unknown_key_names_file_key_and_what_is_allowed(tmp_path, capsys):
    path = tmp_path / "bad.toml"
    path.write_text(SCENARIO.replace("rounds", "round"))
    assert main(["plan", str(path), "-t", "fake"]) == 2
    said = capsys.readouterr().err
    assert "bad.toml: repetition: unknown key 'round'; allowed: rounds" in said


def test_a_bare_number_for_a_duration_is_refused(tmp_path, capsys):
    path = tmp_path / "bad.toml"
    path.write_text(SCENARIO.replace('"1s"', "1"))
    assert main(["plan", str(path), "-t", "fake"]) == 2
    assert "bad.toml: stage[0].params.duration: 1 is no quantity in s" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["indicators", "scenarios", "targets", "profiles", "workloads"])
def test_list_as_text_and_json_agree(kind, capsys):
    assert main(["list", kind]) == 0
    text = capsys.readouterr().out
    assert main(["list", kind, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)[kind]
    assert rows
    assert all(cell in text for row in rows for cell in row)


@pytest.mark.parametrize("kind", ["scenario", "target", "profile"])
def test_schema_is_json_schema(kind, capsys):
    assert main(["schema", kind]) == 0
    assert "$schema" in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("target", ["bare", "fake"])
def test_clean_where_nothing_is_left(target, capsys):
    assert main(["clean", target]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert f"{target}: " in said.err


def test_import_makes_a_run_that_judge_accepts(tmp_path, capsys):
    recorded = DATA / "fio/randread-qd32.txt"
    assert main(["import", "fio", str(recorded), "--out", str(tmp_path), "--target", "theirs"]) == 0
    folder = capsys.readouterr().out.strip()
    assert next(Path(folder, "raw").rglob("*.*")).read_bytes() == recorded.read_bytes()
    main(["judge", folder, "--json"])
    assert {finding["target"] for finding in json.loads(capsys.readouterr().out)["findings"]} == {"theirs"}


@pytest.mark.parametrize(("tool", "text", "words"), [
    ("fio", "", ["nothing"]), ("fio", "fio: failed to load engine\n", ["failed to load engine"]),
    ("netperf", "x", ["'netperf' is unknown", "fio, hyperfine, iperf3, "]),
])
def test_import_refuses_by_cause(tmp_path, capsys, tool, text, words):
    path = tmp_path / "their.json"
    path.write_text(text)
    assert main(["import", tool, str(path), "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert all(word in said for word in words), said


def test_the_sample_judged_again_gives_its_findings_byte_for_byte(capsysbinary):
    sample = Path(__file__).parents[3] / "results/samples/quick"
    main(["judge", *map(str, sorted(sample.glob("*/2026*"), reverse=True)), "--profile", "example", "--json"])
    assert capsysbinary.readouterr().out == (sample / "report/findings.json").read_bytes()
