"""Carry out a campaign, or go on with one that was stopped. The only module that touches a platform.

    execute   preflight -> run folders -> rounds, interleaved over the targets -> second stage where a rule asks for it
    resume    the same, without what is done already: same seed, same plan, same folders

A step that breaks is a result, not the end. A full disk, an interrupt or a killed process ends the campaign, loses at
most the step in progress, and leaves folders that `resume` continues.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import msgspec

from harness import attempt, extension, fingerprint, plan, preflight, scenario, store
from harness.errors import InputError, VirtmarkError
from harness.interrupts import Interrupts, guarded
from harness.masking import UNMASKED
from harness.model import Run, Status, Step, StepResult
from harness.plan import Block, Campaign
from harness.preflight import Site
from harness.progress import SILENT, Remaining, Watch
from harness.rounds import Boots, Guest, Round
from harness.scenario import Placed
from harness.store import Journal


def utc() -> datetime:
    """Return the wall time."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a campaign is carried out: failed boots in a row before a target is given up, and whose wall time is told."""

    boot_failures: int = 3
    wall: Callable[[], datetime] = utc

    def now(self) -> str:
        """Return the wall time as ISO 8601 text."""
        return self.wall().isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Outcome(NamedTuple):
    """What became of a campaign: its folders, steps by status, and why it stopped before its end, if it did."""

    folders: tuple[Path, ...]
    counts: Mapping[Status, int]
    stopped: str = ""

    @property
    def exit_code(self) -> int:
        """0 if every step was carried out or does not apply; 2 if one broke, or the campaign was stopped."""
        return 2 if self.stopped or self.counts.get(Status.BROKEN) else 0


def execute(campaign: Campaign, targets: Sequence[Placed], out: Path, *, watch: Watch = SILENT,
            options: Options | None = None) -> Outcome:
    """Carry out `campaign`; one new folder for each scenario and target, below `out`.

    InputError if a folder exists or another process is at work on a target; VirtmarkError if the disk is full.
    """
    options = options or Options()
    stamp = options.wall().strftime("%Y%m%dT%H%M%SZ")
    name = f"{stamp}-{campaign.id}"
    named = Campaign(id=name, plans=tuple(msgspec.structs.replace(own, campaign=name) for own in campaign.plans))
    folders = [out / own.target / f"{stamp}-{own.scenario.name}" for own in named.plans]
    if taken := [folder for folder in folders if folder.exists()]:
        raise InputError(f"{taken[0]}: exists already; a run folder is never used twice")
    return _Session(named, folders, watch, options).carry_out(targets, new=True)


def resume(path: Path, *, watch: Watch = SILENT, options: Options | None = None,
           targets: Sequence[Placed] | None = None) -> Outcome:
    """Go on with the campaign that the run folder `path` belongs to, or with the only unfinished one below `path`.

    The targets are built from the settings kept in the folders, unless they are given.
    """
    folders = campaign_of(path)
    plans = [store.head(folder).plan for folder in folders]
    if targets is None:
        homes = {own.target: folder for own, folder in zip(plans, folders, strict=True)}
        targets = [scenario.build(store.settings(home), str(home / store.TARGET)) for home in homes.values()]
    campaign = Campaign(id=plans[0].campaign, plans=tuple(plans))
    return _Session(campaign, folders, watch, options or Options()).carry_out(targets, new=False)


def campaign_of(path: Path) -> list[Path]:
    """Return the folders of the campaign that `path` means, in plan order; InputError if that is unclear."""
    path = path.resolve()
    if (path / store.RUN).exists():
        near, name = {path, *store.runs(path.parent.parent)}, store.head(path).plan.campaign
    else:
        near = set(store.runs(path))
        runs = [store.load(folder) for folder in near]
        unfinished = {run.plan.campaign for run in runs if len(run.results) < len(run.plan.steps)}
        if len(unfinished) != 1:
            raise InputError(f"{path}: holds {len(unfinished) or 'no'} unfinished campaigns; name one of their folders")
        name = unfinished.pop()
    orders = {folder: min((step.order for step in own.steps), default=0)
              for folder in near if (own := store.head(folder).plan).campaign == name}
    return sorted(orders, key=lambda folder: (orders[folder], str(folder)))


class _Session:
    """One campaign while it is carried out; lists go by the number of the plan."""

    def __init__(self, campaign: Campaign, folders: Sequence[Path], watch: Watch, options: Options) -> None:
        self.campaign, self.folders, self.watch, self.options = campaign, folders, watch, options
        self.mask = UNMASKED
        self.noted: set[str] = set()
        self.sites: dict[str, Site] = {}
        self.journals: list[Journal] = []
        self.done: list[set[str]] = [set() for _ in folders]
        self.usual: list[set[Guest]] = [set() for _ in folders]
        self.counts: Counter[Status] = Counter()
        self.forecast = plan.Forecast(0.0, 0.0, {})
        self.remaining = Remaining(self.forecast)
        self.interrupts = Interrupts(self.note)

    def carry_out(self, targets: Sequence[Placed], *, new: bool) -> Outcome:
        """Do all there is to do; see `execute`."""
        stopped = ""
        for placed in targets:
            self.mask |= placed.mask
        with guarded(self.note) as self.interrupts:
            try:
                with ExitStack() as stack:
                    for parent in sorted({folder.parent for folder in self.folders}):
                        stack.enter_context(store.hold(parent))
                    if new or self._reopen():
                        self._run(targets, stack, new=new)
            except KeyboardInterrupt:
                stopped = f"interrupted; everything is cleaned up. {self._how_to_go_on()}"
            except VirtmarkError as error:
                raise type(error)(self.mask.text(str(error))) from None
            except OSError as error:
                raise VirtmarkError(f"{error.filename or self.folders[0]}: {error.strerror}; nothing recorded is lost. "
                                    f"{self._how_to_go_on()}") from error
        return Outcome(tuple(self.folders), self.counts, stopped)

    def note(self, text: str) -> None:
        """Tell whoever watches, without secrets."""
        self.watch.note(self.mask.text(text))

    def note_once(self, text: str) -> None:
        """Tell what every step would tell again."""
        if text not in self.noted:
            self.noted.add(text)
            self.note(text)

    def _run(self, targets: Sequence[Placed], stack: ExitStack, *, new: bool) -> None:
        """Look at the targets, make or check the folders, and run every step that has no result yet."""
        here = dict(fingerprint.controller())
        for placed in targets:
            self._look(placed, here, stack)
        if missing := {own.target for own in self.campaign.plans} - self.sites.keys():
            raise InputError(f"target {min(missing)!r} is in the plan but was not given")
        for own, folder in zip(self.campaign.plans, self.folders, strict=True):
            site = self.sites[own.target]
            if new:
                run = Run(plan=own, facts=site.facts, created=self.options.now(), version=metadata.version("virtmark"))
                store.create(folder, run, site.placed.settings, site.placed.mask)
            else:
                preflight.compare(store.head(folder).facts, site, self.note)
            self.journals.append(stack.enter_context(Journal(folder, site.placed.mask)))
        self._run_rounds()
        while self._extend():
            self._run_rounds()

    def _look(self, placed: Placed, here: dict[str, str], stack: ExitStack) -> None:
        """Clean and look at one target, and disconnect from it at the end."""
        own = [own for own in self.campaign.plans if own.target == placed.name]
        if own:
            if callable(close := getattr(placed.target, "close", None)):
                stack.callback(close)
            steps = [step for each in own for step in each.steps]
            site = Site(placed, Boots(self.options.boot_failures), {"controller": here})
            preflight.look(site, steps, own[0].scenario.guest, self.note)
            self.sites[placed.name] = site

    def _reopen(self) -> bool:
        """Count what is done, and remove what a killed run left half-done; false if there is nothing left to do."""
        for number, folder in enumerate(self.folders):
            results = store.load(folder, self.note).results
            for name in store.drop_unfinished(folder):
                self.note(f"{folder}: {name} was not finished; it begins anew")
            self.done[number] = {result.step.id for result in results}
            self.counts.update(result.status for result in results)
        return bool(self._open_steps()) or self._extend()

    def _open_steps(self) -> list[Step]:
        return [step for number, own in enumerate(self.campaign.plans) for step in own.steps
                if step.id not in self.done[number]]

    def _run_rounds(self) -> None:
        """Run every step that has no result yet, round by round."""
        boots = {name: site.boot for name, site in self.sites.items() if site.boot is not None}
        self.forecast = plan.estimate(self.campaign, boots)
        self.remaining = Remaining(self.forecast, self._open_steps())
        self.watch.campaign(self.campaign, self.remaining.steps, self.remaining.seconds)
        for block in plan.blocks(self.campaign):
            if todo := [step for step in block.steps if step.id not in self.done[block.plan]]:
                self._run_round(block, todo)

    def _run_round(self, block: Block, todo: Sequence[Step]) -> None:
        """Run the open steps of one round of one target on freshly booted guests."""
        own = self.campaign.plans[block.plan]
        site = self.sites[own.target]
        setting = attempt.Setting(
            folder=self.folders[block.plan], seed=own.seed, mask=site.placed.mask, vantage=site.vantage,
            lacking=site.lacking, wall=self.options.now, note=self.note_once,
            seconds=self.forecast.steps,
            extra={"round.resumed": 1.0} if len(todo) < len(block.steps) else {})
        usual = self.usual[block.plan] if len(todo) == len(block.steps) else None
        with Round(site.placed.target, own.scenario.guest, site.boots, self.note, usual) as machines:
            for step in todo:
                self.watch.begin(step, self.remaining.seconds)
                start = monotonic()
                if site.boots.given_up:
                    result = attempt.untried(step, site.boots.given_up, self.options.now())
                else:
                    result = attempt.attempt(step, machines, setting)
                self._keep(block.plan, result, monotonic() - start)

    def _keep(self, number: int, result: StepResult, taken: float) -> None:
        with self.interrupts.held():
            self.journals[number].append(result)
            self.done[number].add(result.step.id)
            self.counts[result.status] += 1
        self.remaining.done(result.step, taken)
        self.watch.end(result, self.remaining.seconds)

    def _extend(self) -> bool:
        """Add the rounds that the pilots of two-stage repetitions ask for; false if there are enough."""
        wanted = extension.wanted([store.load(folder) for folder in self.folders])
        longer = plan.extend(self.campaign, wanted) if wanted else self.campaign
        if longer == self.campaign:
            return False
        for own, folder in zip(longer.plans, self.folders, strict=True):
            store.replan(folder, own)
        self.campaign = longer
        return True

    def _how_to_go_on(self) -> str:
        begun = [folder for folder in self.folders if folder.exists()]
        return f"To go on: virtmark run --resume {begun[0]}" if begun else "Nothing was begun"
