"""The files people write: what is refused, and whether the message says where and what instead."""

import pytest

from harness import scenario
from harness.errors import InputError

HEAD = 'name = "s"\ntitle = "S"\n'


def written(folder, text, name="s.toml"):
    path = folder / name
    path.write_text(text)
    return path


def complaint(call, path):
    with pytest.raises(InputError) as caught:
        call(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize(("text", "message"), [
    ('[[stage]]\nworkload = "no"\n', "stage[0].workload: 'no' is unknown; allowed: "),
    ('[[stage]]\nworkload = "toyload"\nparams = { dept = 1 }\n',
     "stage[0].params: unknown key 'dept'; toyload has: depth, block, duration, where, trouble"),
    ('[[stage]]\nworkload = "toyload"\ngrid = { dept = [1] }\n', "stage[0].grid: unknown key 'dept'; toyload has: "),
    ('[[stage]]\nworkload = "toyload"\nparams = { block = "4Kb" }\n',
     "stage[0].params.block: '4Kb' is no quantity in B; write, say, '4KiB'; units: "),
    ('[[stage]]\nworkload = "toyload"\nparams = { duration = 5 }\n',
     "stage[0].params.duration: 5 is no quantity in s; write, say, '30s'; units: "),
    ('[[stage]]\nworkload = "toyload"\ngrid = { depth = [1, 65] }\n', "stage[0].grid.depth: must be int <= 64"),
    ('[[stage]]\nworkload = "toyload"\ngrid = { depth = [1, "2"] }\n', "stage[0].grid.depth: expected int, got str"),
    ('[[stage]]\nworkload = "toyload"\ngrid = { depth = [] }\n', "stage[0].grid.depth: is empty"),
    ('[[stage]]\nworkload = "toyload"\ngrid = { depth = [1, 1] }\n', "stage[0].grid.depth: a value stands in it twice"),
    ('[[stage]]\nworkload = "toyload"\narms = { where = ["guest", "moon"] }\n',
     "stage[0].arms.where: 'moon' is unknown; allowed: "),
    ('[[stage]]\nworkload = "toyload"\nparams = { depth = 1 }\ngrid = { depth = [1] }\n',
     "stage[0].grid.depth: stands in params too"),
    ('[[stage]]\nworkload = "toyload"\ngrid = { depth = [1, 64], block = ["2MiB"] }\n',
     "stage[0] (toyload:depth=64,block=2MiB): depth above 32 takes a block of at most 1MiB"),
    ('[[stage]]\nworkload = "toyload"\n[[stage]]\nworkload = "toyload"\n',
     "stage[1].name: 'toyload' is stage[0] already; give each stage a name of its own"),
    ('[[stage]]\nworkload = "toyload"\nname = "x"\n[[stage]]\nworkload = "toyclient"\nname = "x"\n',
     "stage[1].name: 'x' is stage[0] already"),
    ('[[stage]]\nworkload = "toyload"\n[quick]\nstages = ["other"]\n',
     "quick.stages: 'other' is unknown; allowed: toyload"),
    ('[[stage]]\nworkload = "toyload"\nquick = { deep = 1 }\n', "stage[0].quick: unknown key 'deep'"),
    ('[[stage]]\nworkload = "toyload"\nquick = { depth = 1 }\ngrid = { depth = [1, 2] }\n',
     "stage[0].grid.depth: stands in quick too; allowed once"),
    ('[[stage]]\nworkload = "toyload"\n[repetition]\nrule = "two-stage"\nrounds = 10\nmost = 5\n',
     "repetition.most: 5 is fewer than the pilot's 10 rounds"),
])
def test_bad_scenarios(tmp_path, text, message):
    path = written(tmp_path, HEAD + text)
    assert complaint(scenario.load, path).startswith(message)


def test_a_good_scenario_keeps_the_texts_of_its_quantities(tmp_path):
    path = written(tmp_path, HEAD + '[[stage]]\nworkload = "toyload"\nparams = { duration = "2s" }\n'
                                    'grid = { block = ["4KiB", "1MiB"] }\n')
    stage = scenario.load(path).stage[0]
    assert stage.params == {"duration": "2s"}
    assert stage.grid == {"block": ("4KiB", "1MiB")}


@pytest.mark.parametrize(("text", "message"), [
    ("rate = 5.0\n", "key 'driver' is missing; there are: "),
    ('driver = "vax"\n', "driver: 'vax' is unknown; allowed: "),
    ('driver = "toytarget"\nrat = 5.0\n', "unknown key 'rat'; allowed: rate, "),
    ('driver = "toytarget"\nrate = "fast"\n', "rate: expected float, got str"),
    ('driver = "toytarget"\nname = "a/b"\n', "name: only letters, digits, '.', '_' and '-'"),
    ('driver = "toytarget"\ntoken_env = "VIRTMARK_TEST_NOT_SET"\n',
     "token_env: environment variable 'VIRTMARK_TEST_NOT_SET' is not set; set it, and never write the secret"),
])
def test_bad_targets(tmp_path, text, message):
    assert complaint(scenario.target, written(tmp_path, text)).startswith(message)


def test_a_target_is_called_like_its_file_or_as_it_says(tmp_path):
    assert scenario.target(written(tmp_path, 'driver = "toytarget"\n', "here.toml")).name == "here"
    placed = scenario.target(written(tmp_path, 'driver = "toytarget"\nname = "there"\nrate = 7.0\n', "here.toml"))
    assert placed.name == "there"
    assert placed.target.rate == 7.0
    assert placed.settings == {"driver": "toytarget", "name": "there", "rate": 7.0}
    assert scenario.build(placed.settings, "x").target == placed.target


def test_a_secret_is_named_never_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("VIRTMARK_TEST_TOKEN", "hunter2hunter2")
    placed = scenario.target(written(tmp_path, 'driver = "toytarget"\ntoken_env = "VIRTMARK_TEST_TOKEN"\n'))
    assert "hunter2" not in repr(placed.settings)
    assert placed.mask.text("my hunter2hunter2!") == "my ***!"


@pytest.mark.parametrize("kind", ["scenario", "target", "profile"])
def test_names_mean_packaged_files_and_paths_mean_paths(kind, tmp_path):
    for name, path in scenario.packaged(kind).items():
        assert scenario.find(kind, name) == path
    assert scenario.find(kind, tmp_path / "x.toml") == tmp_path / "x.toml"
    assert scenario.find(kind, "./x.toml").name == "x.toml"
    with pytest.raises(InputError, match=rf"^{kind} 'nosuch' is unknown; give a path to a \.toml file, or one of: "):
        scenario.find(kind, "nosuch")


def test_a_path_that_leads_nowhere(tmp_path):
    assert complaint(scenario.load, tmp_path / "none.toml") == "No such file or directory"
