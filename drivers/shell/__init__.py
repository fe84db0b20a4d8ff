"""Machines that run commands, named by a shell spec: `open("ssh://root@h1")`.

    local                       this machine
    netns:NAME                  this machine, inside the network namespace NAME
    lab:hA, lab:hB, lab:client  a host of the embedded lab, or its client
    ssh://[user@]host[:port]    another machine, by the OpenSSH client

Whatever is started ends with the controller, even if that is killed (see guard).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from drivers.shell.base import Background, Inside, Job, Shell
from drivers.shell.local import Local
from drivers.shell.ssh import Ssh
from harness.errors import InputError, TargetError

FORMS = "local, ssh://[user@]host[:port], netns:NAME, lab:hA, lab:hB or lab:client"
_HOST = re.compile(r"//(?:[^@/\s-][^@/\s]*@)?(?:[^:@/\s\[\]-][^:@/\s\[\]]*|\[[\da-fA-F:.]+\])(?::\d+)?")


def open(spec: str, *, ssh_options: Sequence[str] = ()) -> Shell:
    """Return the machine that `spec` names; InputError for a malformed spec, TargetError if it is not there."""
    kind, _, rest = checked(spec).partition(":")
    if kind == "ssh":
        return Ssh(rest.removeprefix("//"), options=ssh_options)
    if kind == "netns":
        return network_namespace(rest)
    return lab_machine(rest) if kind == "lab" else Local()


def checked(spec: str) -> str:
    """Return a shell spec that has one of the forms; InputError for any other."""
    kind, _, rest = spec.partition(":")
    forms = {"local": not rest, "ssh": bool(_HOST.fullmatch(rest)), "netns": bool(re.fullmatch(r"[\w.-]+", rest)),
             "lab": True}
    if not forms.get(kind) or (kind == "local" and spec != kind):
        raise InputError(f"shell {spec!r}: unknown; write {FORMS}")
    return spec


def lab_machine(name: str, *, tools: bool = True) -> Local:
    """Return a machine of the embedded lab, on the guest's root file system or on its own; LabError if it is not up."""
    from drivers.lab import enter, layout

    return Local(f"lab:{name}", prefix=enter.launcher(name, tools=tools), address=layout.address(name),
                 environment={"HOME": "/root", "TMPDIR": "/tmp"}, files_here=False)


def network_namespace(name: str) -> Local:
    """Return this machine inside a named network namespace."""
    path = Path("/run/netns") / name
    if not path.exists():
        raise TargetError(f"netns:{name}: there is no such network namespace; `ip netns list` shows those there are")
    inside = Local(f"netns:{name}", prefix=("nsenter", f"--net={path}", "--"))
    return Local(inside.name, prefix=inside.prefix, address=first_address(inside))


def first_address(machine: Shell) -> str:
    """Return the machine's first global IPv4 address, or 127.0.0.1 if it has none."""
    shown = machine.run(["ip", "-j", "-4", "address", "show", "up", "scope", "global"], timeout=30).checked().stdout
    found = [entry["local"] for link in json.loads(shown or "[]") for entry in link.get("addr_info", ())
             if "local" in entry]  # ip leaves an empty entry for each address that it filters out
    return str(found[0]) if found else "127.0.0.1"


__all__ = [
    "FORMS", "Background", "Inside", "Job", "Local", "Shell", "Ssh", "checked", "first_address", "lab_machine",
    "network_namespace", "open",
]
