"""Remote machines without virtualization, reached by the OpenSSH client.

Host 0 is the machine under test; `peers` are hosts 1, 2, ..., for traffic between machines. Any shell spec will do,
so that a machine may also be a network namespace.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from drivers import shell
from drivers.shell import Shell
from drivers.targets._real import Real, system
from harness.errors import Unsupported
from harness.protocols import GuestSpec


class Ssh(Real, frozen=True, kw_only=True, dict=True):
    """Runs commands on `machine`, and for network tests on `peers` and `client_machine`.

    `config` is an ssh configuration file; without it the user's own applies. `directory` is where tools may write,
    on the disk to be measured.
    """

    machine: str
    peers: tuple[str, ...] = ()
    client_machine: str = ""
    config: str = ""
    directory: str = "/var/tmp"

    def facts(self) -> Mapping[str, str]:
        """Return what the machine under test runs."""
        found = system(self._machine(self.machine))
        return self.described({
            "vendor": found["os_vendor"], "product": "bare", "version": found["os_version"], "accelerator": "none",
            "directory": self.directory, "hosts": str(1 + len(self.peers))} | found)

    @contextmanager
    def guest(self, spec: GuestSpec) -> Iterator[Shell]:
        """Yield the machine of that index with a fresh directory to work in."""
        hosts = (self.machine, *self.peers)
        if spec.host >= len(hosts):
            raise Unsupported(f"ssh: there is no host {spec.host}; name it under `peers`")
        with self._machine(hosts[spec.host]).private(self.directory) as machine:
            yield machine

    @contextmanager
    def client(self) -> Iterator[Shell]:
        """Yield the machine that looks from outside."""
        if not self.client_machine:
            raise Unsupported("ssh: there is no client; name it as `client_machine`")
        with self._machine(self.client_machine).private(self.directory) as machine:
            yield machine

    def clean(self) -> Sequence[str]:
        """Remove the directories of controllers that are gone."""
        everywhere = dict.fromkeys((self.machine, *self.peers, *filter(None, [self.client_machine])))
        return [line for spec in everywhere for line in self._machine(spec).clean(self.directory)]

    def close(self) -> None:
        """Disconnect from all machines."""
        for machine in self._machines.values():
            machine.close()

    @functools.cached_property
    def _machines(self) -> dict[str, Shell]:
        return {}

    def _machine(self, spec: str) -> Shell:
        if spec not in self._machines:
            options = ("-F", str(Path(self.config).expanduser())) if self.config else ()
            self._machines[spec] = shell.open(spec, ssh_options=options)
        return self._machines[spec]
