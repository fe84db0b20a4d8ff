"""How every chart looks: the style table, the frame with title and legend, and files that are the same bytes each time.

Sizes are in inches and points. Charts are laid out by measured text widths, so that long names never overlap. Text in
SVG stays text: it can be searched, and is readable in Chinese even where no such font was installed.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, NamedTuple

import matplotlib
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.textpath import text_to_path

from analysis.rows import Party
from analysis.words import Words
from harness.model import Verdict

WIDTH, PAD = 9.4, 0.1
INK, SOFT, FAINT, PAPER, ALARM = "#16202b", "#586472", "#d5dade", "#ffffff", "#a3160c"
PALETTE = ("#0072b2", "#d55e00", "#007a5a", "#b0569a", "#a67c00", "#2f9bd0", "#5b5b5b", "#7a3b00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)), (0, (3, 1)), (0, (8, 2, 2, 2, 2, 2)), "-", "-")
SMALL, BODY, TITLE = 7.5, 8.5, 11.0
LEGEND, SAMPLE = 0.19, 0.34

# letter, marker, colour: the verdict can be told by each of the three alone
VERDICTS: dict[Verdict, tuple[str, str, str]] = {
    Verdict.PASS: ("P", "o", "#12633f"),
    Verdict.FAIL: ("F", "s", "#a3160c"),
    Verdict.INCONCLUSIVE: ("?", "D", "#7d5700"),
    Verdict.INVALID: ("X", "8", "#5c3d87"),
    Verdict.MEASURED: ("M", "o", "#44546a"),
    Verdict.NOT_RUN: ("R", "s", "#6b7680"),
    Verdict.NOT_APPLICABLE: ("–", "o", "#8a939b"),
}
HOLLOW = frozenset({Verdict.MEASURED, Verdict.NOT_RUN, Verdict.NOT_APPLICABLE})

CJK = ("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "Noto Sans CJK JP",
       "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "Microsoft YaHei", "SimHei", "PingFang SC")

RC: dict[str, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "virtmark", "text.parse_math": False, "text.hinting": "no_hinting",
    "axes.unicode_minus": True, "font.size": BODY, "axes.titlesize": BODY,
    "axes.labelsize": BODY, "xtick.labelsize": SMALL, "ytick.labelsize": SMALL,
    "axes.edgecolor": SOFT, "axes.labelcolor": INK, "xtick.color": SOFT, "ytick.color": SOFT, "text.color": INK,
    "xtick.labelcolor": INK, "ytick.labelcolor": INK, "axes.linewidth": 0.6, "xtick.major.width": 0.6,
    "ytick.major.width": 0.6, "xtick.major.size": 3.0, "ytick.major.size": 3.0, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": False, "grid.color": FAINT, "grid.linewidth": 0.5, "axes.axisbelow": True,
    "figure.facecolor": PAPER, "axes.facecolor": PAPER, "lines.linewidth": 1.3, "path.simplify": True,
    "path.simplify_threshold": 0.3, "agg.path.chunksize": 0, "legend.frameon": False, "figure.max_open_warning": 0,
    "hatch.linewidth": 0.5,
}


class Look(NamedTuple):
    """How a curve is drawn: told by colour, and by marker and dashes."""

    colour: str
    marker: str
    dash: Any


class Entry(NamedTuple):
    """A line of a legend: whose curve it is, what is said of it, and which curve of the chart it is."""

    party: Party
    note: str
    curve: int

    @property
    def text(self) -> str:
        """Return label and note on one line; a long label is cut, never the note."""
        room = WIDTH - 2 * PAD - SAMPLE - 0.1
        note = fit(f" ({self.note})", 0.75 * room) if self.note else ""
        return fit(self.party.label, room - width(note)) + note


@lru_cache(maxsize=1)
def chinese() -> str:
    """Return the name of an installed font with Chinese glyphs, or "".

    matplotlib keeps its list of fonts for good; those that were installed since are looked for where it has none.
    """
    if not (found := _listed()):
        listed = {font.fname for font in font_manager.fontManager.ttflist}
        for path in set(font_manager.findSystemFonts()) - listed:
            with suppress(Exception):   # a file that is no font after all
                font_manager.fontManager.addfont(path)
        found = _listed()
    return found


def _listed() -> str:
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return next((name for name in CJK if name in installed), "")


@contextmanager
def context(*, wide: bool = True) -> Iterator[None]:
    """Apply the style while charts are drawn and saved; glyphs that no font has are drawn as boxes, without noise.

    Without `wide` no font is searched for Chinese glyphs, which takes a tenth of the time.
    """
    fonts = ["DejaVu Sans", *filter(None, (chinese() if wide else "",))]
    looks: Any = {**RC, "font.family": fonts}
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # whatever the user's own matplotlibrc says
        matplotlib.rcParams.update(looks)
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        warnings.filterwarnings("ignore", message=r"findfont: ")
        yield


def spoken(words: Words) -> Words:
    """Return the words for charts: Chinese only where a font can draw it."""
    return words if words.lang != "zh" or chinese() else Words("en")


@lru_cache(maxsize=8192)
def width(text: str, size: float = BODY, weight: str = "normal") -> float:
    """Return the width of one line of text in inches."""
    font = font_manager.FontProperties(family=matplotlib.rcParams["font.family"], size=size, weight=weight)
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]) / 72.0


def fit(text: str, room: float, size: float = BODY, weight: str = "normal") -> str:
    """Return `text`, cut with an ellipsis where it is wider than `room` inches."""
    if width(text, size, weight) <= room:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if width(text[:middle].rstrip() + "…", size, weight) <= room else (low, middle - 1)
    return text[:low].rstrip() + "…"


def wrap(text: str, room: float, size: float = BODY, *, lines: int = 2) -> list[str]:
    """Break `text` into at most `lines` lines of at most `room` inches; the last one is cut with an ellipsis."""
    rest, out = text, list[str]()
    while rest and len(out) < lines - 1 and width(rest, size) > room:
        cut = len(fit(rest, room, size)) - 1
        gap = rest.rfind(" ", 0, cut + 1)
        cut = gap if gap > cut // 2 else max(cut, 1)
        out.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*out, fit(rest, room, size)] if rest or not out else out


def figure(height: float, across: float = WIDTH) -> Figure:
    """Return an empty figure of that many inches, without pyplot's global state."""
    made = Figure(figsize=(across, height), dpi=96)
    FigureCanvasAgg(made)
    return made


def panel(made: Figure, box: tuple[float, float, float, float]) -> Axes:
    """Return axes at `box` = (left, top, width, height), in inches from the upper left corner."""
    across, tall = made.get_size_inches()
    left, top, wide, high = box
    return made.add_axes((left / across, 1 - (top + high) / tall, wide / across, high / tall))


def write(made: Figure, left: float, top: float, text: str, **looks: Any) -> None:
    """Write text with its anchor `left`, `top` inches from the upper left corner."""
    across, tall = made.get_size_inches()
    made.text(left / across, 1 - top / tall, text, **{"va": "center", "size": BODY, **looks})


def head(made: Figure, title: str, notes: str, *, flag: str = "") -> None:
    """Draw title, notes, and the SIMULATED flag in the `headroom(notes)` inches at the top."""
    room = WIDTH - 2 * PAD
    if flag:
        wide = width(flag, BODY, "bold") + 0.22
        write(made, WIDTH - PAD - wide / 2, 0.19, flag, ha="center", weight="bold", color="white",
              bbox={"boxstyle": "square,pad=0.35", "facecolor": ALARM, "edgecolor": ALARM})
        room -= wide + 0.2
    write(made, PAD, 0.19, fit(title, room, TITLE, "bold"), size=TITLE, weight="bold")
    for index, line in enumerate(_notes(notes)):
        write(made, PAD, 0.46 + 0.16 * index, line, size=SMALL, color=SOFT)


def headroom(notes: str) -> float:
    """Return the height in inches that `head` takes."""
    return 0.42 + 0.16 * len(_notes(notes))


def foot(made: Figure, top: float, lines: Sequence[str]) -> None:
    """Write notes below a chart, from `top` inches on, 0.15 inches each."""
    for index, text in enumerate(lines):
        write(made, PAD, top + 0.15 * index, text, size=SMALL, color=SOFT)


def flag(parties: Iterable[Party], words: Words) -> str:
    """Return the mark that simulated numbers must bear, or "" where all was measured."""
    marks = {party.simulated for party in parties}
    return words("simulated") if marks == {True} else words("simulated.some") if True in marks else ""


def badge(axes: Axes, x: float, y: float, verdict: Verdict) -> None:
    """Draw a verdict as a shape with its letter inside."""
    letter, shape, shade = VERDICTS[verdict]
    hollow = verdict in HOLLOW
    size = {"D": 8.6, "8": 11.5}.get(shape, 10.5)
    axes.plot((x,), (y,), marker=shape, markersize=size, markerfacecolor=PAPER if hollow else shade,
              markeredgecolor=shade, markeredgewidth=1.0, clip_on=False)
    axes.text(x, y, letter, size=6.5, weight="bold", ha="center", va="center_baseline",
              color=shade if hollow else "white")


def look(party: Party, index: int) -> Look:
    """Return how the curve of a party is drawn; `index` counts the curves of the chart and chooses the dashes."""
    return Look(colour(party), marker(party), DASHES[index % len(DASHES)])


def legend(made: Figure, top: float, entries: Sequence[Entry]) -> None:
    """Write the names of curves in rows from `top` on, each behind a piece of its line."""
    axes = panel(made, (0, top, WIDTH, legend_height(entries)))
    axes.set(xlim=(0, WIDTH), ylim=(legend_height(entries), 0))
    axes.axis("off")
    for entry, (left, row) in zip(entries, _places(entries), strict=True):
        looks, y = look(entry.party, entry.curve), LEGEND * (row + 0.5)
        axes.plot((left, left + SAMPLE), (y, y), color=looks.colour, linestyle=looks.dash, linewidth=1.5)
        axes.plot((left + SAMPLE / 2,), (y,), color=looks.colour, marker=looks.marker, markersize=5)
        axes.text(left + SAMPLE + 0.08, y, entry.text, va="center")


def legend_height(entries: Sequence[Entry]) -> float:
    """Return the height in inches of a legend."""
    return LEGEND * (1 + max((row for _, row in _places(entries)), default=-1))


def _places(entries: Sequence[Entry]) -> list[tuple[float, int]]:
    """Return left edge and row of each entry, flowing like words of a text."""
    out, left, row = [], PAD, 0
    for entry in entries:
        wide = min(SAMPLE + 0.08 + width(entry.text) + 0.3, WIDTH - 2 * PAD)
        if left > PAD and left + wide - 0.3 > WIDTH - PAD:
            left, row = PAD, row + 1
        out.append((left, row))
        left += wide
    return out


def colour(party: Party) -> str:
    """Return the colour of a party, the same in every chart of a report."""
    return PALETTE[party.index % len(PALETTE)]


def marker(party: Party) -> str:
    """Return the marker of a party, so that it can be told without colour."""
    return MARKERS[party.index % len(MARKERS)]


def _notes(notes: str) -> list[str]:
    return wrap(notes, WIDTH - 2 * PAD, SMALL, lines=3) if notes else []


def svg(made: Figure, prefix: str = "") -> str:
    """Return the figure as SVG text; `prefix` makes its ids unique inside a page. Same figure, same bytes."""
    out = io.BytesIO()
    made.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = out.getvalue().decode("utf-8")
    return re.sub(r"<[^>]+>", lambda tag: _tidied(tag[0], prefix), text)


def png(made: Figure) -> bytes:
    """Return the figure as PNG at twice the size of the screen. Same figure, same bytes."""
    out = io.BytesIO()
    made.savefig(out, format="png", dpi=192, metadata={"Software": "virtmark"}, pil_kwargs={"compress_level": 4})
    return out.getvalue()


def _tidied(tag: str, prefix: str) -> str:
    """Shorten the numbers of a tag to a hundredth of a point, and prefix its ids and references."""
    tag = re.sub(r'(?<=\s)(?:d|x|y|points|transform|width|height)="[^"]*"',
                 lambda found: re.sub(r"-?\d+\.\d{3,}", lambda n: f"{float(n[0]):.2f}", found[0]), tag)
    if prefix:
        tag = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', tag)
        tag = re.sub(r'(url\(#|href="#)', rf"\1{prefix}-", tag)
    return tag
