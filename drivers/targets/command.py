"""A platform that is driven by the user's own commands: a vendor's command line, IPMI, or scripts.

Commands are lists of words, run on this machine without a shell; {guest}, {address}, {host} and so on stand for what
they are about. Whatever has no command here the platform does not offer, and steps that need it do not apply.
"""

from __future__ import annotations

import functools
import string
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, get_args

import msgspec

from drivers import healing, shell
from drivers.shell import Local, Shell, owner
from drivers.targets._real import Real, system
from harness.errors import InputError, TargetError, Unsupported, VirtmarkError
from harness.model import Record
from harness.protocols import Completed, Fault, FaultKind, GuestSpec, Injected, Machine, Migration, Moved
from harness.units import Seconds

Words = tuple[str, ...]
Given = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
PLACEHOLDERS = {
    "guest": "the guest's name", "address": "its address", "host": "the name of the host that it is about",
    "role": "what the guest is in the step", "vcpus": "its processors", "memory": "its memory in B",
    "disk": "its disk in B", "life": "plain, movable or protected", "share": "the share of a fault",
    "delay": "the delay of a fault in s", "bandwidth": "a migration's limit in B/s, 0 for none"}


class Node(Record, frozen=True, kw_only=True):
    """A machine that runs guests: what commands call it, and the shell spec by which commands reach it, if any may."""

    name: str
    shell: str = ""


class Breaking(Record, frozen=True, kw_only=True):
    """Commands that inject a fault and heal it; without `heal` there is nothing to heal. `how` is for the report."""

    inject: Given
    heal: Words = ()
    how: str = ""


class Command(Real, frozen=True, kw_only=True, dict=True):
    """Guests that `create` makes and `remove` removes, reached as the shell spec `machine` says.

    `address` prints a guest's address; `list` the names of all guests, one a line, so that those of killed runs can be
    removed; `facts` lines of key=value. `migrate` moves {guest} to {host}; `where` prints the names of the hosts on
    which a guest runs. `directory` is where tools may write, `boot` how long a guest may take until it answers.
    """

    hosts: Annotated[tuple[Node, ...], msgspec.Meta(min_length=1)]
    create: Given
    remove: Given
    machine: str
    address: Words = ()
    listing: Words = msgspec.field(name="list", default=())
    described_by: Words = msgspec.field(name="facts", default=())
    moves: Words = msgspec.field(name="migrate", default=())
    where: Words = ()
    cleans: Words = msgspec.field(name="clean", default=())
    breaks: dict[str, Breaking] = msgspec.field(name="faults", default_factory=dict)
    accelerator: str = "kvm"
    client_machine: str = ""
    directory: str = "/var/tmp"
    boot: Seconds = Seconds(300)
    timeout: Seconds = Seconds(600)

    def __post_init__(self) -> None:
        if unknown := sorted(self.breaks.keys() - set(get_args(FaultKind))):
            raise ValueError(f"faults: unknown kind {unknown[0]!r}; allowed: {', '.join(get_args(FaultKind))}")
        for words in (self.create, self.remove, (self.machine,), self.address, self.listing, self.described_by,
                      self.moves, self.where, self.cleans, *(each.inject for each in self.breaks.values()),
                      *(each.heal for each in self.breaks.values())):
            for word in words:
                _check(word)

    def facts(self) -> Mapping[str, str]:
        """Return what the platform's own command says of it, and what the first host runs if commands reach it."""
        said = self._call(self.described_by, {}).stdout if self.described_by else ""
        pairs = [line.partition("=") for line in said.splitlines() if "=" in line]
        own = {key.strip(): value.strip() for key, _, value in pairs if key.strip() and value.strip()}
        found = system(shell.open(self.hosts[0].shell), "host_") if self.hosts[0].shell else {}
        return self.described({
            "vendor": "unknown", "product": "unknown", "version": "unknown", "accelerator": self.accelerator,
            "hosts": str(len(self.hosts))} | own | found)

    @contextmanager
    def guest(self, spec: GuestSpec) -> Iterator[Shell]:
        """Have a guest made and wait until it takes commands; whatever happens it is removed."""
        values = {"guest": owner.new_name(spec.role), "role": spec.role, "host": self._host(spec.host).name,
                  "vcpus": str(spec.size.vcpus), "memory": str(int(spec.size.memory)),
                  "disk": str(int(spec.size.disk)), "life": spec.life}
        try:
            self._call(self.create, values)
            with self._reached(values, spec.role) as machine:
                self._guests[id(machine)] = values
                yield machine
        finally:
            self._call(self.remove, values)

    @contextmanager
    def host(self, index: int = 0) -> Iterator[Shell]:
        """Yield the machine below the guests, in a directory of its own."""
        if not (spec := self._host(index).shell):
            raise Unsupported(f"command: hosts[{index}] has no `shell`")
        with shell.open(spec) as machine, machine.private(self.directory) as inside:
            yield inside

    @contextmanager
    def client(self) -> Iterator[Shell]:
        """Yield the machine that looks from outside, in a directory of its own."""
        if not self.client_machine:
            raise Unsupported("command: there is no client; name it as `client_machine`")
        with shell.open(self.client_machine) as machine, machine.private(self.directory) as inside:
            yield inside

    def migrate(self, guest: Machine, to: int, how: Migration) -> Moved:
        """Move a guest by the user's command, whose exit status is the platform's word for how it went."""
        if not self.moves:
            raise Unsupported("command: the target file has no `migrate`")
        values = self._of(guest) | {"host": self._host(to).name, "bandwidth": str(int(how.bandwidth))}
        start = self.clock.now()
        done = Local().run(_filled(self.moves, values), timeout=how.timeout)
        end = self.clock.now()
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        return Moved(start=start, end=end, counters={"total": end - start}, raw=done.stdout.encode(errors="replace"),
                     error=(said[-1] if said else f"exit status {done.code}") if done.code else "")

    def whereabouts(self, guest: Machine) -> Sequence[int]:
        """Return the hosts that `where` names."""
        if not self.where:
            raise Unsupported("command: the target file has no `where`")
        named = self._call(self.where, self._of(guest)).stdout.split()
        return [index for index, host in enumerate(self.hosts) if host.name in named]

    def faults(self) -> Mapping[str, str]:
        """Return the faults that the target file has commands for."""
        return {kind: each.how or " ".join(each.inject) for kind, each in self.breaks.items()}

    @contextmanager
    def fault(self, fault: Fault, guest: Machine | None) -> Iterator[Injected]:
        """Inject by the user's command; leaving the context heals by the other."""
        if fault.kind not in self.breaks:
            raise Unsupported(f"command: the target file has no faults.{fault.kind}")
        values = (self._of(guest) if guest else {}) | {
            "host": self._host(fault.host).name, "share": f"{fault.share:g}", "delay": f"{fault.delay:g}"}
        ways = self.breaks[fault.kind]
        argv, heal = _filled(ways.inject, values), _filled(ways.heal, values)
        how = ways.how or " ".join(argv)
        if not heal:
            yield self._inject(argv, how)
            return
        injected = None
        with healing.broken(healing.usual_folder(), fault.kind, values.get("guest", values["host"]), (heal,)):
            injected = self._inject(argv, how)
            yield injected
        injected.healed = self.clock.now()

    def clean(self) -> Sequence[str]:
        """Heal what controllers that are gone left broken, remove their guests, and run the user's own `clean`."""
        removed = healing.mend_left(healing.usual_folder())
        for host in self.hosts:
            if host.shell:
                with shell.open(host.shell) as machine:
                    removed += machine.clean(self.directory)
        for name in self._call(self.listing, {}).stdout.split() if self.listing else ():
            if owner.left_behind(name):
                self._call(self.remove, {"guest": name})
                removed.append(f"command: guest {name}")
        if self.cleans:
            removed += self._call(self.cleans, {}).stdout.splitlines()
        return removed

    def _inject(self, argv: Words, how: str) -> Injected:
        start = self.clock.now()
        Local().run(argv, timeout=self.timeout).checked()
        return Injected(start=start, end=self.clock.now(), how=how)

    @contextmanager
    def _reached(self, values: dict[str, str], role: str) -> Iterator[Shell]:
        """Yield the guest, in a directory of its own, once it takes commands; TargetError if it takes too long."""
        deadline = time.monotonic() + self.boot
        while True:
            try:
                if self.address:
                    values["address"] = self._call(self.address, values).stdout.strip()
                machine = shell.open(_filled((self.machine,), values)[0])
                machine.run(["true"], timeout=30).checked()
                break
            except InputError:
                raise
            except VirtmarkError as error:
                if time.monotonic() > deadline:
                    raise TargetError(f"guest {values['guest']} takes no commands after {self.boot:g} s "
                                      f"({error})") from None
            time.sleep(0.5)
        with machine, machine.private(self.directory) as inside:
            inside.name = role
            yield inside

    def _call(self, words: Words, values: Mapping[str, str]) -> Completed:
        return Local().run(_filled(words, values), timeout=self.timeout).checked()

    def _host(self, index: int) -> Node:
        if index >= len(self.hosts):
            raise Unsupported(f"command: there is no host {index}; name it under `hosts`")
        return self.hosts[index]

    def _of(self, guest: Machine) -> dict[str, str]:
        return dict(self._guests[id(guest)])

    @functools.cached_property
    def _guests(self) -> dict[int, dict[str, str]]:
        return {}


def _check(word: str) -> None:
    """Raise ValueError for a placeholder that stands for nothing."""
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(word) if name is not None]
    except ValueError as error:
        raise ValueError(f"{word!r}: {error}; write {{{{ and }}}} for braces") from None
    for name in names:
        if name not in PLACEHOLDERS:
            raise ValueError(f"{word!r}: {{{name}}} stands for nothing; there are: "
                             f"{', '.join(f'{{{known}}}' for known in PLACEHOLDERS)}")


def _filled(words: Words, values: Mapping[str, str]) -> Words:
    """Return the words with what the placeholders stand for; InputError where that is not known."""
    try:
        return tuple(word.format_map(values) for word in words)
    except KeyError as error:
        name = str(error.args[0])
        raise InputError(f"command {words[0]}: {{{name}}}, {PLACEHOLDERS[name]}, is not known here") from None
