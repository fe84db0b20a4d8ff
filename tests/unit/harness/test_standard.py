"""Standards clause by clause: trees that make sense, overlays, answers, and levels reached only when all holds."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import assessment, attestation, profile
from harness.assessment import Said
from harness.errors import InputError
from harness.model import Finding, Verdict
from harness.standard import Kind
from harness.stats import gm_ci, proportion_ci
from harness.stats.records import Requirement

STANDARD = {"issuer": "I", "issuer_zh": "某协会", "title": "S", "title_zh": "标准", "status": "draft",
            "public": "a note"}
TREE = [
    {"id": "1", "title": "Speed", "title_zh": "性能"},
    {"id": "1.1", "under": "1", "title": "Compute", "title_zh": "计算", "indicator": "CPU-01", "weight": 3.0},
    {"id": "1.2", "under": "1", "title": "Moves", "title_zh": "迁移", "check": "MIG-05", "scenario": "migration",
     "source": "definition"},
    {"id": "2", "title": "Care", "title_zh": "服务"},
    {"id": "2.1", "under": "2", "title": "Staff", "title_zh": "人员", "question": "Is there staff?",
     "question_zh": "有人员？", "evidence": "a list", "evidence_zh": "名单", "signs": "operator"},
    {"id": "2.2", "under": "2", "title": "For ever", "title_zh": "永久", "reason": "it takes for ever",
     "reason_zh": "耗时过长"},
    {"id": "3", "title": "Later", "title_zh": "暂缺", "indicator": "VML-99", "pending": "no workload for it yet"},
]
LEVELS = [{"name": "basic", "title": "Basic", "title_zh": "基础级", "clauses": ["1"]},
          {"name": "full", "title": "Full", "title_zh": "先进级", "clauses": ["2.1"]}]
LIMIT = {"limit": ">= 100 /s", "source": "user"}


def tree(*changes, levels=LEVELS):
    clauses = [dict(clause) for clause in TREE]
    for change in changes:
        next(clause for clause in clauses if clause["id"] == change["id"]).update(change)
    return {"name": "s", "title": "S", "title_zh": "标", "standard": STANDARD, "clause": clauses, "level": levels}


def read(*changes, **more):
    return profile.read(tree(*changes, **more), "s.toml")


def finding(indicator, verdict, **more):
    return Finding(indicator=indicator, target="t", verdict=verdict, **more)


def judged(*findings, answers=(), of=None):
    found, = assessment.assess(of or read({"id": "1.1"} | LIMIT), findings, answers)
    return found


def leaf(found, clause):
    return next(each for each in found.leaves() if each.clause.id == clause)


LIMITED = Requirement(indicator_id="CPU-01", op=">=", limit=100.0, unit="1/s", source="user")
PASSED = finding("CPU-01", Verdict.PASS, requirement=LIMITED, estimate=gm_ci([200.0, 201.0, 202.0, 203.0, 204.0]))
MOVED = finding("MIG-05", Verdict.MEASURED, estimate=proportion_ci(20, 20))
YES = attestation.Answer(clause="2.1", answer="yes", evidence=("list.pdf",), signed_by="A", date="2026-11-01")


@pytest.mark.parametrize(("change", "message"), [
    ({"id": "1.1", "question": "?"}, "clause '1.1': is measured and attested at once; keep one of: indicator"),
    ({"id": "1.1", "scenario": "x"}, "clause '1.1'.scenario: belongs to check, which is not set; the clause is"),
    ({"id": "1.1", "limit": ">= 1 /s"}, "clause '1.1': source is missing; a limit comes with the source that"),
    ({"id": "1.1", "source": "user"}, "clause '1.1': limit is missing; a limit comes with"),
    ({"id": "1.1", "limit": ">= 1 ms", "source": "user"}, "clause '1.1'.limit: '1 ms' is no quantity in 1/s"),
    ({"id": "1.1", "indicator": "NO-1"}, "clause '1.1': 'NO-1' is no indicator that virtmark measures; say why"),
    ({"id": "1.1", "pending": "?"}, "clause '1.1'.pending: virtmark measures 'CPU-01'; take `pending` out"),
    ({"id": "3", "limit": ">= 1 /s", "source": "user"}, "clause '3'.limit: virtmark cannot measure 'VML-99' yet"),
    ({"id": "1.2", "check": "CPU-01"}, "clause '1.2'.check: 'CPU-01' is in 1/s; a check is a share of trials"),
    ({"id": "1.2", "scenario": ""}, "clause '1.2': key 'scenario' is missing"),
    ({"id": "2.1", "evidence_zh": ""}, "clause '2.1': key 'evidence_zh' is missing; a clause that is attested needs"),
    ({"id": "1.1", "title_zh": ""}, "clause '1.1': key 'title_zh' is missing"),
    ({"id": "1.1", "under": "9"}, "clause '1.1': under: '9' is no clause before it; there are: 1"),
    ({"id": "1.2", "under": "1.1"}, "clause '1.1': is measured and has clauses below it; only a heading may have them"),
    ({"id": "1.1", "weight": 0}, "clause[1].weight: must be float > 0.0"),
    ({"id": "1.1", "colour": "red"}, "clause[1]: unknown key 'colour'"),
])
def test_what_is_no_tree_is_refused(change, message):
    with pytest.raises(InputError) as error:
        read(change)
    assert str(error.value).startswith(f"s.toml: {message}")


def test_a_clause_that_stands_there_twice_is_refused():
    data = tree()
    data["clause"].append(dict(TREE[1]))
    with pytest.raises(InputError, match=r"clause '1\.1': stands there twice"):
        profile.read(data, "s.toml")


@pytest.mark.parametrize(("clauses", "message"), [
    (["7"], "level 'x': clauses: '7' is none; there are: 1, 1.1"),
    (["2"], "level 'x': clauses: '2.2' is not testable")])
def test_a_level_needs_clauses_that_can_hold(clauses, message):
    with pytest.raises(InputError) as error:
        read(levels=[{"name": "x", "title": "X", "title_zh": "级", "clauses": clauses}])
    assert message in str(error.value)


def test_without_a_limit_a_clause_is_measured_and_does_not_hold():
    found = leaf(judged(finding("CPU-01", Verdict.MEASURED), of=read()), "1.1")
    assert (found.verdict, found.holds) == (Verdict.MEASURED, False)


def test_a_clause_is_as_good_as_its_worst_point():
    found = leaf(judged(PASSED, finding("CPU-01", Verdict.INVALID, requirement=LIMITED, reasons=("busy",))), "1.1")
    assert (found.verdict, found.holds, found.why) == (Verdict.INVALID, False, "busy")


def test_what_virtmark_cannot_measure_yet_is_not_run_and_says_why():
    found = leaf(judged(PASSED), "3")
    assert (found.verdict, found.why) == (Verdict.NOT_RUN, "no workload for it yet")


@pytest.mark.parametrize(("successes", "verdict", "outcome"), [
    (20, Verdict.MEASURED, Verdict.PASS), (19, Verdict.MEASURED, Verdict.FAIL), (20, Verdict.INVALID, Verdict.INVALID)])
def test_a_check_needs_every_trial(successes, verdict, outcome):
    found = leaf(judged(finding("MIG-05", verdict, estimate=proportion_ci(successes, 20))), "1.2")
    assert (found.verdict, found.holds) == (outcome, outcome is Verdict.PASS)


def test_a_check_that_nobody_made_names_its_scenario():
    assert leaf(judged(PASSED), "1.2").why == "not tried; run scenario migration"


def test_levels_are_reached_in_order_and_only_when_all_of_them_holds():
    assert judged(PASSED).level is None
    assert [one.clause.id for one in judged(PASSED).following.missing] == ["1.2"]
    basic = judged(PASSED, MOVED)
    assert basic.level.level.name == "basic"
    assert [one.clause.id for one in basic.following.missing] == ["2.1"]
    full = judged(PASSED, MOVED, answers=[YES])
    assert (full.level.level.name, full.following) == ("full", None)
    assert judged(PASSED, answers=[YES]).level is None, "the lower level is missing"


@pytest.mark.parametrize(("answer", "said"), [
    ({}, Said.OPEN), ({"answer": "yes"}, Said.DENIED), ({"answer": "no", "signed_by": "A"}, Said.DENIED)])
def test_only_a_signed_yes_with_evidence_counts(answer, said):
    found = leaf(judged(PASSED, answers=[attestation.Answer(clause="2.1", **answer)]), "2.1")
    assert (found.said, found.holds) == (said, False)


def test_an_answer_for_one_target_does_not_count_for_another():
    other = attestation.Answer(clause="2.1", answer="yes", evidence=("x",), signed_by="A", date="2026-11-01",
                               target="other")
    assert leaf(judged(PASSED, answers=[other]), "2.1").said is Said.OPEN


def test_a_heading_has_the_weight_of_what_holds_below_it():
    found = judged(PASSED)
    assert found.clauses[0].share == 0.75
    assert found.clauses[0].verdict is None


@given(st.lists(st.sampled_from(list(Verdict)), min_size=1, max_size=4), st.booleans())
def test_no_pass_without_a_threshold_and_its_source(verdicts, limited):
    """Whatever the findings say: only a clause whose limit has a source can hold."""
    its = [finding("CPU-01", verdict, requirement=LIMITED if limited else None) for verdict in verdicts
           if limited or verdict not in (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE)]
    found, = assessment.assess(read(*[{"id": "1.1"} | LIMIT] * limited), [*its, finding("CPU-02", Verdict.MEASURED)])
    measured = leaf(found, "1.1")
    assert measured.holds <= (limited and bool(measured.clause.source) and Verdict.PASS in verdicts)


def test_an_overlay_sets_limits_and_numbers_and_what_else_differs(tmp_path):
    base, over = tmp_path / "s.toml", tmp_path / "mine.toml"
    base.write_text(_toml(tree()))
    over.write_text('name = "mine"\nextends = "./s.toml"\n[[clause]]\nid = "1.1"\nnumber = "6.2.1"\n'
                    'limit = ">= 100 /s"\nsource = "user"\n[[clause]]\nid = "2.2"\nquestion = "?"\nquestion_zh = "？"\n'
                    'evidence = "e"\n'
                    'evidence_zh = "证"\nsigns = "lab"\n[[clause]]\nid = "4"\ntitle = "New"\ntitle_zh = "新"\n'
                    'indicator = "CPU-02"\n')
    found = profile.load(over)
    part, = found.parts
    clauses = {clause.id: clause for clause in part.clauses}
    assert (clauses["1.1"].number, clauses["1.1"].limit, clauses["1.1"].title) == ("6.2.1", ">= 100 /s", "Compute")
    assert (clauses["2.2"].kind, clauses["2.2"].reason) == (Kind.ATTESTED, "")
    assert list(clauses)[-1] == "4"
    assert (found.name, found.title, found.base) == ("mine", "S", ("s",))
    assert [each.requirement.source for each in found.clauses] == ["user"]
    assert found.clauses[0].clause == "6.2.1"


def test_a_profile_beside_its_overlay_is_not_judged_twice(tmp_path):
    (tmp_path / "s.toml").write_text(_toml(tree()))
    (tmp_path / "mine.toml").write_text('name = "mine"\nextends = "./s.toml"\n')
    both = profile.merge([profile.load(tmp_path / "s.toml"), profile.load(tmp_path / "mine.toml")])
    assert [part.name for part in both.parts] == ["mine"]


def test_a_profile_that_extends_itself_is_refused(tmp_path):
    (tmp_path / "a.toml").write_text('name = "a"\ntitle = "A"\nextends = "./b.toml"\n')
    (tmp_path / "b.toml").write_text('name = "b"\ntitle = "B"\nextends = "./a.toml"\n')
    with pytest.raises(InputError, match="extends itself in the end"):
        profile.load(tmp_path / "a.toml")


def _toml(data):
    def value(each):
        if isinstance(each, list):
            return "[" + ", ".join(map(value, each)) + "]"
        return str(each).lower() if isinstance(each, bool) else repr(each) if isinstance(each, float) else f'"{each}"'

    lines = [f'{key} = "{data[key]}"' for key in ("name", "title", "title_zh")]
    for header, rows in (("[standard]", [data["standard"]]), ("[[clause]]", data["clause"]),
                         ("[[level]]", data["level"])):
        for row in rows:
            lines += [header, *(f"{key} = {value(each)}" for key, each in row.items())]
    return "\n".join(lines) + "\n"


class TestAnswers:
    def test_the_questionnaire_comes_back_as_open_answers(self, tmp_path):
        file = tmp_path / "answers.toml"
        file.write_text(attestation.questionnaire(read().parts[0]))
        answer, = attestation.load(file, read().parts)
        assert (answer.clause, answer.answer, answer.counts) == ("2.1", "", False)
        assert "有人员？" in file.read_text()

    def test_evidence_that_is_a_file_is_told_by_its_hash(self, tmp_path):
        (tmp_path / "list.pdf").write_bytes(b"names")
        file = tmp_path / "answers.toml"
        file.write_text('profile = "s"\n[[answer]]\nclause = "2.1"\nanswer = "yes"\nevidence = ["list.pdf", "room 5"]\n'
                        'signed_by = "A"\ndate = "2026-11-01"\n')
        answer, = attestation.load(file, read().parts)
        assert answer.evidence[0].startswith("list.pdf (SHA-256 ")
        assert answer.evidence[1] == "room 5"

    @pytest.mark.parametrize(("text", "message"), [
        ('clause = "1.1"', "answer[0].clause: '1.1' asks nothing; allowed: 2.1"),
        ('clause = "2.1"\nanswer = "yes"', 'answer[0].evidence: is empty; "yes" needs evidence, signed_by and date'),
        ('clause = "2.1"\nanswer = "no"', "answer[0].signed_by: is empty; who says no?"),
        ('clause = "2.1"\nanswer = "maybe"', "answer[0].answer: 'maybe' is unknown; allowed: yes, no"),
        ('clause = "2.1"\ndate = "2026-02-31"', "answer[0].date: '2026-02-31' is no day"),
        ('clause = "2.1"\n[[answer]]\nclause = "2.1"', "answer[1].clause: '2.1' is answered twice"),
    ])
    def test_bad_answers_are_refused(self, tmp_path, text, message):
        file = tmp_path / "answers.toml"
        file.write_text(f'profile = "s"\n[[answer]]\n{text}\n')
        with pytest.raises(InputError) as error:
            attestation.load(file, read().parts)
        assert message in str(error.value)

    def test_answers_to_another_profile_are_refused(self, tmp_path):
        file = tmp_path / "answers.toml"
        file.write_text('profile = "other"\n')
        with pytest.raises(InputError, match="profile: 'other' is not judged here; allowed: s"):
            attestation.load(file, read().parts)

    def test_a_profile_without_questions_has_no_questionnaire(self):
        plain = read({"id": "2.1", "question": "", "question_zh": "", "evidence": "", "evidence_zh": "", "signs": "",
                      "reason": "r", "reason_zh": "由"}, levels=[])
        with pytest.raises(InputError, match="no clause of it is attested"):
            attestation.questionnaire(plain.parts[0])


def test_limits_of_several_levels_on_one_indicator_are_told_apart():
    """Slow for the higher level is fast enough for the lower one."""
    quick = {"id": "9", "title": "Quick", "title_zh": "快", "indicator": "CPU-01", "limit": ">= 1 k/s",
             "source": "user"}
    data = tree({"id": "1.1"} | LIMIT, levels=[])
    data["clause"].append(quick)
    missed = Requirement(indicator_id="CPU-01", op=">=", limit=1000.0, unit="1/s", source="user")
    found = judged(PASSED, finding("CPU-01", Verdict.FAIL, requirement=missed), of=profile.read(data, "s.toml"))
    assert (leaf(found, "1.1").verdict, leaf(found, "9").verdict) == (Verdict.PASS, Verdict.FAIL)


def test_levels_only_rise():
    found = judged(PASSED, MOVED)
    assert all(lower.reached >= upper.reached for lower, upper in pairwise(found.levels))


def test_clauses_of_one_number_keep_their_own_limits():
    """As where one paragraph of a standard asks different things at different points."""
    data = tree({"id": "1.1", "number": "6.2", "point": "threads=1"} | LIMIT, levels=[])
    data["clause"].append({"id": "9", "title": "Many", "title_zh": "多", "number": "6.2", "indicator": "CPU-01",
                           "point": "threads=8", "limit": ">= 1 k/s", "source": "user"})
    many = Requirement(indicator_id="CPU-01", op=">=", limit=1000.0, unit="1/s", source="user")
    found = judged(finding("CPU-01", Verdict.PASS, requirement=LIMITED, point="threads=1"),
                   finding("CPU-01", Verdict.FAIL, requirement=many, point="threads=8"),
                   of=profile.read(data, "s.toml"))
    assert (leaf(found, "1.1").verdict, leaf(found, "9").verdict) == (Verdict.PASS, Verdict.FAIL)
