"""Which time zone: the one named, or the operating system's; never guessed."""

from __future__ import annotations

import difflib
import sys
import warnings
from datetime import tzinfo
from typing import TYPE_CHECKING, Optional, Set

from maas_usage.errors import UsageError, quoted

if TYPE_CHECKING or sys.version_info >= (3, 9):
    import zoneinfo
else:
    try:
        from backports import zoneinfo
    except ImportError:  # usage errors need the standard library alone
        zoneinfo = None

EXAMPLE = "--timezone Asia/Shanghai"
# In the zone folder of many systems, but no place's time.
_NOT_A_PLACE = ("localtime", "Factory", "posixrules")


def named(name: str) -> tzinfo:
    """The zone with an IANA name.

    Raises UsageError for any other name, abbreviations included; ImportError where this Python
    has no zone data at all.
    """
    if zoneinfo is None:
        raise ImportError("no zoneinfo")
    # Looked up first: backports.zoneinfo crashes on other files that lie beside the zones.
    known = zoneinfo.available_timezones().difference(_NOT_A_PLACE)
    if not known:
        raise ImportError("no zone data")
    if name not in known:
        raise UsageError(
            "%s is not an IANA time zone name.%s" % (quoted(name), _suggestion(name, known)),
            "Give a name such as %s or --timezone America/Chicago; an abbreviation such as CST"
            " means several zones." % EXAMPLE,
        )
    return zoneinfo.ZoneInfo(name)


def _suggestion(name: str, known: Set[str]) -> str:
    by_lower = {zone.lower(): zone for zone in sorted(known)}
    close = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.75)
    return " Did you mean %s?" % by_lower[close[0]] if close else ""


def of_this_system() -> tzinfo:
    """The operating system's zone, by its IANA name.

    Raises UsageError where no name can be found or where it disagrees with the system's clock.
    """
    import tzlocal

    try:
        with warnings.catch_warnings():
            # tzlocal only warns where it falls back to UTC or where name and clock disagree.
            warnings.simplefilter("error", UserWarning)
            # Not get_localzone_name(): under TZ=CST6CDT it answers Etc/UTC.
            name: Optional[str] = getattr(tzlocal.get_localzone(), "key", None)
        if name is not None:
            return named(name)
    except (UsageError, UserWarning, LookupError, ValueError, OSError):
        pass
    raise UsageError(
        "The name of this machine's time zone cannot be found.",
        "Say which zone days and times are meant in, for example %s." % EXAMPLE,
    )
