"""Application load on the simulated platform: shapes, the search, several workers; and what is refused, in one line."""

import pytest

from drivers.workloads.application import Application, requests
from harness import codec, store
from harness.cli import main
from harness.errors import InputError
from harness.load import capacity, levels
from harness.model import Outcome, Status
from harness.units import Rate, Seconds
from tests.support import generator


def steps(folder, params, target="fake"):
    """Run a stage of one round on the simulated target and return exit status and results."""
    file = folder / "load.toml"
    file.write_text(generator.SCENARIO.format(params=params))
    code = main(["run", str(file), "--out", str(folder / "results"), "--target", target])
    return code, [result for run in sorted(folder.glob("results/*/2*")) for result in store.load(run).results]


def made(**params):
    return codec.convert(Application, params, "stage[0]")


def test_a_search_climbs_to_the_knee_and_halves_the_gap(tmp_path):
    code, (result,) = steps(tmp_path, 'shape = "steps", rate = "100/s", most = "6400/s", growth = 2.0, '
                                      'duration = "4s", slo = "20ms", bisect = 2')
    assert code == 0
    found = levels(result.series)
    names = [each.name for each in found]
    assert names[:5] == ["100/s", "200/s", "400/s", "800/s", "1600/s"]
    assert len(names) == 7
    search = capacity(found, made(slo="20ms").objective)
    assert 800 <= search.best.offered < search.above.offered <= 1600
    assert search.stopped == "latency"
    assert [event.actor for event in result.events] == ["load"] * 7
    starts = [event.start for event in result.events]
    assert starts == sorted(starts)


def test_the_histogram_holds_every_request_and_times_are_those_of_the_step(tmp_path):
    _, (result,) = steps(tmp_path, 'rate = "50/s", duration = "5s"')
    (one,) = levels(result.series)
    assert one.requests == one.answered.n == 250
    assert one.due.tolist() == [50.0] * 5
    (rate,) = [each for each in result.series if each.metric == "app.rate"]
    assert 0 < rate.times[0] - result.events[0].start <= 1
    assert rate.times[-1] <= result.elapsed


def test_around_a_gateway_is_the_guest_itself_where_no_url_is_given(tmp_path):
    code, (result,) = steps(tmp_path, 'gateway = "http://198.51.100.1:80", rate = "50/s", duration = "2s"')
    (one,) = levels(result.series)
    assert (code, result.error, one.requests, one.failed) == (0, "", 100, 0)


def test_workers_share_the_rate(tmp_path):
    _, (result,) = steps(tmp_path, 'rate = "300/s", duration = "3s", workers = 3')
    (one,) = levels(result.series)
    assert one.requests == 900
    assert one.lost == 0


def test_users_who_wait_are_labelled_as_closed(tmp_path):
    _, (result,) = steps(tmp_path, 'model = "closed", users = 4, duration = "3s"')
    assert {each.labels["model"] for each in result.series} == {"closed"}
    assert levels(result.series)[0].name == "4 users"


def test_several_requests_have_histograms_of_their_own_that_add_up(tmp_path):
    _, (result,) = steps(tmp_path, 'request = "GET / 3, POST /claim", rate = "200/s", duration = "5s"')
    parts = {each.labels["request"]: sum(each.weights) for each in result.series
             if each.metric == "app.latency" and each.labels.get("stat") == "part"}
    assert set(parts) == {"GET /", "POST /claim"}
    assert sum(parts.values()) == 1000
    assert 2.3 < parts["GET /"] / parts["POST /claim"] < 3.9


def test_a_service_that_is_not_there_is_one_line(tmp_path, capsys):
    code, (result,) = steps(tmp_path, 'url = "http://203.0.113.9:80", duration = "1s"')
    assert code == 2
    assert result.status is Status.BROKEN
    assert result.error == "ToolError: locust: http://203.0.113.9:80: cannot be reached: No route to host"
    assert result.error in capsys.readouterr().err


@pytest.mark.parametrize(("shape", "whole", "highest"), [
    ({"shape": "constant"}, 600, 10), ({"shape": "soak"}, 600, 10),
    ({"shape": "spike", "most": "50/s"}, 60 * (0.8 * 10 + 0.2 * 50), 50),
    ({"shape": "diurnal", "most": "50/s"}, 60 * 30, 50)])
def test_a_shape_offers_what_it_says(shape, whole, highest):
    segments = made(rate="10/s", duration="60s", **shape).segments(Rate(10))
    assert sum(each[0] for each in segments) == pytest.approx(60)
    assert sum(seconds * (first + last) / 2 for seconds, first, last in segments) == pytest.approx(whole)
    assert max(max(first, last) for _, first, last in segments) == pytest.approx(highest)


def test_the_estimate_of_time_grows_with_the_levels():
    search = made(shape="steps", rate="100/s", most="1600/s", growth=2.0, bisect=1, duration="10s")
    assert search.seconds() == pytest.approx(6 * made(duration="10s").seconds())
    assert made(duration="10s").seconds() > Seconds(10)


def test_requests_are_read_with_their_weights():
    found = requests("GET / 3, POST /claim")
    assert [tuple(each.values()) for each in found] == [("GET", "/", "GET /", 3), ("POST", "/claim", "POST /claim", 1)]


@pytest.mark.parametrize(("params", "said"), [
    ({"url": "10.0.0.1:80"}, "url and gateway must begin with http:// or https://"),
    ({"gateway": "10.0.0.1:80"}, "url and gateway must begin with http:// or https://"),
    ({"through": True}, "through needs the address of a gateway"),
    ({"request": "FETCH /"}, "request: 'FETCH /' is none; write, say"),
    ({"request": "GET / -1"}, "request: 'GET / -1' is none"),
    ({"request": "GET / many"}, "request: 'GET / many' is none"),
    ({"rate": "0/s"}, "rate must be above 0"),
    ({"shape": "steps"}, "shape = steps needs most above rate"),
    ({"shape": "spike", "most": "50/s"}, "shape = spike needs most above rate"),
    ({"shape": "spike", "model": "closed"}, "shape = spike is for model = open"),
    ({"growth": 1.0}, "growth must be above 1"),
    ({"patience": "30s"}, "patience must be between 0.1s and 17s"),
    ({"duration": "10ms"}, "duration must be at least 1s"),
    ({"model": "closed", "users": 2, "workers": 3}, "workers must not be more than users"),
    ({"model": "closed", "locustfile": "nowhere.py"}, "locustfile: nowhere.py: No such file or directory"),
    ({"locustfile": "nowhere.py"}, 'set model = "closed"'),
    ({"port": 70000}, "port must be between 0"),
    ({"machines": "telnet://h"}, "machines: shell 'telnet://h': unknown"),
])
def test_what_cannot_be_is_refused(params, said):
    with pytest.raises(InputError) as caught:
        made(**params)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_locustfile_that_is_no_python_is_refused_before_anything_runs(tmp_path, capsys):
    (tmp_path / "wrong.py").write_text("from locust import HttpUser\nclass A(HttpUser:\n")
    code, results = steps(tmp_path, f'model = "closed", locustfile = "{tmp_path / "wrong.py"}"')
    assert code == 2
    assert not results
    said = capsys.readouterr().err.strip()
    assert f"locustfile: {tmp_path / 'wrong.py'}:2: " in said
    assert "\n" not in said


def test_a_level_that_went_well_is_an_event_that_says_so(tmp_path):
    _, (result,) = steps(tmp_path, 'rate = "20/s", duration = "2s"')
    (event,) = result.events
    assert (event.action, event.outcome, event.detail) == ("level", Outcome.OK, "20/s")
    assert event.end - event.start == pytest.approx(2)
