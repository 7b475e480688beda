"""An argument parser that never prints by itself, nor repeats what may be a secret."""

from __future__ import annotations

import argparse
import re
import sys
from typing import Any, NoReturn, Optional

from maas_usage.console import write
from maas_usage.errors import UsageError


class Parser(argparse.ArgumentParser):
    """Raises UsageError instead of exiting; no option may be shortened."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            allow_abbrev=False,
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=26, width=80),
            **settings,
        )

    def error(self, message: str) -> NoReturn:
        """Raises the complaint as UsageError."""
        raise UsageError(_without_values(message), "See --help.")

    def _print_message(self, message: str, file: Optional[Any] = None) -> None:
        if message:
            write(sys.stdout if file is None else file, message)


def _without_values(message: str) -> str:
    """argparse's complaint without the words that it does not know: one of them may be a secret."""
    match = re.match(r"unrecognized arguments: (.*)", message, re.DOTALL)
    if match is None:
        shortened = re.sub(r"'([^']{40})[^']*'", r"'\1…'", message)
        return shortened[:1].upper() + shortened[1:] + "."
    options = [w.split("=")[0] for w in match.group(1).split() if re.match(r"--[a-z-]{1,30}(=|$)", w)]
    if options:
        return "There is no option %s." % " or ".join(options)
    return "There is a word on the command line that belongs to no option."
