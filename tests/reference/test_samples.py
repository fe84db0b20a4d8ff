"""Other people's files, good and broken: what can be read is read, what cannot is refused for the right reason."""

import json
from pathlib import Path

import pytest

from drivers import imported
from drivers.tools.reading import document
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
