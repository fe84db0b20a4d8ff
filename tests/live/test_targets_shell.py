"""Machines of the lab and network namespaces keep the promises of machines, as guests do."""

import subprocess
import uuid

import pytest

from drivers import shell
from tests.contract.test_targets import TestFiles, TestRun, TestStart  # noqa: F401 - run here on other machines
from tests.support import lab

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def namespace():
    name = f"virtmark-t{uuid.uuid4().hex[:6]}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no network namespace can be made here: {made.stderr.strip()}")
    subprocess.run(["ip", "-n", name, "address", "add", "192.0.2.7/24", "dev", "lo"], check=True)
    subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
    yield name
    subprocess.run(["ip", "netns", "delete", name], check=True)


@pytest.fixture(scope="module", params=["netns", "lab:hA", "lab:client"])
def guest(request, tmp_path_factory):
    if request.param == "netns":
        spec, parent = f"netns:{request.getfixturevalue('namespace')}", str(tmp_path_factory.mktemp("netns"))
    else:
        lab.need(request.param.partition(":")[2])
        spec, parent = request.param, "/scratch"
    with shell.open(spec) as machine, machine.private(parent) as inside:
        yield inside


def test_a_namespace_has_its_own_addresses(namespace):
    machine = shell.open(f"netns:{namespace}")
    assert machine.address == "192.0.2.7"
    links = machine.run(["ip", "-o", "link"], timeout=30).stdout.splitlines()
    assert [line.split(": ")[1] for line in links][:1] == ["lo"]
    assert not [line for line in links if "eth" in line]


def test_machines_of_the_lab_are_themselves():
    layout = lab.need("hA", "hB", "client")
    names = [shell.open(f"lab:{name}").run(["hostname"], timeout=30).stdout.strip() for name in ("hA", "hB", "client")]
    assert names == ["hA", "hB", "client"]
    assert layout.root.is_dir()
    pinged = shell.open("lab:client").run(["ping", "-n", "-c", "1", shell.open("lab:hA").address], timeout=30)
    assert pinged.code == 0


def test_the_tools_of_a_host_are_those_of_the_guest():
    lab.need("hA")
    with shell.lab_machine("hA") as tools, shell.lab_machine("hA", tools=False) as own:
        listed = [machine.run(["ls", "-d", "/etc/virtmark"], timeout=30).code for machine in (tools, own)]
    assert listed[0] == 0
    assert listed[1] != 0
