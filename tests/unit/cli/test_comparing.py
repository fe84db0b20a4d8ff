"""`virtmark compare` as a user calls it: what it prints, what it writes, what it refuses."""

import json

import pytest

from harness.cli import main
from tests.support.simulated import measured


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return [str(path) for path in measured(tmp_path_factory.mktemp("runs"), "one", "two")]


@pytest.fixture
def other(folders, tmp_path):
    """A run of another scenario."""
    (tmp_path / "other").mkdir()
    (folder,) = measured(tmp_path / "other", "three")
    run = json.loads((folder / "run.json").read_text())
    run["plan"]["scenario"]["name"] = "long"
    (folder / "run.json").write_text(json.dumps(run))
    return str(folder)


def test_compare_prints_tables_and_words_and_writes_the_page(folders, tmp_path, capsys):
    assert main(["compare", *folders, "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "MEM-01" in said
    assert "Held against one" in said
    assert said.splitlines()[-1] == str(tmp_path / "out" / "compare.html")
    assert "SIMULATED" in (tmp_path / "out" / "compare.html").read_text(encoding="utf-8")


def test_compare_as_json_is_json_alone(folders, capsys):
    assert main(["compare", *folders, "--reference", "two", "--floor", "5", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["groups"][0]["reference"], document["floor"]) == ("two", 0.05)


def test_compare_takes_the_floor_of_the_testbed(folders, tmp_path, capsys):
    (tmp_path / "noise.json").write_text('{"indicators": {"MEM-01": {"floor": 0.5}}}')
    assert main(["compare", *folders, "--noise", str(tmp_path / "noise.json"), "--json"]) == 0
    (cell,) = json.loads(capsys.readouterr().out)["groups"][0]["cells"]
    assert (cell["floor"], cell["floor_measured"]) == (0.5, True)


def test_compare_speaks_chinese(folders, capsys):
    assert main(["compare", *folders, "--lang", "zh"]) == 0
    assert "以 one 为参照" in capsys.readouterr().out


def test_runs_that_are_not_comparable_are_refused_with_the_reason(folders, other, capsys):
    assert main(["compare", folders[0], other]) == 2
    assert "scenario.name long, not short" in capsys.readouterr().err
    assert main(["compare", folders[0], other, "--force"]) == 0
    assert "This comparison was forced" in capsys.readouterr().out


def test_a_run_of_another_scenario_stands_apart(folders, other, capsys):
    assert main(["compare", *folders, other]) == 0
    assert "three is not compared, since it differs in scenario" in capsys.readouterr().out


@pytest.mark.parametrize(("options", "said"), [
    (["--by", "vendor"], "two contenders are needed"), (["--reference", "nobody"], "nobody is called so"),
    (["--noise", "none.json"], "none.json"), (["--floor", "100"], "--floor"),
])
def test_wrong_options_are_one_line_and_exit_2(folders, options, said, capsys):
    assert main(["compare", *folders, *options]) == 2
    assert said in capsys.readouterr().err
