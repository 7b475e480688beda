"""How much room text takes in a picture, and text cut or wrapped to the room there is."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, List

DPI = 100
SMALL, NORMAL, LARGE = 9, 10.5, 20  # points
LONGEST_LINE = 300  # characters, before anything is measured


@lru_cache(maxsize=None)
def _ruler() -> Any:
    from matplotlib.backends import backend_agg

    module: Any = backend_agg
    return module.RendererAgg(1, 1, DPI)


@lru_cache(maxsize=None)
def _font(size: float, weight: str) -> Any:
    from matplotlib.font_manager import FontProperties

    return FontProperties(size=size, weight=weight)


@lru_cache(maxsize=1000)
def width_px(text: str, size: float, weight: str = "normal") -> float:
    """How many pixels wide the text is; `size` in points."""
    return float(_ruler().get_text_width_height_descent(text, _font(size, weight), False)[0])


def cut(text: str, room_px: float, size: float, weight: str = "normal") -> str:
    """The text, or its two ends where it is too long: labels often begin alike."""
    text = text if len(text) <= LONGEST_LINE else text[: LONGEST_LINE - 1] + "…"
    shortest, longest = 2, len(text)
    while shortest < longest:
        middle = (shortest + longest + 1) // 2
        if width_px(_ends(text, middle), size, weight) <= room_px:
            shortest = middle
        else:
            longest = middle - 1
    return _ends(text, longest)


def _ends(text: str, count: int) -> str:
    """The first and last of the characters, `count` together with the dots between them."""
    return text if count >= len(text) else text[: count // 2] + "…" + text[len(text) - (count - 1) // 2 :]


def wrapped(text: str, room_px: float, size: float) -> List[str]:
    """The text in lines that fit the room."""
    lines: List[str] = []
    taken_px = room_px
    for word in text[: 10 * LONGEST_LINE].split():
        fitting = cut(word, room_px, size)
        fitting_px = width_px(fitting, size)
        blank_px = 0.35 * size * DPI / 72  # and a little more, for rounding
        if taken_px + blank_px + fitting_px <= room_px:
            lines[-1] += " " + fitting
            taken_px += blank_px + fitting_px
        else:
            lines.append(fitting)
            taken_px = fitting_px
    return lines


def in_lines(text: str, room_px: float, size: float) -> str:
    """A label without blanks in at most three lines."""
    text = cut(text, 2.8 * room_px, size)
    lines = [""]
    for character in text:
        if width_px(lines[-1] + character, size) > room_px:
            lines.append("")
        lines[-1] += character
    return "\n".join(lines)
