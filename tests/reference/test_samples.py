"""Other people's files, good and broken: what can be read is read, what cannot is refused for the right reason."""

import json
from pathlib import Path
from statistics import median

import pytest

from drivers import imported
from drivers.tools.reading import document
from harness import verdict
from harness.errors import InputError, ToolError
from harness.indicators.percentiles import merged
from harness.stats import hist_quantile

SAMPLES = Path(__file__).parents[3] / "shared" / "reference" / "samples"
pytestmark = [pytest.mark.reference,
              pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"{SAMPLES.name} of other people are not here")]


@pytest.mark.parametrize(("file", "problem"), [
    ("fio/fioplot-bad.json", "fio: printed no JSON but 'fio: failed to load engine'"),
    ("fio/fioplot-fio-2.18-59-g618e.json", "'fio-2.18-59-g618e'; fio 3.0 or later is needed"),
    ("fio/pkb-fio-sample.json", "'fio-2.1.4'; fio 3.0 or later is needed"),
    ("fio/yardstick-fio_read_sample_output.json", "'fio-2.1.3'; fio 3.0 or later is needed"),
    ("fio/yardstick-fio_write_sample_output.json", "'fio-2.1.3'; fio 3.0 or later is needed"),
    ("tools/pkb-sysbench-output-sample.txt", "no JSON but"),
])
def test_refused_as_fio(file, problem):
    with pytest.raises(InputError) as caught:
        imported.load("fio", [SAMPLES / file])
    assert problem in str(caught.value)


def test_sysbench_of_a_database_is_refused():
    with pytest.raises(InputError, match="neither a cpu nor a memory test"):
        imported.load("sysbench", [SAMPLES / "tools" / "pkb-sysbench-output-sample.txt"])


def test_old_iperf_is_refused():
    path = SAMPLES / "iperf3" / "yardstick-tcp.json"
    version = json.loads(path.read_text())["start"]["version"]
    with pytest.raises(InputError, match=r"3\.1 or later is needed"):
        imported.load("iperf3", [path])
    assert version.startswith("iperf 3.0")


def test_fio_3_of_2019_is_read():
    (result,) = imported.load("fio", [SAMPLES / "fio" / "fioplot-fio-3.1.json"]).run.results
    said = json.loads((SAMPLES / "fio" / "fioplot-fio-3.1.json").read_text())["jobs"][0]
    (rate,) = [series for series in result.series if series.metric == "disk.rate"]
    (mean,) = [series for series in result.series
               if series.metric == "disk.latency" and series.labels["stat"] == "mean"]
    assert rate.values == (said["write"]["iops"],)
    assert mean.values == (said["write"]["clat_ns"]["mean"] / 1e9,)
    assert result.step.params["depth"] == 8
    assert rate.labels["direct"] == "1"


def test_an_interrupted_run_is_salvaged_and_flagged():
    (result,) = imported.load("fio", [SAMPLES / "fio" / "fioplot-prefixed-interrupted-3.34.json"]).run.results
    assert {series.labels["note"] for series in result.series} == {
        "text before the JSON: fio: terminating on signal 2"}


def test_all_percentiles_of_a_json_plus_file_are_had_back():
    path = SAMPLES / "fio" / "fio-3.33-jsonplus-sample.json"
    said = json.loads(path.read_text())
    results = imported.load("fio", [path]).run.results
    compared = 0
    for result, job in zip(results, said["jobs"], strict=True):
        for op in ("read", "write"):
            if not job[op]["total_ios"]:
                continue
            alone = [series for series in result.series if series.labels["op"] == op]
            histogram = merged(type(result)(**{name: getattr(result, name) for name in result.__struct_fields__}
                                            | {"series": tuple(alone)}), "disk.latency")
            for share, value in job[op]["clat_ns"]["percentile"].items():
                assert hist_quantile(histogram, float(share) / 100).mid == value
                compared += 1
    assert compared >= 30


def test_json_of_another_tool_lacks_what_is_asked_for():
    read = document((SAMPLES / "produced" / "query-migrate-tcg.json").read_text(), "fio")
    with pytest.raises(ToolError, match="fio: jobs: is missing in its JSON"):
        read.number("jobs", 0, "read", "iops")


def scores(made, indicator):
    return {finding.point.rpartition("-")[0]: finding.scores for finding in verdict.judge([made.run])
            if finding.indicator == indicator}


def test_an_old_stress_ng_is_read():
    made = imported.load("stress-ng", [SAMPLES / "tools" / "pkb-stress_ng_output.txt"])
    assert scores(made, "GEN-02") == {"context": (4485.82,)}


def test_locust_of_somebody_else_is_read_but_its_history_is_refused():
    made = imported.load("locust", [SAMPLES / "produced" / "lf_fast.10_stats.csv"])
    assert scores(made, "GEN-01.p99") == {"GET": (0.006,)}
    assert scores(made, "GEN-02") == {"GET": pytest.approx((3449.108,))}
    with pytest.raises(InputError, match="column 'Request Count' is missing"):
        imported.load("locust", [SAMPLES / "produced" / "lf_fast.10_stats_history.csv"])


def test_times_of_commands_that_failed_are_refused():
    with pytest.raises(InputError, match="'avocado --version' ended with code 1 in 10 of 10 runs"):
        imported.load("hyperfine", [SAMPLES / "produced" / "hyperfine.json"])


@pytest.mark.parametrize("name", ["new", "old", "units", "zero", "smallSample", "issue19565", "issue19634"])
def test_files_of_benchstats_own_tests_are_read(name):
    path = SAMPLES / "benchstat" / f"{name}.txt"
    lines = [line.split() for line in path.read_text().splitlines() if line.startswith("Benchmark")]
    wanted = [float(value) for words in lines for value in words[2::2]]
    results = imported.load("benchstat", [path]).run.results
    # A score stands beside the samples that it is the median of, or alone for the only one.
    assert sum(len(result.series[-1].values) for result in results) == len(wanted) > 0


def test_the_median_of_a_go_benchmark_is_benchstats():
    made = imported.load("benchstat", [SAMPLES / "benchstat" / "old.txt"])
    lines = [line.split() for line in (SAMPLES / "benchstat" / "old.txt").read_text().splitlines()
             if line.startswith("BenchmarkEncode/format=gob")]
    assert scores(made, "GEN-01")["Encode-format-gob-48"] == pytest.approx(
        (median(float(words[2]) for words in lines) / 1e9,))
