"""Files of tools that no workload of virtmark runs: recorded output, general indicators, and everything refused."""

import json
from pathlib import Path

import pytest

from drivers import imported
from harness import codec, verdict
from harness.errors import InputError
from harness.model import Run, Verdict

DATA = Path(__file__).parents[2] / "data" / "imports"
PYTEST = sorted((DATA / "pytest_benchmark").glob("round-*.json"))


def findings(made, indicator):
    return {finding.point: finding for finding in verdict.judge([made.run]) if finding.indicator == indicator}


def changed(tmp_path, source, **fields):
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(json.loads(source.read_text()) | fields))
    return path


def refused(tool, *files, **params):
    with pytest.raises(InputError) as caught:
        imported.load(tool, files, params=params)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# pytest-benchmark

def test_files_of_pytest_benchmark_are_rounds_and_each_scores_its_median():
    made = imported.load("pytest-benchmark", PYTEST)
    said = [{each["fullname"]: each["stats"] for each in json.loads(path.read_text())["benchmarks"]} for path in PYTEST]
    found = findings(made, "GEN-01")
    assert len(found) == len(said[0]) == 3
    for finding in found.values():
        (step, *_) = [step for step in made.run.plan.steps if step.point == finding.point]
        medians = [file[step.params["benchmark"]]["median"] for file in said]
        assert finding.scores == pytest.approx(medians, rel=1e-12)
        assert (finding.verdict, finding.estimate.n) == (Verdict.MEASURED, 3)
        assert finding.estimate.ci.lo < finding.estimate.estimate < finding.estimate.ci.hi


def test_repetitions_inside_one_file_are_no_rounds():
    (finding, *_) = findings(imported.load("pytest-benchmark", PYTEST[:1]), "GEN-01").values()
    assert finding.estimate.n == 1
    assert finding.estimate.ci.hi == float("inf")
    assert any(text.startswith("no_interval") for text in finding.estimate.warnings)


def test_a_benchmark_is_set_against_the_baseline_of_its_group():
    made = imported.load("pytest-benchmark", PYTEST, params={"baseline": "builtin"})
    (found,) = findings(made, "GEN-06").values()
    said = [{each["param"]: each["stats"]["median"] for each in json.loads(path.read_text())["benchmarks"]}
            for path in PYTEST]
    assert found.scores == pytest.approx([file["heap"] / file["builtin"] for file in said])
    assert "baseline" not in {key for step in made.run.plan.steps if "sum" in step.point for key in step.params}


def test_the_commit_is_kept_and_another_one_is_no_round_of_it(tmp_path):
    said = json.loads(PYTEST[0].read_text())
    assert imported.load("pytest-benchmark", PYTEST).run.facts["target"]["commit"] == said["commit_info"]["id"]
    other = changed(tmp_path, PYTEST[0], commit_info=said["commit_info"] | {"id": "0" * 40})
    assert f"is of commit {'0' * 40}" in refused("pytest-benchmark", PYTEST[0], other)


def test_a_file_of_many_benchmarks_is_kept_once():
    made = imported.load("pytest-benchmark", PYTEST[:2])
    assert sorted(made.raw.values()) == sorted(path.read_bytes() for path in PYTEST[:2])
    assert {kept.path for result in made.run.results for kept in result.evidence} == made.raw.keys()
    assert codec.decode(Run, codec.encode(made.run), "run") == made.run


def test_what_is_no_sound_file_of_pytest_benchmark_is_refused(tmp_path):
    expected = "; expected: the JSON of pytest --benchmark-json, pytest-benchmark 3 to 5"
    said = json.loads(PYTEST[0].read_text())
    for fields, problem in (({"version": "9.0.0"}, "output of version '9.0.0'"), ({"version": ""}, "no version in its"),
                            ({"benchmarks": []}, "no benchmark in its JSON"),
                            ({"benchmarks": [{"fullname": "a", "stats": {"median": None}}]}, "is no finite number"),
                            ({"benchmarks": said["benchmarks"][:1] * 2}, "twice with like parameters")):
        path = changed(tmp_path, PYTEST[0], **fields)
        text = refused("pytest-benchmark", path)
        assert text.startswith(f"{path}: ")
        assert problem in text
        assert text.endswith(expected) or "twice" in problem
    cut = tmp_path / "cut.json"
    cut.write_bytes(PYTEST[0].read_bytes()[:2000])
    assert "breaks off after 2000 characters" in refused("pytest-benchmark", cut)
    assert "no benchmark of any group has 'numpy'" in refused("pytest-benchmark", PYTEST[0], baseline="numpy")
    assert "names several benchmarks of group" in refused("pytest-benchmark", PYTEST[0], baseline="test_sort")
