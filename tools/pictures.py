"""The pictures of the README, from the demo at a fixed moment: `make pictures`."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path

from maas_usage import chart, cli, render
from maas_usage.pace import Timing
from rich.console import Console
from rich.text import Text

FOLDER = Path(__file__).resolve().parents[1] / "assets" / "pictures"
NOW_S = 1_795_469_530  # 2026-11-24T05:32:10+08:00
# Without the web fonts of rich's own: a picture in a README loads nothing.
SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: {char_height}px;
  line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: arial; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g></g>
</svg>
"""


def asked(*words: str) -> str:
    """What the query prints at the fixed moment."""
    timing = Timing(now=lambda: NOW_S)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = cli.main(["--demo", "--timezone", "Asia/Shanghai", *words], timing=timing)
    assert status == 0, status
    return out.getvalue()


def terminal(words: str, target: Path) -> None:
    """A screen with a command and its answer in colour."""
    answer = render.table(json.loads(asked("--format", "json", *words.split())), "en", colour=True)
    console = Console(record=True, width=86, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(Text("$ python3 scripts/maas_rest_usage_stats.py --demo %s" % words, style="bold"), soft_wrap=True)
    console.print(Text.from_ansi(answer))
    target.write_text(console.export_svg(title="MaaS tokens", code_format=SVG, unique_id="maas"), encoding="utf-8")


def main() -> None:
    """Writes all pictures anew."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    terminal("--last 10d --by day --compare", FOLDER / "terminal.svg")
    with tempfile.TemporaryDirectory() as folder:
        kept = os.path.join(folder, "usage.json")
        Path(kept).write_text(asked("--format", "json", "--by", "day", "--last", "30d"), encoding="utf-8")
        for name, more in (("chart.png", []), ("chart-dark.png", ["--dark"])):
            assert chart.main([kept, "-o", str(FOLDER / name), *more]) == 0
    sys.stdout.write("".join("%s\n" % path for path in sorted(FOLDER.iterdir())))


if __name__ == "__main__":
    main()
