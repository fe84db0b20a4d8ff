"""A standard on the page: every clause in both languages, and what was measured apart from what was attested."""

import json

import pytest

from analysis import certificate, export, report
from analysis.rows import material
from analysis.words import Words
from harness import assessment, profile
from harness.attestation import Answer
from harness.model import Finding, Verdict
from harness.stats import gm_ci

CLAUSES = [
    {"id": "1", "title": "Speed", "title_zh": "性能"},
    {"id": "1.1", "under": "1", "title": "Compute", "title_zh": "计算", "indicator": "CPU-01", "limit": ">= 100 /s",
     "source": "user", "inferred": True},
    {"id": "1.2", "under": "1", "title": "Scaling", "title_zh": "扩展", "indicator": "CPU-02"},
    {"id": "2", "title": "Care", "title_zh": "服务"},
    {"id": "2.1", "under": "2", "title": "Staff & <people>", "title_zh": "人员", "question": "Is there staff?",
     "question_zh": "是否配备人员？", "evidence": "a list", "evidence_zh": "名单", "signs": "operator"},
    {"id": "2.2", "under": "2", "title": "Contract", "title_zh": "合同", "question": "Is there one?",
     "question_zh": "是否签订？", "evidence": "a copy", "evidence_zh": "副本", "signs": "operator"},
    {"id": "2.3", "under": "2", "title": "For ever", "title_zh": "永久", "reason": "it takes for ever",
     "reason_zh": "耗时过长"},
]
LEVELS = [{"name": "basic", "title": "Basic", "title_zh": "基础级", "clauses": ["1.1"]},
          {"name": "high", "title": "High", "title_zh": "先进级", "clauses": ["2.1", "2.2"]}]
STANDARD = {"issuer": "Body", "issuer_zh": "某协会", "title": "S", "title_zh": "标准", "status": "draft",
            "public": "Only the title is public.", "number": "T/X 1", "year": 2022}
YES = Answer(clause="2.1", answer="yes", evidence=("list.pdf",), signed_by="Li", date="2026-11-01")


@pytest.fixture
def judged(made_up):
    required = profile.read({"name": "s", "title": "Standard S", "title_zh": "标准S", "standard": STANDARD,
                             "clause": CLAUSES, "level": LEVELS}, "s.toml")
    limit = required.clauses[0].requirement
    findings = [
        Finding(indicator="CPU-01", target="target-0", verdict=Verdict.PASS, requirement=limit,
                estimate=gm_ci([200.0, 201.0, 203.0, 204.0, 202.0], unit="1/s")),
        *(Finding(indicator="CPU-02", target="target-0", verdict=Verdict.MEASURED, point=f"threads={n}",
                  estimate=gm_ci([200.0, 201.0, 203.0, 204.0, 202.0], unit="1/s")) for n in range(1, 7))]
    gathered = material([made_up.run("target-0", made_up.facts[0], rounds=2)], findings)
    return gathered, assessment.assess(required, findings, [YES])


def sheet(judged, lang="en"):
    found, = certificate.sheets(*judged, Words(lang))
    return found


def line(found, number):
    return next(each for each in found.lines if each.number == number)


def test_a_measured_clause_carries_number_interval_limit_source_and_n(judged):
    its = line(sheet(judged), "1.1")
    number, = its.numbers
    assert number.value == "202.0 /s" or number.value.startswith("202")
    assert " … " in number.interval
    assert (number.n, its.source, its.badge.letter, its.inferred) == ("5", "user", "P", True)
    assert its.limit.startswith("≥ 100")


def test_a_clause_with_many_points_says_how_many_more(judged):
    its = line(sheet(judged), "1.2")
    assert (len(its.numbers), its.more, its.badge.letter) == (4, 2, "M")


def test_measured_and_attested_are_counted_apart(judged):
    counts = {kind: {badge.letter: n for badge, n in found} for kind, found in sheet(judged).counts}
    assert counts == {"measured": {"P": 1, "M": 1}, "attested": {"A": 1, "O": 1}, "not testable": {"N": 1}}


def test_levels_say_what_is_missing(judged):
    found = sheet(judged)
    assert (found.reached, found.following) == ("Basic", "High")
    assert found.levels[1].missing == ("2.2 Contract: OPEN",)


def test_evidence_and_signature_stand_beside_an_answer_and_the_question_beside_an_open_one(judged):
    found = sheet(judged)
    assert (line(found, "2.1").evidence, line(found, "2.1").signed) == (("list.pdf",), "Li · 2026-11-01")
    assert line(found, "2.2").asked == "Is there one? Evidence: a copy"
    assert line(found, "2.3").asked == "it takes for ever"


def test_everything_is_said_in_chinese(judged):
    found = sheet(judged, "zh")
    assert (found.title, found.issuer, found.status, found.reached) == ("标准S", "某协会", "征求意见稿", "基础级")
    assert [each.title for each in found.lines] == [clause["title_zh"] for clause in CLAUSES]
    assert line(found, "2.2").asked == "是否签订？证据：副本"
    assert line(found, "2.1").badge.text == "已声明"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_shows_every_clause_and_escapes_it(judged, lang):
    gathered, assessed = judged
    page = report.html(gathered, [], None, Words(lang), assessed)
    for clause in CLAUSES:
        assert clause["title" if lang == "en" else "title_zh"].replace("&", "&amp;").replace("<", "&lt;").replace(
            ">", "&gt;") in page
    assert 'id="standard-1"' in page


def test_the_machine_gets_the_same(judged):
    _, assessed = judged
    found, = json.loads(export.assessments_json(assessed))
    assert (found["level"], found["next"]) == ("basic", {"level": "high", "missing": ["2.2"]})
    assert {each["clause"]: each["outcome"] for each in found["clauses"]} == {
        "1.1": "PASS", "1.2": "MEASURED", "2.1": "ATTESTED", "2.2": "OPEN", "2.3": "NOT_TESTABLE"}
