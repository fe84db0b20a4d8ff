"""Standards from the command line: the questionnaire, the clauses with answers, the level, and the exit codes."""

import json

import pytest

from analysis.words import Words
from harness import profile, scenario
from harness.cli import main
from harness.standard import Kind
from tests.support import simulated

STANDARD = """
name = "s"
title = "Standard"
title_zh = "标准"
[[clause]]
id = "1"
title = "Memory"
title_zh = "内存"
indicator = "MEM-01"
[[clause]]
id = "2"
title = "Staff"
title_zh = "人员"
question = "Is there staff?"
question_zh = "是否配备人员？"
evidence = "a list"
evidence_zh = "名单"
signs = "operator"
[[level]]
name = "basic"
title = "Basic"
title_zh = "基础级"
clauses = ["*"]
"""
MINE = """
name = "mine"
extends = "s.toml"
[[clause]]
id = "1"
number = "5.1"
limit = ">= 1 MB/s"
source = "user"
"""
ANSWERS = """
profile = "mine"
[[answer]]
clause = "2"
answer = "{answer}"
evidence = ["list.pdf"]
signed_by = "Li"
date = "2026-11-01"
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return str(simulated.measured(tmp_path_factory.mktemp("standards"))[0])


@pytest.fixture
def files(tmp_path):
    for name, text in (("s", STANDARD), ("mine", MINE), ("yes", ANSWERS.format(answer="yes")),
                       ("no", ANSWERS.format(answer="no"))):
        (tmp_path / f"{name}.toml").write_text(text)
    return tmp_path


def test_without_a_limit_nothing_is_passed(run, files, capsys):
    assert main(["judge", run, "--profile", str(files / "s.toml")]) == 0
    said = capsys.readouterr().out
    assert "MEASURED" in said
    assert "PASS" not in said
    assert "level: none" in said


def test_an_overlay_and_answers_reach_the_level(run, files, capsys):
    assert main(["judge", run, "--profile", str(files / "mine.toml"), "--attest", str(files / "yes.toml")]) == 0
    said = capsys.readouterr().out
    assert "5.1" in said
    assert "ATTESTED" in said
    assert "level: Basic (basic)" in said


def test_what_is_missing_for_the_next_level_is_told(run, files, capsys):
    assert main(["judge", run, "--profile", str(files / "mine.toml")]) == 0
    assert "missing for Basic (basic):\n  2  Staff: OPEN, not answered" in capsys.readouterr().out


def test_a_signed_no_is_a_miss(run, files, capsys):
    assert main(["judge", run, "--profile", str(files / "mine.toml"), "--attest", str(files / "no.toml")]) == 1
    assert "DENIED" in capsys.readouterr().out


def test_json_holds_findings_and_clauses(run, files, capsys):
    assert main(["judge", run, "-p", str(files / "mine.toml"), "--attest", str(files / "yes.toml"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["findings"]
    assert [each["outcome"] for each in document["assessments"][0]["clauses"]] == ["PASS", "ATTESTED"]


def test_the_questionnaire_is_printed_and_can_be_given_back(run, files, capsys):
    assert main(["attest", str(files / "s.toml")]) == 0
    (files / "open.toml").write_text(capsys.readouterr().out)
    assert main(["judge", run, "-p", str(files / "s.toml"), "--attest", str(files / "open.toml")]) == 0
    assert "OPEN" in capsys.readouterr().out


def test_a_profile_without_clauses_asks_nothing(capsys):
    assert main(["attest", "example"]) == 2
    assert "has no clauses" in capsys.readouterr().err


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_report_has_the_clauses_in_html_and_pdf(run, files, tmp_path, lang, capsys):
    out = tmp_path / "report"
    assert main(["report", run, "-p", str(files / "mine.toml"), "--attest", str(files / "yes.toml"), "--lang", lang,
                 "--pdf", "-o", str(out)]) == 0
    assert Words(lang)("level.reached") in (out / "report.html").read_text()
    assert (out / "report.pdf").read_bytes().startswith(b"%PDF-")
    assert json.loads((out / "assessments.json").read_text())[0]["level"] == "basic"


@pytest.mark.parametrize("name", sorted(scenario.packaged("profile")))
def test_every_packaged_profile_judges_a_run(run, name, tmp_path, capsys):
    """And an overlay of it does; only what has a limit with a source can pass."""
    over = tmp_path / "over.toml"
    over.write_text(f'name = "over"\nextends = "{name}"\n')
    for given in (name, str(over)):
        assert main(["judge", run, "--profile", given, "--json"]) in (0, 1, 2, 3)
        document = json.loads(capsys.readouterr().out)
        assert all(each["requirement"]["source"] for each in document["findings"] if each["verdict"] == "PASS")
    loaded = profile.load(name)
    for part in loaded.parts:
        assert all(clause.title and clause.title_zh for clause in part.clauses)
        assert not [clause.id for clause in part.clauses if clause.limit and not clause.source]
        if any(clause.kind is Kind.ATTESTED for clause in part.clauses):
            assert main(["attest", name]) == 0
            capsys.readouterr()
