"""The lab's cluster: what it is told, what its log says, and the fence agent as the cluster calls it."""

import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from drivers.lab import cluster, fencing
from drivers.lab.layout import STACKS, Layout
from drivers.targets import _protected
from drivers.targets._domain import Domain
from harness.errors import Unsupported
from harness.model import Outcome

LOG = (Path(__file__).parents[3] / "data" / "pacemaker" / "host-lost.log").read_text()
STATUS = """<pacemaker-result><summary><current_dc present="true" name="hA" with_quorum="{quorum}"/></summary><nodes>
<node name="hA" online="true" pending="false" unclean="false"/><node name="hB" {second}/></nodes><resources>
<resource id="virtmark-sut" role="Started" failed="false"><node name="hA"/></resource></resources></pacemaker-result>"""
UP = 'online="true" pending="false" unclean="false"'


def agent(*lines):
    return subprocess.run([str(cluster.AGENT)], input="".join(f"{line}\n" for line in lines), capture_output=True,
                          text=True, timeout=30, check=False)


def test_a_lost_host_is_detected_and_fenced_before_its_guest_starts_elsewhere():
    found = _protected.noticed(LOG, "virtmark-sut", 2026)
    assert [each.action for each in found] == ["detected", "fenced", "restarted"]
    assert [each.time - found[0].time for each in found] == pytest.approx([0, 1.448, 4.880], abs=1e-6)
    assert {each.outcome for each in found} == {Outcome.OK}
    assert found[1].detail == "host hA off by hB: OK"
    assert found[2].detail == "on hB: ok"


def test_starts_of_other_guests_are_not_told():
    assert "restarted" not in [each.action for each in _protected.noticed(LOG, "virtmark-other", 2026)]


def test_only_hosts_that_take_part_are_members_and_without_a_quorum_none_is():
    assert cluster.online(STATUS.format(quorum="true", second=UP)) == {"hA", "hB"}
    pending = UP.replace('pending="false"', 'pending="true"')
    assert cluster.online(STATUS.format(quorum="true", second=pending)) == {"hA"}
    assert cluster.online(STATUS.format(quorum="false", second=UP)) == set()


def test_where_a_guest_is_started():
    status = STATUS.format(quorum="true", second=UP)
    assert cluster.running(status, "virtmark-sut") == ["hA"]
    assert cluster.running(status.replace("Started", "Starting"), "virtmark-sut") == []
    assert cluster.running(status, "virtmark-other") == []


def test_the_cluster_begins_with_fencing_and_a_guest_can_move():
    begun = ET.fromstring(cluster.cib())
    options = {pair.get("name"): pair.get("value") for pair in begun.iter("nvpair")}
    assert options["stonith-enabled"] == "true"
    assert begun.find(".//primitive[@class='stonith']").get("type") == cluster.AGENT.name
    handed = ET.fromstring(cluster.resource("virtmark-sut", Path("/shared/virtmark-sut.xml"), "hB"))
    given = {pair.get("name"): pair.get("value") for pair in handed.iter("nvpair")}
    assert (given["config"], given["migrate_options"], given["allow-migrate"]) == (
        "/shared/virtmark-sut.xml", "--unsafe", "true")
    assert handed.find(".//rsc_location").get("node") == "hB"


def test_both_hosts_of_a_stack_are_nodes():
    written = cluster.corosync(STACKS["bookworm"])
    assert [line.split()[1] for line in written.splitlines() if "name: h" in line] == ["hA", "hB"]
    assert "two_node: 1" in written


def test_the_name_of_a_guest_stands_alone_on_a_line():
    guest = Domain(name="virtmark-sut", kind="qemu", vcpus=1, memory=1 << 28, root="/disk", bridge="br0",
                   address="10.77.0.20", serial="/serial")
    assert "  <name>virtmark-sut</name>" in _protected.configured(guest).splitlines()


def test_addresses_are_taken_from_the_end():
    from drivers.targets._domain import claim
    addresses = ("10.77.0.20", "10.77.0.21")
    assert _protected.free(addresses, set(), "sut") == "10.77.0.21"
    assert _protected.free(addresses, {claim("10.77.0.21")}, "sut") == "10.77.0.20"


def test_hosts_without_a_cluster_of_the_lab_are_refused():
    from drivers.targets._site import Host
    with pytest.raises(Unsupported, match="command"):
        _protected.refuse((Host(uri="qemu:///system"), Host(lab="hB")))
    _protected.refuse((Host(lab="hA"), Host(lab="hB")))


def test_the_fence_agent_describes_itself():
    said = ET.fromstring(agent("action=metadata").stdout)
    assert {each.get("name") for each in said.iter("action")} >= {"off", "monitor", "list", "status", "metadata"}
    assert "port" in {each.get("name") for each in said.iter("parameter")}


def test_the_fence_agent_fails_where_it_cannot_fence():
    assert agent("action=dance").returncode == 1
    assert agent("action=off", "port=hA", "ipaddr=127.0.0.1", "ipport=1").returncode == 1


def test_the_power_switch_turns_off_hosts_only(tmp_path):
    layout = Layout(tmp_path, tmp_path)
    assert fencing.answer(layout, "off client\n").startswith("error")
    assert fencing.answer(layout, "off hA\n").startswith("error"), "there is no lab"
    assert fencing.answer(layout, "list\n") == ""


@pytest.mark.parametrize(("second", "gone"), [
    (UP, False), ('online="true" pending="true" unclean="false"', False),
    ('online="false" pending="false" unclean="true"', False), ('online="false" pending="false" unclean="false"', True)])
def test_a_host_is_gone_once_it_is_missed_and_fenced(second, gone):
    assert cluster.gone(STATUS.format(quorum="true", second=second), "hB") is gone


def test_a_host_that_the_cluster_never_knew_is_gone():
    assert cluster.gone(STATUS.format(quorum="true", second=UP), "hC")
