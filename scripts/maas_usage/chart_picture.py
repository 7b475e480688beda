"""A document as a figure, and a figure as the bytes of a PNG or SVG file."""

from __future__ import annotations

import io
import logging
import os
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Sequence, Tuple

from maas_usage.chart_rows import (
    Bar,
    Document,
    Tick,
    bars,
    headline,
    notes,
    subtitles,
    ticks,
    worst,
    worst_date,
    worst_said,
)
from maas_usage.chart_text import DPI, LARGE, NORMAL, SMALL, cut, in_lines, width_px, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_PX, HEIGHT_PX = 1200, 675
LEFT_PX, RIGHT_PX = 78, 22
LINE_PX = 15
UPRIGHT_LABEL_PX = 150
SIZES = (
    (10**18, "quintillion"),
    (10**15, "quadrillion"),
    (10**12, "trillion"),
    (10**9, "billion"),
    (10**6, "million"),
    (10**3, "thousand"),
)


@dataclass(frozen=True)
class Theme:
    """Colours of one background; the Okabe-Ito set, which colour-blind readers can tell apart."""

    ground: str
    ink: str
    faint: str
    prompt: str
    completion: str
    errors: str


LIGHT = Theme("#ffffff", "#1a1a1a", "#5f6670", "#0072b2", "#e69f00", "#d55e00")
DARK = Theme("#15191f", "#f0f0f0", "#a3acb8", "#56b4e9", "#f0c040", "#ff8a4c")


def picture(answer: Document, theme: Theme = LIGHT) -> Figure:
    """A document that `read` let pass as a figure of 1200 x 675 pixels."""
    with _settings(theme):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(WIDTH_PX / DPI, HEIGHT_PX / DPI), dpi=DPI)
        rows = bars(answer)
        by = answer["query"]["group_by"]
        y = _write_heading(figure, answer, theme)
        marks, upright_px = _fitting(ticks(rows, by, WIDTH_PX - LEFT_PX - RIGHT_PX), by, len(rows))
        marks_px = upright_px or LINE_PX * max([1, *(m.count("\n") + 1 for _, m in marks)])
        foot_px = _write_foot(figure, list(notes(answer, rows)), theme)
        rates = _axes(figure, y + 10, 105, "rates")
        legend_top = y + 10 + 105 + 8
        tokens = _axes(figure, legend_top + 28, HEIGHT_PX - foot_px - marks_px - 14 - legend_top - 28, "tokens")
        for axes in (rates, tokens):
            axes.set_xlim(-0.6, len(rows) - 0.4)
            _shade(axes, rows, theme)
        _draw_rates(rates, rows, theme)
        _draw_tokens(tokens, rows, theme)
        tokens.set_xticks([number for number, _ in marks], [mark for _, mark in marks])
        if upright_px:
            tokens.tick_params(axis="x", labelrotation=90)
        rates.set_xticks([number for number, _ in marks], [""] * len(marks))
        _draw_legend(figure, legend_top, rows, theme)
        if answer["source"] == "demo":
            figure.text(
                0.53, 0.42, "DEMO DATA", size=110, weight="bold", color=theme.ink, alpha=0.13, zorder=10,
                rotation=18, ha="center", va="center", gid="demo",
            )  # fmt: skip
        figure.set_label("%s%s" % ("DEMO DATA: " if answer["source"] == "demo" else "", headline(answer)))
        return figure


def encoded(figure: Figure, kind: str) -> bytes:
    """A figure as the bytes of a `.png` or `.svg`, the same every time."""
    metadata = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}}[kind]
    out = io.BytesIO()
    with _settings(LIGHT):
        figure.savefig(
            out, format=kind[1:], dpi=DPI, metadata={"Title": figure.get_label(), **metadata}, facecolor="auto"
        )
    return out.getvalue()


@contextmanager
def _settings(theme: Theme) -> Iterator[None]:
    """Matplotlib as this module needs it, whatever the user's own settings are."""
    os.environ["MPLBACKEND"] = "agg"  # a notebook's, inherited, would end the import
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # fonts and cache folders are nobody's concern here
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a character that no font has is drawn as a box
        import matplotlib

        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(
                {
                    "axes.edgecolor": theme.faint,
                    "axes.facecolor": theme.ground,
                    "axes.labelcolor": theme.faint,
                    "axes.labelsize": SMALL,
                    "axes.spines.right": False,
                    "axes.spines.top": False,
                    "figure.facecolor": theme.ground,
                    "font.size": SMALL,
                    "hatch.linewidth": 1.2,
                    "savefig.facecolor": "auto",
                    "svg.fonttype": "none",  # text that can be searched, and read out
                    "svg.hashsalt": "maas_usage_chart.py",
                    "text.color": theme.ink,
                    "text.parse_math": False,  # a "$" in a label is a "$"
                    "xtick.color": theme.faint,
                    "xtick.labelcolor": theme.ink,
                    "ytick.color": theme.faint,
                    "ytick.labelcolor": theme.ink,
                }
            )
            yield


def _axes(figure: Figure, top_px: float, height_px: float, name: str) -> Axes:
    width = (WIDTH_PX - LEFT_PX - RIGHT_PX) / WIDTH_PX
    axes = figure.add_axes(
        (LEFT_PX / WIDTH_PX, 1 - (top_px + height_px) / HEIGHT_PX, width, height_px / HEIGHT_PX), label=name
    )
    axes.set_axisbelow(True)
    return axes


def _text(figure: Figure, x_px: float, top_px: float, text: str, **look: Any) -> None:
    figure.text(x_px / WIDTH_PX, 1 - top_px / HEIGHT_PX, text, va="top", **look)


def _write_heading(figure: Figure, answer: Document, theme: Theme) -> float:
    """Figure, window and zone; returns the pixel below them."""
    room_px = WIDTH_PX - 40
    _text(figure, 20, 14, cut(headline(answer), room_px, LARGE, "bold"), size=LARGE, weight="bold")
    y = 50.0
    for number, line in enumerate(subtitles(answer)):
        colour = theme.faint if number else theme.ink
        _text(figure, 20, y, cut(line, room_px, NORMAL), size=NORMAL, color=colour)
        y += 20
    return y


def _write_foot(figure: Figure, notes: Sequence[str], theme: Theme) -> float:
    """What else must be known, in small letters; returns how many pixels it takes."""
    lines = wrapped(" ".join(notes), WIDTH_PX - 40, SMALL - 0.5)
    if len(lines) > 6:
        lines = [*lines[:5], lines[5] + " …"]
    for number, line in enumerate(lines):
        _text(figure, 20, HEIGHT_PX - 10 - LINE_PX * (len(lines) - number), line, size=SMALL - 0.5, color=theme.faint)
    return 14.0 + LINE_PX * len(lines)


def _shade(axes: Axes, rows: Sequence[Bar], theme: Theme) -> None:
    number, of_date = worst(rows), worst_date(rows)
    if of_date is not None:
        axes.axvspan(of_date[0] - 0.5, of_date[-1] + 0.5, color=theme.errors, alpha=0.16, lw=0, zorder=0)
    elif number is not None:
        half = max(_bar_width(rows) * 0.62, 3.0 * len(rows) / WIDTH_PX)
        axes.axvspan(number - half, number + half, color=theme.errors, alpha=0.16, lw=0, zorder=0)
    missing = sum(row.perhaps_missing for row in rows)
    if missing:
        axes.axvspan(-0.6, missing - 0.5, color=theme.faint, alpha=0.25, lw=0, zorder=0)


def _draw_rates(axes: Axes, rows: Sequence[Bar], theme: Theme) -> None:
    points = [(number, row.error_rate * 100) for number, row in enumerate(rows) if row.error_rate is not None]
    highest = max((rate for _, rate in points), default=0.0)
    top = max(highest, 1.0)
    axes.set_ylim(0, top * 1.42)
    axes.set_yticks(*_scale(top, 3, "%"))
    axes.set_ylabel("error rate")
    axes.grid(axis="y", color=theme.faint, alpha=0.25, lw=0.8)
    axes.tick_params(axis="x", length=0)
    width = 2.0 if len(rows) <= 60 else 1.2
    if points:
        axes.vlines([x for x, _ in points], 0, [rate for _, rate in points], color=theme.errors, lw=width)
        axes.plot(
            [x for x, _ in points], [rate for _, rate in points], "o", color=theme.errors,
            ms=5 if len(rows) <= 60 else 2.5, clip_on=False,
        )  # fmt: skip
    number = worst(rows)
    if number is None:
        said = "no errors" if points and not highest else "no requests" if not points else ""
        axes.text(0.5, 0.5, said, transform=axes.transAxes, ha="center", va="center", color=theme.faint)
        return
    axes.plot([number], [highest], "D", color=theme.errors, ms=8, clip_on=False, gid="worst")
    said = worst_said(rows, number)
    room_px = WIDTH_PX - LEFT_PX - RIGHT_PX
    # Centred over the row, but inside the axes.
    half = (width_px(said, NORMAL, "bold") + 8) / 2 / room_px
    middle = min(max((number + 0.6) / (len(rows) + 0.2), half), 1 - half)
    axes.text(
        middle, 1, said, transform=axes.transAxes, ha="center", va="top",
        color=theme.errors, size=NORMAL, weight="bold",
    )  # fmt: skip


def _draw_tokens(axes: Axes, rows: Sequence[Bar], theme: Theme) -> None:
    top = max(max(row.total, row.prompt + row.completion) for row in rows)
    size, name = next(((size, name) for size, name in SIZES if top >= size), (1, ""))
    width = _bar_width(rows)
    numbers = range(len(rows))
    stack = (
        ([row.prompt / size for row in rows], [0.0 for _ in rows], theme.prompt),
        ([row.completion / size for row in rows], [row.prompt / size for row in rows], theme.completion),
    )
    for heights, bottoms, colour in stack:
        for row, bar in zip(rows, axes.bar(numbers, heights, width, bottoms, color=colour, lw=0)):
            if row.hatch:
                bar.set(facecolor=theme.ground, edgecolor=colour, hatch=row.hatch, linewidth=1.0)
    used = [(number, row.total / size) for number, row in enumerate(rows) if row.total]
    mark = _total_mark(rows, theme)
    axes.plot([number for number, _ in used], [total for _, total in used], clip_on=False, gid="total", **mark)
    axes.set_ylim(0, top / size * 1.08 or 1)
    axes.set_yticks(*_scale(top / size * 1.08, 5, whole=size == 1))
    axes.set_ylabel(("%s tokens" % name).strip())
    axes.grid(axis="y", color=theme.faint, alpha=0.25, lw=0.8)


def _bar_width(rows: Sequence[Bar]) -> float:
    """In rows; a few rows must not become walls, and many must not flicker."""
    return min(0.8 if len(rows) <= 200 else 1.0, 0.11 * len(rows))


def _total_mark(rows: Sequence[Bar], theme: Theme) -> Dict[str, Any]:
    """A caret whose tip is the total: a line there would hide the completion tokens below it."""
    from matplotlib.markers import CARETDOWN

    size = 7 if len(rows) <= 60 else 4 if len(rows) <= 200 else 2.5
    return {"marker": CARETDOWN, "color": theme.ink, "ls": "none", "mew": 0, "ms": size}


def _scale(top: float, most: int, unit: str = "", whole: bool = False) -> Tuple[List[float], List[str]]:
    """Round numbers from 0 to `top`, at most `most` steps, and how they are written."""
    from matplotlib.ticker import MaxNLocator

    values = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10], integer=whole).tick_values(0, top) if top else [0]
    found = [float(value) for value in values if 0 <= value <= top]
    return found, ["%s%s" % (f"{value:,.10g}", unit) for value in found]


def _draw_legend(figure: Figure, top_px: float, rows: Sequence[Bar], theme: Theme) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    hollow: Dict[str, Any] = {"facecolor": theme.ground, "edgecolor": theme.prompt, "linewidth": 1.0}
    entries: List[Tuple[bool, Any]] = [
        (True, Patch(color=theme.prompt, label="prompt")),
        (True, Patch(color=theme.completion, label="completion")),
        (True, Line2D([], [], label="total, as the service counts it", **{**_total_mark(rows, theme), "ms": 7})),
        (any(row.partial for row in rows), Patch(hatch="////", label="partly in the window", **hollow)),
        (any(row.provisional for row in rows), Patch(hatch="\\\\\\\\", label="may still grow", **hollow)),
        (
            any(row.perhaps_missing for row in rows),
            Patch(color=theme.faint, alpha=0.25, lw=0, label="may be missing (over 30 days old)"),
        ),
    ]
    figure.legend(
        handles=[handle for wanted, handle in entries if wanted],
        loc="upper left",
        bbox_to_anchor=(LEFT_PX / WIDTH_PX, 1 - top_px / HEIGHT_PX),
        borderaxespad=0,
        borderpad=0,
        ncol=len(entries),
        frameon=False,
        fontsize=SMALL,
        handlelength=1.8,
        columnspacing=1.8,
    )


def _fitting(marks: Sequence[Tick], by: Optional[str], count: int) -> Tuple[List[Tick], float]:
    """Labels cut to the room they have, and how many pixels high they stand if upright, else 0."""
    if by in ("day", "hour"):  # `ticks` has seen to it
        return list(marks), 0
    each_px = (WIDTH_PX - LEFT_PX - RIGHT_PX) / count
    if each_px >= 90:
        return [(number, in_lines(mark, each_px - 12, SMALL)) for number, mark in marks], 0
    fitting = [(number, cut(mark, UPRIGHT_LABEL_PX, SMALL)) for number, mark in marks]
    return fitting, 8 + max(width_px(mark, SMALL) for _, mark in fitting)
