"""What the gate writes for machines: JUnit, SARIF, GitHub, Markdown, JSON, and the page of histories."""

import json
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from analysis.verdicts import cases, drawing, github, histories, junit, machine, markdown, sarif
from analysis.verdicts.cases import Case, Level, Sheet
from analysis.words import Words
from harness.regression import Allowance, gate, history, limits
from tests.support.regressions import noisy, run

NASTY = "x|y\n<b>&\"'100 %, a:b\x1b[31m\u2028`*_"


def gated(factor=1.2, **more):
    rng = np.random.default_rng(1)
    sides = [{"bandwidth": noisy(rng, 1e9 / slow, 0.01, 6), "latency": noisy(rng, 1e-7, 0.05, 6)}
             for slow in (factor, 1)]
    return gate([run(sides[0], campaign="a", **more)], [run(sides[1], campaign="b", **more)])


@pytest.fixture(scope="module")
def sheet():
    """Return a gate with a case of every level."""
    levels = {Level.FAILED: "worse", Level.BROKEN: "invalid", Level.OPEN: "cannot tell", Level.SKIPPED: "new",
              Level.FINE: "same"}
    made = tuple(Case(indicator=f"X-0{at}", name="Name", point=NASTY if at == 1 else "point", level=level,
                      outcome=word, text=NASTY, facts={"run": "1 s", "baseline": NASTY})
                 for at, (level, word) in enumerate(levels.items(), 1))
    return Sheet(title="virtmark gate: s on t", target="t", summary="1 worse", cases=made, notes=("SIMULATED",),
                 exit_code=1)


def test_a_gate_becomes_one_case_a_change_with_its_numbers():
    found = cases.of_gate(gated())
    worse, open_ = found.cases
    assert (worse.level, worse.outcome, worse.title) == (Level.FAILED, "worse", "MEM-01 bandwidth")
    assert re.match(r"loss \+\d\d\.\d\d % \[\+\d\d\.\d\d % … \+\d\d\.\d\d %\]; n = 6 and 6 rounds; p = ", worse.text)
    assert worse.facts["better"] == "higher"
    assert (open_.level, open_.outcome) == (Level.OPEN, "cannot tell")
    assert re.search(r"catches \d+\.\d\d % in 80 of 100 repetitions; \d+ more rounds on each side would tell$",
                     open_.text)
    assert found.exit_code == 1
    assert "1 worse, 1 cannot tell" in found.summary


def test_simulated_and_forced_gates_say_so():
    assert cases.of_gate(gated(simulated="true")).notes[0].startswith("SIMULATED")
    rng = np.random.default_rng(1)
    one, other = (run({"latency": noisy(rng, 1, 0.1, 5)}, campaign=name, accelerator=name) for name in ("kvm", "tcg"))
    assert "forced over a difference: accelerator: kvm, in the baseline tcg" in cases.of_gate(
        gate([one], [other], force=True)).notes


def test_junit_has_the_shape_that_readers_of_it_expect(sheet):
    root = ET.fromstring(junit.text(sheet))
    assert root.tag == "testsuites"
    suites = root.findall("testsuite")
    assert {suite.get("name") for suite in suites} == {"t.X"}
    for element in (root, *suites):
        assert [element.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["5", "1", "1", "2"]
    children = [[child.tag for child in case] for case in root.iter("testcase")]
    assert children == [["failure", "system-out"], ["error", "system-out"], ["skipped", "system-out"],
                        ["skipped", "system-out"], ["system-out"]]
    assert all({"name", "classname", "time"} <= set(case.keys()) for case in root.iter("testcase"))
    assert all(found.get("message") and found.get("type") for tag in ("failure", "error") for found in root.iter(tag))


def test_junit_is_the_one_that_junitparser_reads(sheet, tmp_path):
    junitparser = pytest.importorskip("junitparser", reason="not installed; pip install junitparser to read it back")
    (tmp_path / "gate.xml").write_text(junit.text(cases.of_gate(gated())))
    read = junitparser.JUnitXml.fromfile(str(tmp_path / "gate.xml"))
    assert (read.tests, read.failures, read.errors, read.skipped) == (2, 1, 0, 1)


def test_sarif_has_what_2_1_0_requires(sheet):
    document = json.loads(sarif.text(sheet, version="0.1.0", place="results/t/run.json"))
    assert document["version"] == "2.1.0"
    assert document["$schema"].endswith("sarif-2.1.0.json")
    (one,) = document["runs"]
    driver = one["tool"]["driver"]
    assert driver["name"] == "virtmark"
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(ids) == len(set(ids)) == 5
    for result in one["results"]:
        assert result["message"]["text"]
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert result["kind"] in ("fail", "open", "notApplicable", "pass")
        assert (result["level"] == "none") == (result["kind"] != "fail")
        place = result["locations"][0]["physicalLocation"]
        assert place == {"artifactLocation": {"uri": "results/t/run.json"}, "region": {"startLine": 1}}
    prints = [result["partialFingerprints"]["virtmark/v1"] for result in one["results"]]
    assert len(set(prints)) == 5
    assert one["invocations"][0]["exitCode"] == 1


ALLOWED = {   # of the objects of the format that are written here: keys that it knows, and those that it requires
    "": ("$schema version runs", "version runs"), "runs": (
        "tool columnKind automationDetails invocations results", "tool"), "tool": ("driver", "driver"),
    "driver": ("name version semanticVersion rules", "name"), "rules": ("id name shortDescription help", "id"),
    "invocations": ("executionSuccessful exitCode toolExecutionNotifications", "executionSuccessful"),
    "toolExecutionNotifications": ("level message", "message"), "automationDetails": ("id", ""),
    "results": ("ruleId ruleIndex kind level message locations partialFingerprints properties", "message"),
    "message": ("text", "text"), "shortDescription": ("text", "text"), "help": ("text", "text"),
    "locations": ("physicalLocation logicalLocations", ""), "physicalLocation": ("artifactLocation region", ""),
    "artifactLocation": ("uri", ""), "region": ("startLine", ""), "logicalLocations": ("name kind", "")}


def checked(value, key=""):
    """Yield what an object holds beyond what SARIF allows at its place, and what it lacks."""
    if isinstance(value, list):
        for each in value:
            yield from checked(each, key)
    elif isinstance(value, dict) and key not in ("properties", "partialFingerprints"):
        known, needed = (set(words.split()) for words in ALLOWED[key])
        yield from (f"{key}: {name}" for name in (value.keys() - known) | (needed - value.keys()))
        for name, part in value.items():
            yield from checked(part, name)


def test_sarif_has_no_key_that_the_format_does_not_know(sheet):
    document = json.loads(sarif.text(sheet, version="0.1.0", place="runs of today/run.json"))
    assert list(checked(document)) == []
    places = [result["locations"][0]["physicalLocation"] for result in document["runs"][0]["results"]]
    assert {place["artifactLocation"]["uri"] for place in places} == {"runs%20of%20today/run.json"}


def test_annotations_are_one_line_each_and_escaped(sheet):
    lines = list(github.lines(sheet))
    assert [line.split(" ")[0] for line in lines] == ["::error", "::warning", "::notice"]
    assert all("\n" not in line and "\r" not in line for line in lines)
    properties, _, message = lines[0].removeprefix("::error ").partition("::")
    assert properties.startswith("title=X-01 x|y%0A<b>&\"'100 %25%2C a%3Ab")
    assert not set(":,") & set(properties.removeprefix("title="))
    assert message.startswith("x|y%0A<b>&\"'100 %25, a:b")


def test_markdown_cells_stay_in_their_columns(sheet):
    text = markdown.text(sheet)
    rows = [line for line in text.splitlines() if line.startswith("| ") and "indicator" not in line]
    assert len(rows) == 5
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {7}
    assert "<b>" not in text.replace("\\<b\\>", "")
    assert "1 worse" in text
    assert "<details><summary>2 more</summary>" in text


def test_json_tells_every_change_and_infinities_as_text():
    document = json.loads(machine.gate_json(gated()))
    assert (document["exit_code"], document["tested"], document["counts"]) == (1, 2, {"worse": 1, "cannot tell": 1})
    change = document["changes"][0]
    assert change["outcome"] == "worse"
    assert change["loss"][1] < change["loss"][0] < change["loss"][2]
    rng = np.random.default_rng(2)
    alone = gate([run({"latency": noisy(rng, 1, 0.1, 1)}, campaign="a")],
                 [run({"latency": noisy(rng, 1, 0.1, 1)}, campaign="b")])
    assert json.loads(machine.gate_json(alone))["changes"][0]["contrast"]["high"] == "inf"


@pytest.mark.parametrize(("share", "text"), [(0.05, "+5.00 %"), (-0.0123, "−1.23 %"), (0.0, "0.00 %"),
                                             (-1e-9, "0.00 %"), (float("inf"), "+∞"), (float("-inf"), "−∞")])
def test_shares_are_written_with_their_sign(share, text):
    assert cases.percent(share) == text


def made(simulated="false"):
    rng = np.random.default_rng(3)
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    return history({f"r{day:02}": run({"latency": noisy(rng, 1e-7 * (1.1 if day >= 10 else 1), 0.01, 5)},
                                      created=(begun + timedelta(days=day)).isoformat(), version=f"<i>1.{day}</i>",
                                      simulated=simulated) for day in range(16)}, Allowance(limits(["MEM-*=1%"])))


def test_a_history_becomes_one_case_a_series():
    found = cases.of_history(made())
    (case,) = found.cases
    assert case.level is Level.FAILED
    assert re.match(r"worse from <i>1\.9</i> to <i>1\.10</i>: loss \+\d+\.\d\d % \[", case.text)
    assert "holds to the last run; also changed: version" in case.text


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_of_histories_holds_every_change_and_chart_escaped(tmp_path, lang):
    page = histories.write(made("true"), tmp_path, lang=lang)
    text = page.read_text()
    assert "<i>1.9" not in text
    assert "&lt;i&gt;1.9" in text
    assert Words(lang)("history.alarm") in text
    assert Words(lang)("simulated") in text
    assert {path.suffix for path in (tmp_path / "charts").iterdir()} == {".png", ".svg"}
    assert json.loads((tmp_path / "history.json").read_text())["exit_code"] == 1


def test_a_chart_says_what_it_is_and_is_the_same_bytes_each_time():
    from analysis import charts

    (chart,) = drawing.charts(made("true"), Words("en"))
    one, other = charts.rendered(chart), charts.rendered(chart)
    assert (one.svg, one.png) == (other.svg, other.png)
    for text in ("SIMULATED", "n = 16 runs of 5 rounds", "95 % interval", "noise floor", "lower is better", "alarm"):
        assert text in one.svg
