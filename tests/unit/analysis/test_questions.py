"""SQL over runs: the documented columns and questions, an index that is never stale, questions that can only read."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.exchange import columns
from analysis.questions import engine, index, packs
from harness import profile, store, verdict
from harness.errors import InputError
from tests.support.simulated import measured

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs/query.md").read_text(encoding="utf-8")
SAMPLES = ROOT / "results/samples/quick"
WORKED = re.findall(r"```sql\n(.*?)```", DOCUMENT, re.DOTALL)
TYPES = {"text": "VARCHAR", "json": "VARCHAR", "real": "DOUBLE", "whole": "BIGINT", "flag": "BOOLEAN",
         "time": "TIMESTAMP WITH TIME ZONE"}


@pytest.fixture(scope="session")
def kept(tmp_path_factory):
    """An index that several tests share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    return measured(tmp_path_factory.mktemp("made"), "one", "two")


@pytest.fixture
def runs(made, tmp_path, monkeypatch):
    """Two simulated runs in a folder of a test's own, which count as settled."""
    monkeypatch.setattr(index, "SETTLED", 0.0)
    return [Path(shutil.copytree(folder, tmp_path / "results" / folder.parent.name / folder.name)) for folder in made]


def ask(sql, folders, cache, **how):
    with engine.ask(sql, folders, cache=cache, **how) as (rows, found):
        return rows.read_all().to_pylist(), found


def answer(sql, folders, cache):
    return ask(sql, folders, cache)[0]


# what is documented

@pytest.mark.parametrize("table", columns.TABLES)
def test_the_document_lists_the_columns_as_they_are(table, kept):
    section = DOCUMENT.partition(f"### {table}:")[2].partition("###")[0]
    listed = [tuple(cell.strip(" `") for cell in line.split("|")[1:5]) for line in section.splitlines()
              if line.startswith("| `")]
    assert [(name, unit.replace("`", ""), meaning) for name, _, unit, meaning in listed] == [
        (each.name, each.unit.replace("`", ""), each.meaning) for each in columns.TABLES[table]]
    seen = {row["column_name"]: row["column_type"] for row in answer(f"DESCRIBE {table}", store.runs(SAMPLES), kept)}
    assert seen == {each.name: TYPES[each.kind] for each in columns.TABLES[table]}
    unquoted = ", ".join(column.name for column in columns.TABLES[table])
    assert len(answer(f"SELECT {unquoted} FROM {table} LIMIT 1", store.runs(SAMPLES), kept)) == 1


def test_there_are_five_worked_questions():
    assert len(WORKED) == 5


@pytest.mark.parametrize("sql", WORKED, ids=range(1, len(WORKED) + 1))
def test_a_worked_question_has_an_answer(sql, kept):
    rows = answer(sql, store.runs(SAMPLES), kept)
    assert rows
    assert all(len(row) >= 3 for row in rows)


def test_answers_are_what_the_files_say(kept):
    folders = store.runs(SAMPLES)
    broken = {}
    for folder in folders:
        for line in (folder / "steps.jsonl").read_text().splitlines():
            result = json.loads(line)
            if result["status"] != "done":
                key = result["step"]["target"], result["step"]["workload"], result["step"]["point"], result["status"]
                broken[key] = broken.get(key, 0) + 1
    rows = answer(WORKED[0], folders, kept)
    assert {(row["target"], row["workload"], row["point"], row["status"]): row["steps"] for row in rows} == broken
    runs = [store.load(folder) for folder in folders]
    values = {finding.target: finding.estimate.estimate for run in runs for finding in verdict.judge([run])
              if finding.indicator == "STO-01" and finding.estimate}
    assert [row["value"] for row in answer(WORKED[1], folders, kept)] == sorted(values.values(), reverse=True)


# the index

def test_a_run_is_indexed_once_and_only_for_what_is_asked(runs, tmp_path):
    cache = tmp_path / "cache"
    rows, found = ask("SELECT run FROM runs ORDER BY run", runs, cache)
    assert [row["run"] for row in rows] == [columns.called(folder) for folder in sorted(runs)]
    assert found.made == 2
    assert {path.name.partition("-")[0] for path in cache.rglob("*.parquet")} == {"runs"}
    assert ask("SELECT run FROM runs", runs, cache)[1].made == 0
    assert ask("SELECT count(*) FROM steps, runs", runs[:1], cache)[1].made == 1


def test_what_was_appended_is_seen_at_once(runs, tmp_path):
    cache, journal = tmp_path / "cache", runs[0] / "steps.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    for count in range(len(lines) + 1):
        journal.write_bytes(b"".join(lines[:count]))
        (row,) = answer("SELECT count(*) AS n FROM steps", runs[:1], cache)
        assert row["n"] == count


def test_a_change_that_keeps_size_and_time_is_seen(runs, tmp_path):
    cache, journal = tmp_path / "cache", runs[0] / "steps.jsonl"
    before, text = journal.stat(), journal.read_text()
    assert answer("SELECT DISTINCT status FROM steps", runs[:1], cache) == [{"status": "done"}]
    journal.write_text(text.replace('"workload":"memory"', '"workload":"mEmory"'))
    os.utime(journal, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert journal.stat().st_size == before.st_size
    assert answer("SELECT DISTINCT workload FROM steps", runs[:1], cache) == [{"workload": "mEmory"}]


def test_a_run_that_is_being_written_to_is_not_kept(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(index, "SETTLED", 3600.0)
    cache = tmp_path / "cache"
    assert answer("SELECT count(*) AS n FROM steps", runs, cache) == [{"n": 10}]
    assert not list(cache.rglob("*.parquet"))
    assert not list(cache.glob(".aside-*"))


def test_a_moved_run_and_a_deleted_cache_do_no_harm(runs, tmp_path):
    cache = tmp_path / "cache"
    assert len(answer("SELECT * FROM runs", runs, cache)) == 2
    moved = runs[0].parent / "moved"
    runs[0].rename(moved)
    assert {row["run"] for row in answer("SELECT run FROM runs", [moved, runs[1]], cache)} == {
        "one/moved", columns.called(runs[1])}
    shutil.rmtree(cache)
    assert len(answer("SELECT * FROM runs", [moved, runs[1]], cache)) == 2


def test_findings_follow_the_profile(runs, tmp_path):
    cache, path = tmp_path / "cache", tmp_path / "mine.toml"
    path.write_text('name = "mine"\ntitle = "Mine"\n[[requirement]]\nindicator = "MEM-01"\nlimit = ">= 1B/s"\n'
                    'source = "user"\n')
    sql = "SELECT DISTINCT verdict FROM findings WHERE indicator = 'MEM-01'"
    assert answer(sql, runs, cache) == [{"verdict": "MEASURED"}]
    merged = profile.merge([profile.load(str(path))])
    assert ask(sql, runs, cache, profile=merged, profiles=["1"])[0] == [{"verdict": "PASS"}]
    assert answer(sql, runs, cache) == [{"verdict": "MEASURED"}]


def test_what_was_superseded_goes_after_its_time(runs, tmp_path):
    cache, journal = tmp_path / "cache", runs[0] / "steps.jsonl"
    answer("SELECT * FROM steps", runs[:1], cache)
    (first,) = cache.rglob("steps-*.parquet")
    left = first.parent / ".killed.part"
    left.touch()
    with journal.open("a"):
        os.utime(journal)
    answer("SELECT * FROM steps", runs[:1], cache)
    assert first.exists()
    os.utime(first, (1, 1))
    os.utime(left, (1, 1))
    os.utime(journal)
    answer("SELECT * FROM steps", runs[:1], cache)
    assert not first.exists()
    assert not left.exists()


def test_many_small_files_are_read_as_few_and_say_the_same(made, tmp_path, monkeypatch):
    monkeypatch.setattr(index, "SETTLED", 0.0)
    cache, sql = tmp_path / "cache", "SELECT run, count(*) AS n, sum(value) AS s FROM series GROUP BY ALL ORDER BY run"
    folders = [Path(shutil.copytree(made[0], tmp_path / "many" / f"{number:03d}")) for number in range(96)]
    rows, found = ask(sql, folders, cache)
    assert found.made == 96
    assert packs.BUCKETS <= len(found.files["series"]) < 48
    assert [row["run"] for row in rows] == [f"many/{number:03d}" for number in range(96)]
    monkeypatch.setattr(packs, "FEWEST", 1000)
    assert ask(sql, folders, cache)[0] == rows
    assert len(ask(sql, folders, cache)[1].files["series"]) == 96


def test_a_new_run_makes_one_pack_new(made, tmp_path, monkeypatch):
    monkeypatch.setattr(index, "SETTLED", 0.0)
    monkeypatch.setattr(packs, "FEWEST", 1)
    cache = tmp_path / "cache"
    folders = [Path(shutil.copytree(made[0], tmp_path / "many" / f"{number:03d}")) for number in range(40)]
    before = set(ask("SELECT * FROM runs", folders[:-1], cache)[1].files["runs"])
    after = set(ask("SELECT * FROM runs", folders, cache)[1].files["runs"])
    assert len(after - before) == 1
    assert len(answer("SELECT * FROM runs", folders, cache)) == 40


def test_a_broken_run_is_left_out_and_told(runs, tmp_path):
    (runs[0] / "steps.jsonl").write_text("{}\n")
    rows, found = ask("SELECT run FROM runs", runs, tmp_path / "cache")
    assert [row["run"] for row in rows] == [columns.called(runs[1])]
    (line,) = found.left_out
    assert line.startswith(f"{runs[0] / 'steps.jsonl'}:1: ")


def test_runs_that_cannot_be_told_apart_are_refused(runs, tmp_path):
    copy = tmp_path / "other" / runs[0].parent.name / runs[0].name
    shutil.copytree(runs[0], copy)
    with pytest.raises(InputError, match="ask about them apart"):
        answer("SELECT * FROM runs", [runs[0], copy], tmp_path / "cache")


def test_several_processes_index_at_once(runs, tmp_path):
    cache = tmp_path / "cache"
    argv = [sys.executable, "-m", "harness", "query", "SELECT count(*) AS n, sum(value) AS s FROM series", "--in",
            str(runs[0].parents[1]), "--csv"]
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    busy = [subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = {process.communicate()[0] for process in busy}
    assert [process.returncode for process in busy] == [0, 0, 0]
    assert len(said) == 1
    assert not [path for path in cache.rglob("*") if path.name.startswith(".")]


# a question can only read

@pytest.mark.parametrize(("sql", "problem"), [
    ("COPY runs TO '{}'", "a statement of type COPY; only SELECT is allowed"),
    ("CREATE TABLE x (i INT)", "type CREATE"), ("DROP VIEW runs", "type DROP"), ("ATTACH '{}'", "type ATTACH"),
    ("SET memory_limit = '1TB'", "type SET"), ("INSTALL httpfs", "only SELECT"), ("PRAGMA database_list", ""),
    ("EXPLAIN ANALYZE SELECT 1", "type EXPLAIN"), ("SELECT 1; SELECT 2", "2 statements; one SELECT is expected"),
    ("", "0 statements"), ("SELCT 1", "syntax error"), ("SELECT * FROM nowhere", "nowhere does not exist"),
    ("SELECT * FROM read_csv('/etc/passwd')", "disabled by configuration"),
    ("SELECT * FROM '/etc/passwd'", ""), ("SELECT * FROM glob('/etc/*')", "disabled by configuration"),
    ("SELECT * FROM read_text('/etc/hostname')", "disabled by configuration"),
    ("SELECT * FROM folders", "folders does not exist"), ("SELECT nothing FROM runs", 'column "nothing" not found'),
    ("SELECT CAST(target AS INT) FROM runs", "Could not convert string"),
])
def test_what_is_more_than_reading_is_refused_in_one_line(sql, problem, kept, tmp_path):
    with pytest.raises(InputError) as caught:
        answer(sql.format(tmp_path / "written"), store.runs(SAMPLES), kept)
    assert problem in str(caught.value)
    assert str(caught.value).startswith("query: ")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "written").exists()


def test_views_are_found_by_their_names():
    assert engine.views("select * from Runs join STEPS using (run)") == ["runs", "steps"]
    assert engine.views("select 'seriestest' from findings") == ["findings"]


def test_a_cache_that_cannot_be_written_is_an_error_of_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="set XDG_CACHE_HOME to a folder"):
        answer("SELECT 1", [], tmp_path / "file" / "cache")
