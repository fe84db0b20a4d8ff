"""What images are made of: data files that fit together."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from drivers import witness
from drivers.lab import cache, image, machines, needs, podman, rootfs
from drivers.lab.bootstrap import lines, tagged
from drivers.lab.layout import CONTAINERS, NETWORK, READY, STACKS, USERSPACE, Layout, address
from harness.errors import LabError

SCRIPTS = [image.DATA / name for name in (*image.PLACES, "initramfs-init", "fetch-kernel", "no-cluster")
           if not name.endswith((".conf", "inittab"))] + [machines.SCRIPT]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_sound_shell(script):
    assert subprocess.run(["sh", "-n", str(script)], capture_output=True, text=True, check=False).stderr == ""


def test_every_file_of_the_guest_is_used():
    used = {*image.PLACES, "initramfs-init", "modules.txt", "packages.txt", "fetch-kernel", "no-cluster"}
    assert {path.name for path in image.DATA.iterdir()} == used


def test_the_console_says_what_is_waited_for():
    assert READY in (image.DATA / "virtmark-ready").read_text()
    assert USERSPACE in (image.DATA / "initramfs-init").read_text()


def test_inittab_names_programs_of_the_image():
    named = re.findall(r"/sbin/(virtmark-\w+)", (image.DATA / "inittab").read_text())
    assert set(named) <= {Path(place).name for place, _ in image.PLACES.values()}
    assert len(named) == 5


def test_the_initial_ram_disk_has_the_programs_it_calls():
    text = (image.DATA / "initramfs-init").read_text()
    commands = set(re.findall(r"(?:^|do |then\n? *|\$\(|; )(mount|insmod|sleep|cat|cut|poweroff|exec \w+)", text, re.M))
    assert "insmod" in commands
    assert {command.removeprefix("exec ") for command in commands} <= set(image.BOX)


def test_an_early_module_is_enough_to_find_the_root_disk():
    early = tagged(lines((image.DATA / "modules.txt").read_text()), "early")
    assert {"virtio_pci", "virtio_blk", "ext4"} <= set(early)


def test_the_recipe_covers_every_file(tmp_path, monkeypatch):
    before = cache.key(image.recipe())
    for name in sorted(path.name for path in image.DATA.iterdir()):
        copy = tmp_path / name
        subprocess.run(["cp", "-r", str(image.DATA), str(copy)], check=True)
        with (copy / name).open("a") as file:
            file.write("# changed\n")
        monkeypatch.setattr(image, "DATA", copy)
        assert cache.key(image.recipe()) != before, name


def test_the_recipe_covers_the_source_of_the_witness(tmp_path, monkeypatch):
    before = cache.key(image.recipe())
    subprocess.run(["cp", "-r", str(witness.FOLDER), str(tmp_path / "witness")], check=True)
    monkeypatch.setattr(witness, "FOLDER", tmp_path / "witness")
    assert cache.key(image.recipe()) == before
    with (tmp_path / "witness" / "sweep.c").open("a") as file:
        file.write("/* changed */\n")
    assert cache.key(image.recipe()) != before


def test_the_recipe_does_not_depend_on_where_the_project_lies(tmp_path, monkeypatch):
    before = image.folder(Layout())
    subprocess.run(["cp", "-r", str(image.DATA), str(tmp_path / "guest")], check=True)
    monkeypatch.setattr(image, "DATA", tmp_path / "guest")
    assert image.folder(Layout()) == before


def test_stacks_differ_in_their_root():
    folders = {rootfs.folder(Layout(), stack) for stack in STACKS.values()}
    assert len(folders) == len(STACKS)
    assert "podman" in rootfs.recipe(STACKS["bookworm"]).packages
    assert "podman" not in rootfs.recipe(STACKS["trixie"]).packages


def test_podmans_network_is_the_labs():
    network = podman.network("hA")
    subnet = network["subnets"][0]
    assert subnet["gateway"] == address("hA")
    assert subnet["subnet"] == str(NETWORK)
    assert subnet["lease_range"] == {"start_ip": "10.77.0.200", "end_ip": str(NETWORK[CONTAINERS[-1]])}
    assert len(network["id"]) == 64


def test_podmans_settings_are_written(tmp_path):
    layout = Layout(tmp_path, tmp_path / "cache")
    podman.configure(layout, "hA", tmp_path / "cache" / "images" / "k1")
    etc = layout.of("hA") / "containers" / "etc"
    assert f'"{tmp_path}/cache/containers/k1/store"' in (etc / "storage.conf").read_text()
    assert json.loads((etc / "networks" / "lab.json").read_text())["internal"] is True


def test_every_program_has_a_package():
    alike = {"mmdebstrap", "podman", "runc", "cpio", "zstd", "tini", "netavark"}
    wanted = {*needs.ALWAYS, *needs.HOST, *needs.CONTAINER}
    assert {program for program in wanted if needs.package_of(program) == program} == alike


def test_a_stack_of_another_release_needs_no_hypervisor_on_this_machine():
    foreign = [name for name in STACKS if rootfs.needed(STACKS[name])]
    assert not {"libvirtd", "podman"} & set(needs.programs(foreign))


def test_who_is_not_root_is_told_so():
    found = needs.lacks(["bookworm"], user=65534)
    assert [lack.what for lack in found] == ["root"]
    assert "run as root" in found[0].remedy
    with pytest.raises(LabError, match="lab: run as root"):
        needs.check_root(65534)


def test_what_is_missing_is_told_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setattr(needs, "ALWAYS", ("tini", "ssh-keygen", "no-such-program"))
    monkeypatch.setattr(needs, "HOST", ())
    monkeypatch.setattr(needs, "CONTAINER", ())
    monkeypatch.setattr(needs, "search_path", lambda: str(tmp_path))
    monkeypatch.setattr(needs, "FEATURES", ())
    found = needs.lacks(["bookworm"], user=0)
    assert found[0].what == "programs tini, ssh-keygen, no-such-program"
    assert found[0].remedy == "apt-get install --no-install-recommends tini openssh-client no-such-program"


def test_a_kernel_feature_that_is_not_there_is_told(monkeypatch):
    if os.geteuid():
        pytest.skip("features are tried in namespaces, which needs root")
    monkeypatch.setattr(needs, "FEATURES", (("warp drives", ("test", "-c", "/dev/warp"), "a kernel with CONFIG_WARP"),))
    assert needs.Lack("warp drives", "a kernel with CONFIG_WARP") in needs.lacks([], user=0)
