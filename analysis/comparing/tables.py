"""What the tables of a comparison say, as plain text in frozen records; the template only places it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from analysis import quantity
from analysis.charts import Picture
from analysis.rows import area_rank, clean, names
from analysis.words import Words
from harness.comparison import Against, Apart, Cell, Comparison, Composite, Contender, Entry, Group, How, Outcome
from harness.model import Run

# sign and order of what can be said; the sign alone tells it without colour
SIGNS = {Outcome.REFERENCE: "R", Outcome.BETTER: "▲", Outcome.WORSE: "▼", Outcome.TIE: "=", Outcome.UNDECIDED: "?",
         Outcome.NONE: "–"}
FACTOR = 2.0    # from this ratio on a change is told as a factor
FEW = 10.0      # from this upper end on too


@dataclass(frozen=True)
class Mark:
    """An outcome by sign, word and class of its colour."""

    sign: str
    text: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """One contender at one cell, as text."""

    contender: str
    mark: Mark
    value: str
    interval: str
    unit: str
    n: str
    against: str
    p: str
    letters: str
    ranks: str
    why: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """One cell with its lines; `floor` is printed, `reason` says why there is no ratio."""

    anchor: str
    area: str
    indicator: str
    name: str
    point: str
    better: str
    floor: str
    reason: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Field:
    """An area of one contender: its composite, and how many of the area's cells ended how."""

    mark: Mark
    letters: str
    ranks: str
    against: str
    counts: tuple[tuple[Mark, int], ...]
    why: tuple[str, ...]


@dataclass(frozen=True)
class Sheet:
    """One group of contenders."""

    contenders: tuple[tuple[Contender, str, str], ...]
    reference: str
    matrix: tuple[tuple[str, tuple[Field, ...]], ...]
    parts: tuple[tuple[str, tuple[str, ...], str], ...]
    blocks: tuple[Block, ...]
    pictures: tuple[Picture, ...]
    noted: tuple[tuple[str, str, str, str], ...]
    doubts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


def everyone(found: Comparison) -> list[Contender]:
    """Return all contenders, those of groups first, each name once."""
    own = [who for group in found.groups for who in group.contenders] + [each.contender for each in found.apart]
    return list({who.name: who for who in reversed(own)}.values())[::-1]


def sheets(found: Comparison, runs: Sequence[Run], drawn: Sequence[Picture], words: Words) -> list[Sheet]:
    """Return the groups as text, each with its pictures."""
    return [_sheet(group, runs, [picture for picture in drawn if picture.chart.kind == f"ratios-{number}"], words)
            for number, group in enumerate(found.groups)]


def ordered(cells: Iterable[Cell]) -> list[Cell]:
    """Return cells in the order of areas."""
    return sorted(cells, key=lambda cell: area_rank(cell.area))


def mark(outcome: Outcome, words: Words) -> Mark:
    """Return how an outcome is shown."""
    return Mark(SIGNS[outcome], words(f"outcome.{outcome.name}"), f"outcome-{outcome.name.lower()}")


def legend(words: Words) -> list[tuple[Mark, str]]:
    """Return all outcomes with what they mean."""
    return [(mark(outcome, words), words(f"outcome.{outcome.name}.is")) for outcome in SIGNS]


def change(found: Against, how: How, unit: str, words: Words) -> str:
    """Return a change against the reference with its interval: +31 % [+6 … +61], ×26 [3.5 … 194], a 26th as ÷26, or
    a difference."""
    if how is How.RATIO and not (1 / FACTOR < found.value < FACTOR and found.high < FEW):
        fraction = found.value < 1 and found.low > 0
        return f"÷{factors(1 / found.value, 1 / found.high, 1 / found.low)}" if fraction else (
            f"×{factors(found.value, found.low, found.high)}")
    three = (found.value, found.low, found.high)
    if how is How.RATIO:
        value, low, high = quantities([100 * (number - 1) for number in three], 0.0)
        return f"{_plus(value)} % [{_plus(low)} … {_plus(high)}]"
    shown = quantity.together(*three, unit=unit)
    name = words("compare.points") if shown.unit == "%" else shown.unit
    return f"{_plus(shown.value)} {name} [{_plus(shown.low)} … {_plus(shown.high)}]"


def factors(value: float, low: float, high: float) -> str:
    """Return a ratio with its interval: 1.31 [1.06 … 1.61]."""
    texts = quantities((value, low, high), 1.0)
    return f"{texts[0]} [{texts[1]} … {texts[2]}]"


def quantities(numbers: Sequence[float], line: float) -> list[str]:
    """Print a value, its low and its high end without a unit, with two digits of the half-width of the interval.

    Where the interval spans more than a factor of ten, each number has two digits of its own. There are as many more
    as it takes to stand to `line`, where nothing has changed, as the real numbers do.
    """
    places, more = _places(numbers), 0
    while more < quantity.MOST_DECIMALS and any(
            _side(number, line) != _side(round(number, count + more), line)
            for number, count in zip(numbers, places, strict=True) if math.isfinite(number)):
        more += 1
    return [_text(number, count + more) for number, count in zip(numbers, places, strict=True)]


def _places(numbers: Sequence[float]) -> list[int]:
    """Return the decimals of a value and of both ends."""
    _, low, high = numbers
    if math.isfinite(high - low) and high > low and not (
            low * high > 0 and max(high / low, low / high) > quantity.WIDE):
        return [max(0, 1 - math.floor(math.log10((high - low) / 2)))] * 3
    return [max(0, 1 - math.floor(math.log10(abs(number)))) if number and math.isfinite(number) else 0
            for number in numbers]


def _side(number: float, line: float) -> int:
    return (number > line) - (number < line)


def _text(number: float, places: int) -> str:
    if math.isinf(number):
        return f"{quantity.MINUS}∞" if number < 0 else "∞"
    text = f"{number:.{places}f}"
    return text.replace("-", quantity.MINUS) if float(text) else text.lstrip("-")


def apart(found: Sequence[Apart], words: Words) -> list[tuple[str, str, tuple[tuple[str, str, str, str], ...],
                                                             tuple[tuple[str, str, Line], ...]]]:
    """Return each run that stands apart: whose it is, its targets, in what it differs, and its own numbers."""
    return [(each.contender.name, ", ".join(each.contender.products or each.contender.targets),
             tuple((words.difference(one.kind), clean(one.key), _told(one.one, words), _told(one.other, words))
                   for one in each.differences),
             tuple((indicator, clean(point), _line(entry, None, words)) for indicator, point, entry in each.entries))
            for each in found]


def _sheet(group: Group, runs: Sequence[Run], pictures: Sequence[Picture], words: Words) -> Sheet:
    cells = ordered(group.cells)
    areas = dict.fromkeys(cell.area for cell in cells)
    composites = {one.area: one for one in group.composites}
    return Sheet(
        tuple((who, ", ".join(clean(runs[number].created) for number in who.runs),
               _rounds(who, runs)) for who in group.contenders),
        group.reference,
        tuple((area, tuple(_field(area, who.name, cells, composites.get(area), words) for who in group.contenders))
              for area in areas),
        tuple((one.area, one.parts, one.method) for one in group.composites),
        tuple(_block(cell, index, words) for index, cell in enumerate(cells)), tuple(pictures),
        tuple((name, clean(one.key), _told(one.one, words), _told(one.other, words)) for name, one in group.noted),
        group.doubts, tuple(words(f"compare.warning.{code}") for code in group.warnings))


def _field(area: str, name: str, cells: Sequence[Cell], found: Composite | None, words: Words) -> Field:
    ends = Counter(entry.outcome for cell in cells if cell.area == area
                   for entry in cell.entries if entry.contender == name)
    counts = tuple((mark(outcome, words), ends[outcome]) for outcome in SIGNS
                   if ends[outcome] and outcome is not Outcome.REFERENCE)
    if found is None:
        return Field(mark(Outcome.NONE, words), "", "", "", counts, (words("compare.no.composite"),))
    entry = next(entry for entry in found.entries if entry.contender == name)
    shown = ("×" + factors(entry.against.value, entry.against.low, entry.against.high)) if entry.against else ""
    return Field(mark(entry.outcome, words), entry.letters, ranks(entry, words), shown, counts, why(entry, words))


def ranks(entry: Entry, words: Words) -> str:
    """Return the ranks that are not excluded: "1-2"."""
    if entry.ranks is None:
        return ""
    low, high = entry.ranks
    return str(low) if low == high else f"{low}–{high}"


def why(entry: Entry, words: Words) -> tuple[str, ...]:
    """Return reasons and doubts in the language of the report as far as it has them."""
    return tuple(dict.fromkeys(clean(words.say(text)) for text in (*entry.reasons, *entry.doubts)))


def _block(cell: Cell, index: int, words: Words) -> Block:
    name = names(cell.indicator)
    floor = "" if cell.how is How.SIDE or not cell.floor else words(
        "compare.floor.measured" if cell.measured else "compare.floor.assumed", floor=f"{100 * cell.floor:.2g}")
    return Block(f"c{index}", cell.area, cell.indicator, words.pick(name.en, name.zh), clean(cell.point),
                 words(f"better.{cell.direction}"), floor, words.say(cell.reason),
                 tuple(_line(entry, cell, words) for entry in cell.entries))


def _scale(entries: Iterable[Entry]) -> quantity.Scale:
    """Return the one scale in which all numbers of a cell are printed."""
    known = [entry.estimate for entry in entries if entry.estimate]
    return quantity.scale([its.estimate for its in known], known[0].unit if known else "1")


def _line(entry: Entry, cell: Cell | None, words: Words) -> Line:
    scale = _scale(cell.entries if cell else (entry,))
    its, found = entry.estimate, entry.against
    value, low, high = quantities([bound / scale.factor for bound in (its.estimate, its.ci.lo, its.ci.hi)],
                                  math.nan) if its else ("–", "", "")
    aside = cell is None or cell.how is How.SIDE    # of these nothing is claimed anyway
    said = why(entry, words) if not aside else tuple(clean(words.say(text)) for text in entry.reasons)
    if not entry.valid:
        said = (words.verdict(entry.verdict), *said)
    elif found and found.mde is not None and entry.outcome is Outcome.UNDECIDED:
        said = (*said, words("compare.mde", mde=mde(found, cell, words)))
    return Line(
        contender=entry.contender, mark=mark(entry.outcome, words), why=said, letters=entry.letters,
        value=value, unit=scale.name if its else "",
        interval=f"{low} … {high}" if its else "–",
        n="–" if its is None else str(its.n if aside or not entry.scores else len(entry.scores)),
        ranks=ranks(entry, words), p=_p(entry.p),
        against=change(found, cell.how, cell.unit, words) if found and cell else "")


def mde(found: Against, cell: Cell | None, words: Words) -> str:
    """Return the smallest difference that these rounds show with 80 % power, as a reader says it."""
    if found.mde is None:
        return "∞"
    if cell is None or cell.how is How.RATIO:
        return f"{100 * found.mde:.2g} %" if found.mde < 1 else f"×{math.exp(found.mde):.2g}"
    scale = quantity.scale((found.mde,), cell.unit)
    return f"{scale.short(found.mde, 2)} {words('compare.points') if scale.name == '%' else scale.name}"


def _rounds(who: Contender, runs: Sequence[Run]) -> str:
    return " + ".join(str(len({step.round for step in runs[number].plan.steps if not step.warmup}))
                      for number in who.runs)


def _p(p: float | None) -> str:
    return "" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _plus(text: str) -> str:
    return text if text.startswith(quantity.MINUS) or not text.strip("0.") else f"+{text}"


def _told(text: str, words: Words) -> str:
    return clean(text) or words("compare.untold")
