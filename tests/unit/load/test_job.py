"""The Kubernetes Job of a load's workers: what Kubernetes asks of names and sizes, and what is refused in one line."""

import json
import re

import pytest

from drivers.load import job
from harness.cli import main


def written(capsys, *options):
    code = main(["job", "-n", "3", "-m", "10.0.0.5", "-p", "30000", *options])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_job_has_a_pod_for_each_worker_and_all_files(capsys):
    code, text, _ = written(capsys, "--namespace", "perf", "--image", "example/locust:2")
    settings, its = json.loads(text)["items"]
    assert code == 0
    assert (settings["kind"], its["kind"]) == ("ConfigMap", "Job")
    assert {each["metadata"]["namespace"] for each in (settings, its)} == {"perf"}
    assert (its["spec"]["completions"], its["spec"]["parallelism"], its["spec"]["completionMode"]) == (3, 3, "Indexed")
    pod = its["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "example/locust:2"
    keys = [item["key"] for item in pod["volumes"][0]["configMap"]["items"]]
    assert set(keys) == set(settings["data"])
    assert all(re.fullmatch(r"[-._a-zA-Z0-9]+", key) for key in keys)
    assert {item["path"] for item in pod["volumes"][0]["configMap"]["items"]} >= {
        "drivers/__init__.py", "drivers/load/generator.py", "drivers/load/relay.py"}
    assert len(text) < 1024 * 1024


def test_a_locustfile_goes_along_beside_the_package(tmp_path, capsys):
    (tmp_path / "shop.py").write_text("x = 1\n")
    _, text, _ = written(capsys, "--locustfile", str(tmp_path / "shop.py"), "--image", "i")
    settings, its = json.loads(text)["items"]
    assert settings["data"][job.LOCUSTFILE] == "x = 1\n"
    paths = [item["path"] for item in its["spec"]["template"]["spec"]["volumes"][0]["configMap"]["items"]]
    assert job.LOCUSTFILE in paths


@pytest.mark.parametrize(("options", "words"), [
    (("--name", "Load_1"), "--name: 'Load_1' is no name"),
    (("--namespace", "a b"), "--namespace: 'a b' is no name"),
    (("-m", "not an address"), "--master: 'not an address' is no address"),
    (("--locustfile", "gone.py", "--image", "i"), "gone.py: No such file"),
])
def test_what_cannot_be_is_refused_in_one_line(capsys, options, words):
    code, out, err = written(capsys, *options)
    assert code == 2
    assert out == ""
    assert words in err
    assert err.count("\n") == 1


def test_pods_need_to_be_told_where_to_call(tmp_path, capsys):
    (tmp_path / "s.toml").write_text('name = "s"\ntitle = "s"\n[[stage]]\nworkload = "application"\n'
                                     'params = { machines = "pods", workers = 2 }\n')
    assert main(["plan", str(tmp_path / "s.toml"), "-t", "fake"]) == 2
    assert 'machines = "pods" needs master' in capsys.readouterr().err
