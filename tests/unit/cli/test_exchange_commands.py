"""`import`, `export` and `query` as a user calls them: what they print, where, and the exit codes."""

import csv
import io
import json
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

from harness import store
from harness.cli import main
from harness.cli.exporting import TABLES, TEXTS
from tests.support.simulated import measured

DATA = Path(__file__).parents[2] / "data/imports"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    (made,) = measured(tmp_path_factory.mktemp("made"), "fake")
    return made


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


# import

def test_an_imported_run_is_judged_and_exported_like_any_other(tmp_path, capsys):
    files = map(str, sorted((DATA / "pytest_benchmark").glob("round-*.json")))
    assert main(["import", "pytest-benchmark", *files, "--out", str(tmp_path)]) == 0
    (run,) = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert store.verify(run) == []
    assert main(["judge", str(run), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["findings"]) == 3
    assert main(["export", str(run), "--format", "benchstat"]) == 0
    assert capsys.readouterr().out.count("sec/op") == 9


def test_what_no_indicator_takes_is_told(tmp_path, capsys):
    assert main(["import", "perfkit", str(DATA / "perfkit/by-format.json"), "--out", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 1
    assert "no indicator takes them" in said.err
    assert "coremark Coremark Score" in said.err


def test_facts_say_what_was_measured(tmp_path, capsys):
    argv = ["import", "hyperfine", str(DATA / "hyperfine/round-1.json"), "--out", str(tmp_path)]
    assert main([*argv, "--fact", "vendor=Acme", "--fact", "version=2"]) == 0
    run = store.load(Path(capsys.readouterr().out.strip()))
    assert {key: run.facts["target"][key] for key in ("vendor", "product", "version")} == {
        "vendor": "Acme", "product": "imported", "version": "2"}
    assert main([*argv, "--fact", "colour=red"]) == 2
    assert "--fact: 'colour' is unknown; allowed: vendor" in capsys.readouterr().err
    assert main([*argv, "--set", "path"]) == 2
    assert "--set: 'path' is no KEY=VALUE" in capsys.readouterr().err


def test_formats_are_listed(capsys):
    assert main(["list", "imports"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == ["benchstat", "cyclictest", "fio", "hyperfine", "iperf3", "locust", "perfkit", "phoronix",
                      "pytest-benchmark", "stress-ng", "sysbench"]


# export

@pytest.mark.parametrize("form", TABLES)
def test_tables_go_into_a_folder_whole_or_not_at_all(form, folder, tmp_path, capsys):
    out = tmp_path / "tables"
    assert main(["export", str(folder), "--format", form, "-o", str(out)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(out / f"{name}.{form}")
                                                    for name in ("runs", "steps", "series", "findings")]
    assert main(["export", str(folder), "--format", form, "-o", str(out)]) == 2
    assert f"{out}: is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_parquet_has_a_switch_of_its_own(folder, tmp_path):
    assert main(["export", str(folder), "--parquet", "-o", str(tmp_path / "tables")]) == 0
    assert pyarrow.parquet.read_table(tmp_path / "tables" / "steps.parquet").num_rows == 5


@pytest.mark.parametrize("form", TEXTS)
def test_texts_go_to_a_file_or_to_stdout(form, folder, tmp_path, capsys):
    assert main(["export", str(folder), "--format", form]) == 0
    text = capsys.readouterr().out
    assert main(["export", str(folder), "--format", form, "-o", str(tmp_path / "file")]) == 0
    assert (tmp_path / "file").read_text() == text
    assert "MEM-01" in text
    assert main(["export", str(folder), "--format", form, "-o", str(tmp_path)]) == 2
    assert f"{tmp_path}: Is a directory" in capsys.readouterr().err


def test_an_export_without_a_format_or_of_one_run_twice_is_refused(folder, tmp_path, capsys):
    assert main(["export", str(folder)]) == 2
    assert "no --format is given; there are: csv, parquet, openmetrics" in capsys.readouterr().err
    assert main(["export", str(folder), str(folder), "--format", "junit"]) == 2
    assert "could not be told apart" in capsys.readouterr().err


# query

SQL = "SELECT run, step, elapsed, error FROM steps ORDER BY turn"


def test_an_answer_is_a_table_or_csv_or_json(folder, capsys):
    place = ["--in", str(folder.parents[1])]
    assert main(["query", SQL, *place]) == 0
    assert capsys.readouterr().out.split()[:4] == ["run", "step", "elapsed", "error"]
    assert main(["query", SQL, *place, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["step"] for row in found] == [result.step.id for result in store.load(folder).results]
    assert found[0]["error"] is None
    assert main(["query", "SELECT 'inf'::DOUBLE AS x, created FROM runs", *place, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["x"], row["created"][-6:]) == ("inf", "+00:00")


def test_csv_goes_to_stdout_as_it_is(folder, capfdbinary):
    assert main(["query", SQL, "--in", str(folder), "--csv"]) == 0
    sys.stdout.flush()
    rows = list(csv.DictReader(io.StringIO(capfdbinary.readouterr().out.decode())))
    assert len(rows) == 5
    assert rows[0]["error"] == ""


def test_an_empty_answer_has_its_columns(folder, capsys):
    assert main(["query", "SELECT target FROM runs WHERE simulated = false", "--in", str(folder)]) == 0
    assert capsys.readouterr().out.split() == ["target"]


def test_a_wrong_question_is_one_line_and_exit_2(folder, tmp_path, capsys):
    for argv, problem in ((["DROP VIEW runs", "--in", str(folder)], "only SELECT is allowed"),
                          (["SELECT 1", "--in", str(tmp_path)], "there is no run in it"),
                          (["SELECT run, target AS run FROM runs", "--in", str(folder), "--json"],
                           "several columns are called run"),
                          (["SELECT 1", "--in", str(folder), "-p", "nowhere"], "nowhere")):
        assert main(["query", *argv]) == 2
        said = capsys.readouterr().err
        assert problem in said
        assert said.count("\n") == 1


def test_a_broken_run_is_told_and_the_rest_answered(folder, tmp_path, capsys):
    for name in ("good", "bad"):
        place = tmp_path / "results" / name / "run"
        place.mkdir(parents=True)
        for file in ("run.json", "steps.jsonl"):
            (place / file).write_bytes((folder / file).read_bytes())
    (tmp_path / "results/bad/run/run.json").write_text("{")
    assert main(["query", "SELECT run FROM runs", "--in", str(tmp_path / "results"), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == [{"run": "good/run"}]
    assert said.err.startswith("left out: ")


@pytest.mark.parametrize(("module", "argv"), [("duckdb", ["query", "SELECT 1", "--in"]),
                                              ("pyarrow", ["export", "--parquet"])])
def test_a_missing_package_is_named_with_what_installs_it(module, argv, folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    assert main([*argv, str(folder)]) == 2
    said = capsys.readouterr().err
    assert f"{module} is not installed" in said
    assert "pip install 'virtmark[query]'" in said
