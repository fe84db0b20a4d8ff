"""A disk that really is full: a campaign on a small tmpfs stops clearly, loses nothing, and goes on with more room."""

import subprocess

import pytest

import drivers.targets
import drivers.workloads
from harness import plan, runner, scenario, store
from harness.errors import VirtmarkError
from harness.model import Repetition, Scenario, Stage, Status

pytestmark = pytest.mark.live
LONG = Scenario(name="long", title="Long", repetition=Repetition(rounds=40),
                stage=(Stage(workload="toyload", grid={"depth": (1, 2, 4, 8)}),))


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k,nr_inodes=4k", "none", str(place)],
                             capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def toys(monkeypatch, request):
    for package in (drivers.workloads, drivers.targets):
        folder = request.config.rootpath / "tests/plugins" / package.__name__.partition(".")[2]
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])


def test_a_full_disk(small_disk, toys):
    def target():
        return scenario.build({"driver": "toytarget", "name": "toy"}, "test")

    placed = target()
    with pytest.raises(VirtmarkError, match=r"No space left on device; nothing recorded is lost\. To go on: virtmark "):
        runner.execute(plan.make([LONG], ["toy"], seed=1), [placed], small_disk)
    assert not placed.target.alive
    (folder,) = store.runs(small_disk)
    before = store.load(folder).results
    assert 0 < len(before) < 160
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    outcome = runner.resume(folder, targets=[target()])
    assert outcome.counts == {Status.DONE: 160}
    assert store.load(folder).results[:len(before)] == before
    assert store.verify(folder) == []
