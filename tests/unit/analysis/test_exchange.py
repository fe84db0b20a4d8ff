"""What is given to other programs, read back by the readers that others use: equal, whatever stands in it."""

import json
import math
import re
import xml.etree.ElementTree as ET

import msgspec
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from analysis import junit, rows
from analysis.exchange import benchstat, columns, findings, openmetrics, tabular
from drivers import imported
from drivers.imports.benchstat import Benchstat
from harness.indicators import catalogue
from harness.model import Finding, Verdict

CORE, HIERARCHY = "{https://schemas.opentest4j.org/reporting/core/0.2.0}", (
    "{https://schemas.opentest4j.org/reporting/hierarchy/0.2.0}")


@pytest.fixture(scope="module", params=["tidy", "nasty"])
def judged(request):
    """Return (name, run, its findings) of every run; all findings of targets without a run stay out."""
    runs, found = request.getfixturevalue(request.param)
    return [(f"{run.plan.target}/folder", run, [each for each in found if each.target == run.plan.target])
            for run in runs]


@pytest.fixture(scope="module")
def materials(judged):
    return [(name, rows.material([run], found)) for name, run, found in judged]


def cells(judged, table):
    return [row for name, run, found in judged for row in columns.of(table, name, run, found)]


# tables

@pytest.mark.parametrize("table", columns.TABLES)
def test_parquet_gives_back_every_cell(table, judged, tmp_path):
    path, written = tmp_path / "table.parquet", cells(judged, table)
    tabular.write("parquet", table, written, path)
    read = pyarrow.parquet.read_table(path)
    assert list(zip(*(column.to_pylist() for column in read.columns), strict=True)) == written
    assert [(field.name, field.metadata[b"unit"].decode()) for field in read.schema] == [
        (column.name, column.unit) for column in columns.TABLES[table]]


@pytest.mark.parametrize("table", columns.TABLES)
def test_csv_gives_back_every_cell(table, judged, tmp_path):
    path, written = tmp_path / "table.csv", cells(judged, table)
    tabular.write("csv", table, written, path)
    read = pyarrow.csv.read_csv(
        path, parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(column_types=tabular.schema(table), strings_can_be_null=True,
                                                   quoted_strings_can_be_null=False, null_values=[""]))
    assert list(zip(*(column.to_pylist() for column in read.columns), strict=True)) == written


@pytest.mark.parametrize("table", columns.TABLES)
def test_a_table_of_nothing_has_its_columns(table, tmp_path):
    tabular.write("parquet", table, [], tmp_path / "none.parquet")
    assert pyarrow.parquet.read_schema(tmp_path / "none.parquet").names == [
        column.name for column in columns.TABLES[table]]


def test_tables_hold_every_value_of_every_series(judged):
    kept = sum(len(series.values) for _, run, _ in judged for result in run.results
               for series in (*result.series, *result.telemetry))
    assert len(cells(judged, "series")) == kept
    assert sum(row[-1] for row in cells(judged, "series")) == pytest.approx(math.fsum(
        value for _, run, _ in judged for result in run.results for series in (*result.series, *result.telemetry)
        for value in series.values), rel=1e-9)


def test_what_a_finding_lacks_is_null(judged):
    names = [column.name for column in columns.TABLES["findings"]]
    for row in cells(judged, "findings"):
        its = dict(zip(names, row, strict=True))
        assert (its["value"] is None) == (its["n"] is None) == (its["method"] is None)
        assert (its["bound"] is None) == (its["op"] is None)
        assert json.loads(its["scores"]) is not None


# OpenMetrics

def families(text):
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_openmetrics_is_valid_and_gives_back_the_numbers(materials):
    read = families(openmetrics.text(materials))
    for name, its in materials:
        for row in its.rows:
            if row.value is None:
                continue
            family = read[openmetrics.named(row.indicator, row.unit)]
            assert family.unit == openmetrics.UNITS[row.unit]
            assert family.documentation.startswith(f"{row.indicator} ") or row.indicator not in catalogue()
            got = {sample.labels["stat"]: sample.value for sample in family.samples
                   if sample.labels["run"] == name and sample.labels["point"] == row.point}
            wanted = {"estimate": row.value, "low": row.low, "high": row.high, "limit": row.limit,
                      "limit_hi": row.limit_hi}
            assert got == {key: value for key, value in wanted.items() if value is not None}


def test_each_verdict_is_one_state_of_its_set(materials):
    read = families(openmetrics.text(materials))["virtmark_verdict"]
    assert read.type == "stateset"
    on = [(sample.labels["run"], sample.labels["indicator"], sample.labels["point"], sample.labels["virtmark_verdict"])
          for sample in read.samples if sample.value]
    assert sorted(on) == sorted((name, row.indicator, row.point, row.verdict.name)
                                for name, its in materials for row in its.rows)


def test_a_run_says_whether_it_was_simulated(materials):
    info = families(openmetrics.text(materials))["virtmark_run"]
    assert {sample.labels["run"]: sample.labels["simulated"] for sample in info.samples} == {
        name: str(its.parties[0].simulated).lower() for name, its in materials}
    assert families(openmetrics.text([])) == {}


@given(target=st.text(), point=st.text(), reason=st.text())
def test_any_text_survives_as_label_and_as_xml(target, point, reason):
    finding = Finding(indicator="CPU-01", target=target, point=point, verdict=Verdict.FAIL, reasons=(reason,))
    its = rows.material([], [finding])
    (row,) = its.rows
    text = openmetrics.text([]).removesuffix("# EOF\n") + "\n".join(openmetrics._verdicts([("r", row)])) + "\n# EOF\n"
    (sample,) = [each for each in families(text)["virtmark_verdict"].samples if each.value]
    assert (sample.labels["target"], sample.labels["point"]) == (row.party.target, row.point)
    (case,) = ET.fromstring(findings.as_junit([("r", its)])).iter("testcase")
    facts = {each.get("name"): each.get("value") for each in case.iter("property")}
    assert facts.get("point", "") == row.point


# JUnit and Open Test Reporting

def test_junit_gives_back_verdict_numbers_and_reasons(materials):
    root = ET.fromstring(findings.as_junit(materials))
    written = [(f"{name}.{row.area}", findings.facts(row)) for name, its in materials for row in its.rows]
    read = [(case.get("classname"), {each.get("name"): each.get("value") for each in case.iter("property")})
            for case in root.iter("testcase")]
    assert sorted(read, key=repr) == sorted(written, key=repr)
    verdicts = [row.verdict for _, its in materials for row in its.rows]
    assert root.get("tests") == str(len(verdicts))
    assert root.get("failures") == str(verdicts.count(Verdict.FAIL))
    assert root.get("errors") == str(verdicts.count(Verdict.INVALID) + verdicts.count(Verdict.NOT_RUN))
    for suite in root.iter("testsuite"):
        assert suite.get("failures") == str(len(list(suite.iter("failure"))))
        assert suite.get("tests") == str(len(list(suite.iter("testcase"))))


def test_what_is_no_sound_number_never_passes():
    assert {verdict for verdict, (end, _) in findings.ENDS.items() if not end} == {Verdict.PASS, Verdict.MEASURED}
    assert {verdict for verdict, (_, status) in findings.ENDS.items() if status == "SUCCESSFUL"} == {
        Verdict.PASS, Verdict.MEASURED}
    assert findings.ENDS.keys() == set(Verdict)


def test_open_test_reporting_gives_back_the_same(materials):
    root = ET.fromstring(findings.as_opentest(materials))
    assert root.tag == f"{HIERARCHY}execution"
    leaves = [node for node in root.iter(f"{HIERARCHY}child") if node.find(f"{CORE}attachments") is not None]
    read = [{entry.get("key"): entry.text for entry in leaf.iter(f"{CORE}entry")} for leaf in leaves]
    assert read == [findings.facts(row) for _, its in materials for row in its.rows]
    assert [leaf.find(f"{CORE}result").get("status") for leaf in leaves] == [
        findings.ENDS[row.verdict][1] for _, its in materials for row in its.rows]
    for node in root.iter():  # the order that the schema asks for
        tags = [child.tag for child in node]
        order = [f"{CORE}attachments", f"{CORE}result", f"{HIERARCHY}child", f"{HIERARCHY}root"]
        known = [tag for tag in tags if tag in order]
        assert known == sorted(known, key=order.index)
        assert not node.tag.startswith(HIERARCHY) or node.tag.endswith("execution") or (node.get("name")
                                                                                       and node.get("start"))


def test_a_case_of_any_kind_is_written_once():
    cases = [junit.Case(suite="a", name="1"), junit.Case(suite="b", name="2", end="failure", kind="worse"),
             junit.Case(suite="a", name="3", end="skipped"), junit.Case(suite="b", name="4", end="error")]
    root = ET.fromstring(junit.document("title", cases, [("note", "simulated")]))
    assert [(suite.get("name"), [case.get("name") for case in suite.iter("testcase")])
            for suite in root] == [("a", ["1", "3"]), ("b", ["2", "4"])]
    assert [root.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["4", "1", "1", "1"]


# benchstat

def test_benchstat_gives_back_the_scores_of_rounds(materials, tmp_path):
    path = tmp_path / "bench.txt"
    path.write_text(benchstat.text(materials), encoding="utf-8")
    scores = {}
    for result in imported.load("benchstat", [path]).run.results:
        (series,) = result.series
        params = result.step.params
        scores.setdefault((params["target"], params["benchmark"], params["unit"]), []).append(series.values[0])
    wanted = {(rows.clean(its.parties[0].target), benchstat.benchmark(row).removeprefix("Benchmark"),
               benchstat.unit(row)): list(row.scores) for _, its in materials for row in its.rows if row.scores}
    assert scores == wanted


def test_rounds_of_two_runs_of_one_target_are_not_pooled(materials):
    name, its = materials[0]
    text = benchstat.text([(name, its), ("again/folder", its)])
    assert f"run: {name}\n" in text
    assert "run: again/folder\n" in text
    assert "run:\n" in benchstat.text([(name, its)])
    lines = Benchstat.read(text, {})
    assert {load.params["run"] for load in lines} == {name, "again/folder"}


@given(st.text(min_size=1))
def test_no_point_ends_like_a_number_of_processors(point):
    (row,) = rows.material([], [Finding(indicator="STO-01", target="t", point=point, verdict=Verdict.NOT_RUN)]).rows
    name = benchstat.benchmark(row)
    assert not any(letter.isspace() for letter in name)
    assert not re.search(r"-[0-9]+$", name)


def test_a_finding_of_two_requirements_gives_its_scores_once(materials):
    name, its = materials[0]
    double = msgspec.structs.replace(its, rows=(*its.rows, *its.rows))
    assert benchstat.text([(name, double)]) == benchstat.text([(name, its)])
    assert families(openmetrics.text([(name, double)])).keys() == families(openmetrics.text([(name, its)])).keys()
