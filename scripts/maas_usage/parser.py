"""An argument parser that never prints by itself, nor repeats what may be a secret."""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
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

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """The options; raises UsageError for one with a value that is given twice, since one would be lost."""
        given = Counter(word.partition("=")[0] for word in args or ())
        for name, count in given.items():
            action = self._option_string_actions.get(name)
            if count > 1 and action is not None and action.nargs != 0 and not isinstance(action.default, list):
                raise UsageError("%s is given twice." % name, "Give it once; --help says what it takes.")
        return super().parse_args(args, namespace)

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
