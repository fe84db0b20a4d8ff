"""A Pacemaker cluster of the two hosts of a stack: it restarts guests that fail, and those of a host that fails.

The one thing to know: nothing here restarts a guest. The cluster's own daemons do, with the VirtualDomain agent, after
they fenced what failed through the lab's power switch (drivers.lab.fencing). It stands from the first guest in its care
until the lab goes down; `ensure` brings back what died.
"""

from __future__ import annotations

import re
import subprocess
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from drivers.lab import fencing
from drivers.lab.command import call, environment, wait
from drivers.lab.enter import JOIN, prefix
from drivers.lab.layout import Layout, Stack, address, stack_of
from drivers.lab.state import living
from harness.errors import LabError

SCRIPT = Path(__file__).with_name("cluster.sh")
AGENT = Path(__file__).with_name("fence_virtmark")
FORMING = 120.0     # s
MISSING = 30.0      # s that a cluster may take to miss and fence a host
TOKEN = 1000        # ms without a token until Corosync takes a host for lost
MONITOR = "2s"
_PROPERTIES = {
    "stonith-enabled": "true", "stonith-action": "off", "stonith-timeout": "20s", "dc-deadtime": "3s",
    "startup-fencing": "false", "have-watchdog": "false", "cluster-recheck-interval": "30s",
    "no-quorum-policy": "stop", "concurrent-fencing": "true"}


def folder(layout: Layout, host: str) -> Path:
    """Return where a host keeps the cluster's configuration and log; "pacemaker.log" is the log."""
    return layout.of(host) / "cluster"


def offered(host: str) -> bool:
    """Say whether a host belongs to a stack whose hosts have the cluster's programs."""
    return stack_of(host).suite == "bookworm"


def ensure(layout: Layout, host: str) -> None:
    """Return when both hosts of `host`'s stack are members of a cluster; LabError with its last word if they are not.

    It takes some seconds the first time, and a moment where the cluster stands.
    """
    stack = stack_of(host)
    for each in stack.hosts:
        if not _powered(layout, each):
            raise LabError(f"lab:{each}: has no power; run: virtmark lab up")
    if members(layout, stack) == set(stack.hosts):
        return
    _form(layout, host, lambda: members(layout, stack) == set(stack.hosts))


def miss(layout: Layout, host: str) -> None:
    """Return once the cluster knows that a host without power is gone, and has fenced it.

    One that is back within the second that Corosync takes to miss it would be turned off again when it does. Nothing is
    waited for where no cluster answers, or none that could fence.
    """
    if not stands(layout, host) or _powered(layout, host):
        return
    others = [each for each in stack_of(host).hosts if each != host and _powered(layout, each)]
    with suppress(LabError):
        wait(lambda: all(gone(tell(layout, each, "crm_mon", "--output-as=xml", timeout=10.0), host) for each in others),
             MISSING, f"cluster: missing {host}")


def settle(layout: Layout, host: str) -> None:
    """Return when a host that came back is a member again by its own word, where a cluster stands and the other host
    has power."""
    hosts = stack_of(host).hosts
    if stands(layout, host) and all(_powered(layout, each) for each in hosts):
        _form(layout, host, lambda: _told(layout, host) == set(hosts))


def _form(layout: Layout, host: str, formed: Callable[[], bool]) -> None:
    """Start what is missing of the cluster of a host's stack, and wait until it has `formed`."""
    fencing.start(layout)
    for each in stack_of(host).hosts:
        join(layout, each)
    try:
        wait(formed, FORMING, "cluster: forming")
    except LabError as error:
        raise LabError(f"{error}; see {folder(layout, host) / 'pacemaker.log'}") from None


def _powered(layout: Layout, host: str) -> bool:
    init = living(layout).machines[host].init
    return bool(init and init.alive)


def stands(layout: Layout, host: str) -> bool:
    """Say whether the lab has made a cluster of this host's stack."""
    return folder(layout, host).exists()


def join(layout: Layout, host: str) -> None:
    """Start the cluster's daemons on a host unless they run there; return without waiting for membership."""
    stack, mine = stack_of(host), folder(layout, host)
    mine.mkdir(exist_ok=True)
    (mine / "corosync.conf").write_text(corosync(stack))
    (mine / "cib.xml").write_text(cib())
    agents = layout.root / "agents"
    agents.mkdir(exist_ok=True)
    if not (agents / AGENT.name).exists():
        (agents / AGENT.name).write_bytes(AGENT.read_bytes())
        (agents / AGENT.name).chmod(0o755)
    with (mine / "start.log").open("ab") as log:
        done = subprocess.run(
            [*prefix(living(layout), layout, host, tools=False), "sh", "-c", JOIN, "sh", "sh", str(SCRIPT), str(mine),
             str(agents)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment(), check=False)
    if done.returncode:
        raise LabError(f"lab:{host}: the cluster does not start; see {mine / 'start.log'}")


def members(layout: Layout, stack: Stack) -> set[str]:
    """Return the hosts that the cluster has online, as the first host that answers tells; empty if none does."""
    return next((found for host in stack.hosts if (found := _told(layout, host)) is not None), set())


def _told(layout: Layout, host: str) -> set[str] | None:
    """Return the hosts that are online by the word of one host; None if its cluster does not answer."""
    try:
        return online(tell(layout, host, "crm_mon", "--output-as=xml", timeout=10.0))
    except LabError:
        return None


def online(status: str) -> set[str]:
    """Return the hosts that crm_mon's XML calls online, provided that there is a coordinator and a quorum."""
    root = ET.fromstring(status)
    dc = root.find("summary/current_dc")
    if dc is None or dc.get("present") != "true" or dc.get("with_quorum") != "true":
        return set()
    return {node.get("name", "") for node in root.findall("nodes/node")
            if node.get("online") == "true" and node.get("pending") == "false" and node.get("unclean") == "false"}


def gone(status: str, host: str) -> bool:
    """Say whether crm_mon's XML knows nothing of a host that could still be fenced."""
    found = ET.fromstring(status).find(f"nodes/node[@name='{host}']")
    return found is None or (found.get("online") == "false" and found.get("unclean") == "false")


def running(status: str, resource: str) -> list[str]:
    """Return the hosts on which crm_mon's XML has a resource started."""
    found = ET.fromstring(status).find(f"resources/resource[@id='{resource}']")
    if found is None or found.get("role") != "Started" or found.get("failed") == "true":
        return []
    return [node.get("name", "") for node in found.findall("node")]


def tell(layout: Layout, host: str, *argv: str, stdin: str = "", timeout: float = 60.0) -> str:
    """Return what one of the cluster's commands prints on a host."""
    return call([*prefix(living(layout), layout, host, tools=False), *argv], stdin=stdin, timeout=timeout)


def ask(layout: Layout, stack: Stack, *argv: str, stdin: str = "") -> str:
    """Return what a command prints on the first host of a stack where it succeeds."""
    trouble = LabError("cluster: no host of it is up")
    for host in stack.hosts:
        try:
            return tell(layout, host, *argv, stdin=stdin)
        except LabError as error:
            trouble = error
    raise trouble


def care(layout: Layout, stack: Stack, guest: str, config: Path, first: str) -> None:
    """Hand a guest, whose domain XML is in the file `config`, to the cluster, which starts it on the host `first`;
    return when it has. LabError if the cluster cannot start it."""
    ask(layout, stack, "cibadmin", "--modify", "--allow-create", "--scope", "configuration", "--xml-pipe",
        stdin=resource(guest, config, first))

    def started() -> bool:
        return bool(running(ask(layout, stack, "crm_mon", "--output-as=xml"), guest))
    wait(started, 60.0, f"cluster: starting {guest}")


def release(layout: Layout, stack: Stack, guest: str) -> None:
    """Take a guest out of the cluster's care, which ends it; return when it is gone. Nothing to do is no error."""
    for query in (f"//rsc_location[@rsc='{guest}']", f"//primitive[@id='{guest}']"):
        ask(layout, stack, "cibadmin", "--delete-all", "--force", f"--xpath={query}")
    until = time.monotonic() + 60.0
    while guest in ask(layout, stack, "crm_resource", "--list-raw").split() and time.monotonic() < until:
        time.sleep(0.2)     # the cluster stops what has no definition any more
    ask(layout, stack, "crm_resource", "--cleanup", "--force")


def guests(layout: Layout, stack: Stack) -> list[str]:
    """Return the names of all guests in the cluster's care."""
    said = ask(layout, stack, "cibadmin", "--query", "--scope", "resources")
    return re.findall(r'<primitive id="(virtmark-[^"]+)" class="ocf"', said)


def corosync(stack: Stack) -> str:
    """Return the configuration of Corosync for the hosts of a stack."""
    nodes = "\n".join(f"  node {{\n    ring0_addr: {address(host)}\n    name: {host}\n    nodeid: {number}\n  }}"
                      for number, host in enumerate(stack.hosts, 1))
    return f"""totem {{
  version: 2
  cluster_name: virtmark
  transport: knet
  crypto_cipher: none
  crypto_hash: none
  token: {TOKEN}
}}
nodelist {{
{nodes}
}}
quorum {{
  provider: corosync_votequorum
  two_node: 1
}}
logging {{
  to_logfile: yes
  logfile: /var/log/corosync/corosync.log
  to_syslog: no
  timestamp: hires
}}
system {{
  allow_knet_handle_fallback: yes
}}
"""


def cib() -> str:
    """Return the configuration that a cluster begins with: its properties, and fencing by the lab's power switch."""
    root = ET.Element("cib", {"validate-with": "pacemaker-3.0", "epoch": "1", "num_updates": "0", "admin_epoch": "0"})
    configuration = ET.SubElement(root, "configuration")
    options = ET.SubElement(ET.SubElement(configuration, "crm_config"), "cluster_property_set", id="options")
    _pairs(options, "options", _PROPERTIES)
    ET.SubElement(configuration, "nodes")
    power = ET.SubElement(ET.SubElement(configuration, "resources"), "primitive", {
        "id": "power", "class": "stonith", "type": AGENT.name})
    _pairs(ET.SubElement(power, "instance_attributes", id="power-settings"), "power", {
        "pcmk_host_check": "dynamic-list", "ipaddr": fencing.ADDRESS, "ipport": str(fencing.PORT)})
    ET.SubElement(configuration, "constraints")
    ET.SubElement(root, "status")
    return ET.tostring(root, encoding="unicode")


def resource(guest: str, config: Path, first: str) -> str:
    """Return the change of configuration that hands a guest to the cluster, preferably on the host `first`."""
    root = ET.Element("configuration")
    made = ET.SubElement(ET.SubElement(root, "resources"), "primitive", {
        "id": guest, "class": "ocf", "provider": "heartbeat", "type": "VirtualDomain"})
    _pairs(ET.SubElement(made, "instance_attributes", id=f"{guest}-settings"), f"{guest}-settings", {
        "config": str(config), "hypervisor": "qemu:///system", "migration_transport": "tcp",
        "migrate_options": "--unsafe", "force_stop": "true"})
    _pairs(ET.SubElement(made, "meta_attributes", id=f"{guest}-meta"), f"{guest}-meta", {
        "allow-migrate": "true", "resource-stickiness": "100", "migration-threshold": "5"})
    operations = ET.SubElement(made, "operations")
    for name, interval, timeout in (("start", "0", "60s"), ("stop", "0", "30s"), ("monitor", MONITOR, "20s"),
                                    ("migrate_to", "0", "120s"), ("migrate_from", "0", "120s")):
        ET.SubElement(operations, "op", id=f"{guest}-{name}", name=name, interval=interval, timeout=timeout)
    ET.SubElement(ET.SubElement(root, "constraints"), "rsc_location", {
        "id": f"{guest}-first", "rsc": guest, "node": first, "score": "10"})
    return ET.tostring(root, encoding="unicode")


def _pairs(parent: ET.Element, mark: str, values: dict[str, str]) -> None:
    for name, value in values.items():
        ET.SubElement(parent, "nvpair", id=f"{mark}-{name}", name=name, value=value)


def _environment() -> dict[str, str]:
    """A daemon that belongs to the lab carries no controller's mark."""
    env = environment({"PCMK_logfile": "/var/log/pacemaker/pacemaker.log", "PCMK_logpriority": "info"})
    env.pop("VIRTMARK_JOB", None)
    return env
