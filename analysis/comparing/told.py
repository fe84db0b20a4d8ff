"""The comparison in plain language: what can be concluded, and what cannot, sentence by sentence from the results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from analysis.comparing import tables
from analysis.words import Words
from harness.comparison import Cell, Comparison, Composite, Entry, Group, How, Outcome
from harness.model import Run

MOST = 4    # indicators named in a sentence; the rest is counted
Found = list[tuple[Cell, Entry]]


def paragraphs(found: Comparison, runs: Sequence[Run], words: Words) -> list[str]:
    """Return what a reader must know, most important first; one text a paragraph."""
    out = [_join([words("told.forced")], words)] if found.forced else []
    for group in found.groups:
        planned = (runs[number].plan.scenario for who in group.contenders for number in who.runs)
        scenarios = dict.fromkeys(words.pick(each.title, each.title_zh) for each in planned)
        out.append(words("told.what", reference=group.reference, n=len(group.cells),
                         scenarios=_list(scenarios, words)))
        out += [_join(_about(group, who.name, words), words)
                for who in group.contenders if who.name != group.reference]
    out += [_apart(found, words)] if found.apart else []
    return [*out, _join(_limits(found, words), words)] if found.groups else out


def _about(group: Group, name: str, words: Words) -> Iterator[str]:
    """Yield what is said of one contender against the reference."""
    mine: Found = [(cell, entry) for cell in tables.ordered(group.cells) for entry in cell.entries
                   if entry.contender == name]
    ends = {outcome: [(cell, entry) for cell, entry in mine if entry.outcome is outcome] for outcome in Outcome}
    lead = {"name": name, "reference": group.reference}
    for outcome in (Outcome.BETTER, Outcome.WORSE):
        if ends[outcome]:
            yield words(f"told.{outcome.name}", n=len(ends[outcome]), named=_named(ends[outcome], words), **lead)
    if not ends[Outcome.BETTER] and not ends[Outcome.WORSE]:
        yield words("told.nothing", **lead)
    if ends[Outcome.TIE]:
        yield words("told.TIE", n=len(ends[Outcome.TIE]), named=_list(_labels(ends[Outcome.TIE], words), words), **lead)
    yield from _undecided(ends[Outcome.UNDECIDED], words)
    if ends[Outcome.NONE]:
        yield words("told.NONE", n=len(ends[Outcome.NONE]), why=_why(group, ends[Outcome.NONE], words))
    yield from (_composite(one, name, words) for one in group.composites)


def _undecided(found: Found, words: Words) -> Iterator[str]:
    open_ = [(cell, entry) for cell, entry in found if entry.doubts]
    tested = [(cell, entry) for cell, entry in found if not entry.doubts]
    if tested:
        sizes = sorted((entry.against.mde, tables.mde(entry.against, cell, words)) for cell, entry in tested
                       if entry.against and entry.against.mde is not None and cell.how is How.RATIO)
        span = "" if not sizes else words("told.mde.one", low=sizes[0][1]) if sizes[0] == sizes[-1] else words(
            "told.mde", low=sizes[0][1], high=sizes[-1][1])
        yield words("told.UNDECIDED", n=len(tested), span=span)
    if open_:
        reasons = Counter(words.say(_short(doubt)) for _, entry in open_ for doubt in entry.doubts[:1])
        yield words("told.doubts", n=len(open_), why=_list((text for text, _ in reasons.most_common(3)), words))


def _short(doubt: str) -> str:
    """Return a doubt without whose it is and without the details that stand in the table."""
    name, judged, _ = doubt.partition(" is not judged")
    return name.rpartition(": ")[2] + judged if judged else doubt.rpartition(": ")[2]


def _why(group: Group, found: Found, words: Words) -> str:
    """Return how often what kept a cell from being compared."""
    kinds: Counter[str] = Counter()
    for cell, entry in found:
        base = next(other for other in cell.entries if other.contender == group.reference)
        if cell.how is How.SIDE and entry.valid:
            kinds[words("told.side")] += 1
        elif not entry.valid:
            kinds[words("told.own", verdict=words.verdict(entry.verdict))] += 1
        else:
            kinds[words("told.base", name=group.reference, verdict=words.verdict(base.verdict))] += 1
    return _list((words("told.count", what=what, n=count) for what, count in kinds.most_common()), words)


def _composite(one: Composite, name: str, words: Words) -> str:
    entry = next(entry for entry in one.entries if entry.contender == name)
    area = " ".join(filter(None, (one.area, words.area(one.area))))
    if entry.against is None:
        reason = next(iter(entry.reasons), "").removeprefix("undefined: ")
        return words("told.composite.none", area=area, why=words.say(reason))
    against, said = entry.against, next(iter(entry.doubts), "")
    doubt = words("told.because", why=words.say(said)) if said else ""
    return words("told.composite", area=area, ratio=tables.factors(against.value, against.low, against.high),
                 outcome=words(f"outcome.{entry.outcome.name}") + doubt, n=len(one.parts))


def _apart(found: Comparison, words: Words) -> str:
    texts = []
    for each in found.apart:
        kinds = dict.fromkeys(words.difference(one.kind) for one in each.differences)
        first = next(iter(each.differences), None)
        detail = words("told.detail", fact=first.key, one=first.one or "–", other=first.other or "–") if first else ""
        texts.append(words("told.apart", name=each.contender.name, kinds=_list(kinds, words) + detail)
                     if kinds else words("told.alone", name=each.contender.name))
    return _join(texts, words)


def _limits(found: Comparison, words: Words) -> Iterator[str]:
    """Yield what cannot be concluded."""
    yield words("told.limits")
    cells = [cell for group in found.groups for cell in group.cells]
    compared = sum(entry.against is not None and not entry.doubts for cell in cells for entry in cell.entries)
    if compared:
        yield words("told.error", n=compared, false=f"{0.05 * compared:.2g}")
    measured, floor = sum(cell.measured for cell in cells), f"{100 * found.floor:.2g}"
    yield words("told.floor", floor=floor, measured=measured) if measured else words("told.floor.assumed", floor=floor)
    yield from (words(f"compare.warning.{code}")
                for code in dict.fromkeys(code for group in found.groups for code in group.warnings))
    everyone = [who for group in found.groups for who in group.contenders]
    if any("tcg" in who.accelerators for who in everyone):
        yield words("told.tcg")


def _named(found: Found, words: Words) -> str:
    """Return the indicators with their change, the largest first, and how many more there are."""
    def size(item: tuple[Cell, Entry]) -> float:
        cell, entry = item
        if entry.against is None or cell.how is not How.RATIO:
            return 0.0
        return max(entry.against.value, 1 / entry.against.value)

    shown = sorted(found, key=size, reverse=True)
    texts = [f"{cell.label} {tables.change(entry.against, cell.how, cell.unit, words)}"
             for cell, entry in shown[:MOST] if entry.against]
    return _more(texts, len(found), words)


def _labels(found: Found, words: Words) -> list[str]:
    return [cell.label for cell, _ in found[:2 * MOST]] + (
        [words("told.more", n=len(found) - 2 * MOST)] if len(found) > 2 * MOST else [])


def _more(texts: list[str], total: int, words: Words) -> str:
    return _list([*texts, *([words("told.more", n=total - len(texts))] if total > len(texts) else [])], words)


def _list(texts: Iterable[str], words: Words) -> str:
    return words("told.comma").join(texts)


def _join(sentences: Iterable[str], words: Words) -> str:
    return words("told.space").join(filter(None, sentences))
