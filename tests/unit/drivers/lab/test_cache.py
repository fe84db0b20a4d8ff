"""A folder that has its final name is whole, whoever was killed when."""

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from drivers.lab import cache
from harness.errors import LabError

ROOT = Path(__file__).parents[4]


def make(fresh):
    (fresh / "thing").write_text("whole")
    return {"of": "parts"}


def test_built_once_with_its_manifest(tmp_path):
    folder = tmp_path / "deep" / "k1"
    made = []

    def counted(fresh):
        made.append(fresh)
        return make(fresh)

    for _ in range(3):
        assert cache.build(folder, counted, room=1) == folder
    assert len(made) == 1
    assert (folder / "thing").read_text() == "whole"
    assert cache.manifest(folder) == {"of": "parts"}
    assert json.loads((folder / cache.MANIFEST).read_text()) == {"of": "parts"}


def test_a_failed_build_leaves_nothing_and_the_next_one_works(tmp_path):
    def broken(fresh):
        (fresh / "thing").write_text("half")
        raise LabError("no network")

    with pytest.raises(LabError, match="no network"):
        cache.build(tmp_path / "k1", broken, room=1)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
    cache.build(tmp_path / "k1", make, room=1)
    assert cache.whole(tmp_path / "k1")


def test_a_killed_builder_is_cleaned_up_after(tmp_path):
    script = ("import os, sys; from pathlib import Path; from drivers.lab import cache\n"
              "def make(fresh):\n"
              "    (fresh / 'half').write_text('x'); print('go', flush=True); sys.stdin.read()\n"
              f"cache.build(Path({str(tmp_path)!r}) / 'k1', make, room=1)")
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          cwd=ROOT) as builder:
        assert builder.stdout.readline() == "go\n"
        assert not cache.whole(tmp_path / "k1")
        builder.kill()
    cache.build(tmp_path / "k1", make, room=1)
    assert sorted(path.name for path in (tmp_path / "k1").iterdir()) == ["manifest.json", "thing"]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["k1"]


def _build_and_tell(folder, tally):
    def noted(fresh):
        with Path(tally).open("a") as file:
            file.write(f"{os.getpid()}\n")
        return make(fresh)

    cache.build(Path(folder), noted, room=1)


def test_builders_at_once_build_once(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    places = (tmp_path / "c" / "k1", tmp_path / "tally")
    builders = [spawn.Process(target=_build_and_tell, args=places) for _ in range(3)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
        assert builder.exitcode == 0
        builder.close()
    assert len((tmp_path / "tally").read_text().splitlines()) == 1


def test_too_little_room_is_said_before_anything_is_fetched(tmp_path):
    with pytest.raises(LabError, match=r"GB free, 1000000\.0 GB needed; make room, or set VIRTMARK_STATE"):
        cache.build(tmp_path / "k1", make, room=10**15)
    assert not (tmp_path / "k1").exists()


def test_a_lock_is_held_by_one_and_may_be_removed_by_its_holder(tmp_path):
    lock = tmp_path / "lock"
    with cache.locked(lock):
        with pytest.raises(LabError, match="another virtmark is at work"), cache.locked(lock, wait=False):
            pass
        lock.unlink()
        with cache.locked(lock, wait=False):
            assert lock.exists()
    with cache.locked(lock, wait=False):
        pass


def test_keys_depend_on_every_part_and_on_nothing_else():
    assert cache.key({"a": 1, "b": [2]}) == cache.key({"b": [2], "a": 1})
    assert cache.key({"a": 1, "b": [2]}) != cache.key({"a": 1, "b": [3]})
    assert len(cache.key({})) == 16
