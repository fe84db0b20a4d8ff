"""Files of tools that no workload of virtmark runs: recorded output, general indicators, and everything refused."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


# hyperfine

HYPERFINE = sorted((DATA / "hyperfine").glob("round-*.json"))


def test_commands_of_hyperfine_are_points_and_files_are_rounds():
    found = findings(imported.load("hyperfine", HYPERFINE), "GEN-01")
    said = [json.loads(path.read_text())["results"] for path in HYPERFINE]
    assert [finding.scores for finding in found.values()] == [
        pytest.approx([file[at]["median"] for file in said]) for at in range(2)]
    made = imported.load("hyperfine", [DATA / "hyperfine" / "parameters.json"])
    assert [step.params["parameter.n"] for step in made.run.plan.steps] == ["1", "2"]
    (series,) = [each for each in made.run.results[0].series if each.labels["part"] == "sample"]
    (first, _) = json.loads((DATA / "hyperfine" / "parameters.json").read_text())["results"]
    assert series.values == tuple(first["times"])


def test_a_command_that_failed_or_left_no_times_is_refused(tmp_path):
    (first, *_) = json.loads(HYPERFINE[0].read_text())["results"]
    for change, problem in (({"exit_codes": [0, 7]}, "ended with code 7 in 1 of 2 runs"), ({"times": []}, "is empty")):
        assert problem in refused("hyperfine", changed(tmp_path, HYPERFINE[0], results=[first | change]))
    assert "no result in its JSON" in refused("hyperfine", changed(tmp_path, HYPERFINE[0], results=[]))
    assert "results: is missing" in refused("hyperfine", PYTEST[0])


# locust

@pytest.mark.parametrize("pattern", ["*_stats.csv", "round-?.json"])
def test_names_of_locust_are_points_with_times_rate_and_failures(pattern):
    found = imported.load("locust", sorted((DATA / "locust").glob(pattern)))
    by = {(finding.indicator, finding.point.rpartition("-")[0]): finding for finding in verdict.judge([found.run])}
    assert by["GEN-01", "GET"].scores == pytest.approx((0.004, 0.005))
    assert by["GEN-05", "GET-none"].scores == (1.0, 1.0)
    assert by["GEN-05", "GET"].scores == (0.0, 0.0)
    assert 50 < by["GEN-02", "GET"].estimate.estimate < 80
    (check,) = [each for each in by["GEN-01.p99", "GET"].estimate.assumptions if each.name == "tail sampled"]
    assert (check.passed, check.limit) == (None, 10_000)
    assert by["GEN-01", "GET"].estimate.resolution == 0.001


def test_csv_and_json_of_one_run_of_locust_say_the_same_within_its_rounding():
    csv, json_ = (imported.load("locust", [DATA / "locust" / f"round-1{name}"]).run for name in ("_stats.csv", ".json"))
    assert [step.point for step in csv.plan.steps] == [step.point for step in json_.plan.steps]
    for one, other in zip(csv.results, json_.results, strict=True):
        rates = [next(each.values[0] for each in result.series if each.metric == "imported.rate")
                 for result in (one, other)]
        assert rates[0] == pytest.approx(rates[1], rel=0.1)


def test_what_is_no_whole_file_of_locust_is_refused(tmp_path):
    text = (DATA / "locust" / "round-1_stats.csv").read_text()
    cut = tmp_path / "cut_stats.csv"
    for content, problem in ((text.rpartition(",Aggregated")[0], "'Aggregated' is missing at the end"),
                             (text.replace("Request Count", "# requests"), "column 'Request Count' is missing"),
                             ("[]", "no request was made"), ('[{"name": "/"}]', "requests[0]: 'response_times'"),
                             (text.replace(",196,", ",N/A,"), "'N/A' is no finite number")):
        cut.write_text(content)
        assert problem in refused("locust", cut)


# stress-ng and cyclictest

def test_stressors_are_points_by_what_is_printed_and_by_yaml():
    for name in ("switch-pipe.txt", "switch-pipe.yaml"):
        found = findings(imported.load("stress-ng", [DATA / "stress_ng" / name]), "GEN-02")
        assert [score for finding in found.values() for score in finding.scores] == pytest.approx([31507.46, 266751.96])
    made = imported.load("stress-ng", [DATA / "stress_ng" / "switch-pipe.yaml"])
    assert made.run.facts["guest"]["tool.stress-ng"] == "0.15.06"


def test_the_cpu_stressor_counts_as_compute_where_its_method_is_said():
    path = DATA / "stress_ng" / "cpu.txt"
    (found,) = findings(imported.load("stress-ng", [path], params={"method": "matrixprod"}), "CPU-01").values()
    (general,) = findings(imported.load("stress-ng", [path]), "GEN-02").values()
    assert found.scores == general.scores


def test_stress_ng_that_was_cut_off_is_refused(tmp_path):
    text = (DATA / "stress_ng" / "switch-pipe.txt").read_text()
    yaml = (DATA / "stress_ng" / "switch-pipe.yaml").read_text()
    cut = tmp_path / "cut.txt"
    without_pipe = "\n".join(line for line in text.splitlines() if "pipe   " not in line)
    for content, problem in ((text[:200], "no table of metrics"), (text.rpartition("info:")[0], "come to its end"),
                             (without_pipe, "no metrics of 'pipe'"),
                             (yaml.removesuffix("...\n"), "no end ('...') in its YAML"),
                             (yaml.partition("metrics:")[0], "no metrics in its YAML")):
        cut.write_text(content)
        assert problem in refused("stress-ng", cut)


def test_the_histogram_of_cyclictest_is_the_same_from_text_and_json():
    text, json_ = (imported.load("cyclictest", [DATA / "cyclictest" / f"one.{kind}"]) for kind in ("txt", "json"))
    for name in ("CPU-05", "CPU-05.max", "CPU-05.median"):
        (one,), (other,) = findings(text, name).values(), findings(json_, name).values()
        assert one.scores == other.scores
    assert json_.run.facts["guest"]["tool.cyclictest"] == "2.40"
    two = imported.load("cyclictest", [DATA / "cyclictest" / "two.json"])
    (histogram,) = [each for each in two.run.results[0].series if each.labels.get("stat") == "histogram"]
    assert sum(histogram.weights) == 600
    assert two.run.plan.steps[0].params == {"threads": 2}


def test_cyclictest_without_a_histogram_or_of_another_layout_is_refused(tmp_path):
    one = DATA / "cyclictest" / "one.json"
    thread = json.loads(one.read_text())["thread"]["0"]
    for fields, problem in (({"file_version": 2}, "file_version 2; 1 is known"),
                            ({"return_code": 1}, "ended with code 1"),
                            ({"thread": {"0": thread | {"histogram": None}}}, "has no histogram"),
                            ({"num_threads": 2}, "1 of 2 threads")):
        assert problem in refused("cyclictest", changed(tmp_path, one, **fields))


# phoronix and perfkit: by their published formats

COMPOSITE = DATA / "phoronix" / "by-format-composite.xml"
PERFKIT = DATA / "perfkit" / "by-format.json"


def test_one_system_of_a_composite_is_a_run_and_its_repetitions_are_one_round():
    assert "holds 2 systems, red, blue; choose one by --set system=NAME" in refused("phoronix", COMPOSITE)
    made = imported.load("phoronix", [COMPOSITE], params={"system": "red"})
    (points,), (times,) = findings(made, "GEN-07").values(), findings(made, "GEN-01").values()
    assert (points.scores, points.estimate.unit, points.estimate.n) == ((20050.0,), "points", 1)
    assert times.scores == (312.5,)
    assert made.run.facts["target"]["system"] == "red"
    assert "system" not in made.run.plan.steps[0].params
    assert "no system 'green'; there are: red, blue" in refused("phoronix", COMPOSITE, system="green")


def test_what_is_no_composite_is_refused(tmp_path):
    text, path = COMPOSITE.read_text(), tmp_path / "composite.xml"
    for content, problem in ((text[:900], "is no whole XML"), (text.replace("v10.8.4", "v4.8.0"), "v4.8.0'"),
                             (text.replace("HIB", "UP"), "Proportion 'UP'; HIB and LIB are known"),
                             ("<!DOCTYPE a [<!ENTITY b 'c'>]><PhoronixTestSuite/>", "declares a document type"),
                             ("<html/>", "one of 'html'"), ("<PhoronixTestSuite/>", "no Result in its XML")):
        path.write_text(content)
        assert problem in refused("phoronix", path, system="red")


def test_runs_of_perfkit_are_rounds_and_metadata_tells_points_apart():
    made = imported.load("perfkit", [PERFKIT])
    rates = findings(made, "GEN-03")
    assert [finding.scores for finding in rates.values()] == [
        pytest.approx((9400e6 / 8, 9420e6 / 8)), pytest.approx((9410e6 / 8, 9420e6 / 8))]
    latency = next(each for point, each in findings(made, "GEN-01").items() if "Latency" in point)
    assert latency.scores == pytest.approx((0.33e-3, 0.34e-3))
    assert made.unscored == ("coremark Coremark Score",)


def test_a_direction_that_a_file_does_not_say_can_be_given():
    made = imported.load("perfkit", [PERFKIT], params={"better": "higher"})
    (score,) = findings(made, "GEN-07").values()
    assert score.scores == pytest.approx((44145.2, 44146.2))
    assert len(findings(made, "GEN-01")) == 2
    assert not made.unscored
    assert "better = 'up' is unknown; allowed: higher, lower" in refused("perfkit", PERFKIT, better="up")


def test_what_are_no_samples_of_perfkit_is_refused(tmp_path):
    text, path = PERFKIT.read_text(), tmp_path / "results.json"
    for content, problem in ((text[:-40], "is no whole JSON object"),
                             (text.replace('"run_uri"', '"uri"'), "run_uri: is missing"),
                             ("[1]\n", "line 1: test: is missing"), ("", "no sample that is one number"),
                             (text.replace('"ms"', '"s"', 1), "units ms and s in one run")):
        path.write_text(content)
        assert problem in refused("perfkit", path)


# Go's benchmark text

GO = """goos: linux
Unit widgets better=higher
BenchmarkEncode/format=json-8   100   1500 ns/op   12 widgets
BenchmarkEncode/format=json-8   100   1700 ns/op   14 widgets
BenchmarkEncode/format=json-8   100   1600 ns/op   13 widgets
PASS
"""


def test_lines_of_a_go_benchmark_are_samples_unless_the_file_says_that_they_are_rounds(tmp_path):
    path = tmp_path / "new.txt"
    path.write_text(GO)
    made = imported.load("benchstat", [path])
    (time,), (widgets,) = findings(made, "GEN-01").values(), findings(made, "GEN-07").values()
    assert time.scores == pytest.approx((1.6e-6,))
    assert widgets.scores == (13.0,)
    assert made.run.plan.steps[0].params["goos"] == "linux"
    path.write_text("replicate: round\n" + GO)
    (time,) = findings(imported.load("benchstat", [path]), "GEN-01").values()
    assert time.scores == pytest.approx((1.5e-6, 1.7e-6, 1.6e-6))


def test_what_is_no_benchmark_text_is_refused(tmp_path):
    path = tmp_path / "new.txt"
    for content, problem in ((GO.removesuffix(' widgets\nPASS\n'), "has no unit"), ("hello\n", "no benchmark line"),
                             (GO.replace("100   1500", "x   1500"), "is no benchmark line")):
        path.write_text(content)
        assert problem in refused("benchstat", path)


# anything

FILES = {"pytest-benchmark": PYTEST[0], "hyperfine": HYPERFINE[0], "locust": DATA / "locust" / "round-1.json",
         "stress-ng": DATA / "stress_ng" / "switch-pipe.txt", "cyclictest": DATA / "cyclictest" / "one.json",
         "phoronix": COMPOSITE, "perfkit": PERFKIT}


@pytest.mark.parametrize("tool", FILES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_file_that_was_cut_or_garbled_is_refused_in_one_line_or_read(tool, data, tmp_path_factory):
    text = FILES[tool].read_text()
    begin = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(begin, min(len(text), begin + 40)) | st.just(len(text)))
    path = tmp_path_factory.mktemp("garbled") / "file"
    path.write_text(text[:begin] + data.draw(st.sampled_from(["", "0", "null", "[]", "{}", '"x"'])) + text[end:])
    said = ""
    try:
        assert imported.load(tool, [path], params={"system": "red"}).run.results
    except InputError as error:
        said = str(error)
    assert not said or said.startswith(f"{path}: ")
    assert "\n" not in said


@pytest.mark.parametrize("tool", imported.formats())
@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x00\xff", b"{}", b"[]", b"<a/>", b'{"results": 1}', b"[1]"])
def test_what_is_no_output_of_a_tool_is_refused_with_what_is_expected(tool, content, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content)
    said = refused(tool, path)
    assert said.startswith(f"{path}: ")
    assert imported.formats()[tool] in said or "is expected" in said


def test_every_format_says_what_it_expects():
    listed = imported.formats()
    assert listed.keys() >= {"fio", "iperf3", "sysbench", *FILES}
    assert all(listed.values())
