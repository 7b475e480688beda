"""The zone is the one that was named, or the system's by its IANA name; nothing is guessed."""

import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import tzlocal
from maas_usage import zone
from maas_usage.errors import UsageError

SCRIPTS = Path(zone.__file__).parents[1]


def run(program, *options, **environ):
    """What a fresh Python prints that runs a program under an environment; it must not fail or warn."""
    done = subprocess.run(
        [sys.executable, "-B", *options, "-c", program],
        env={
            **{name: value for name, value in os.environ.items() if name != "TZ"},
            **environ,
            "PYTHONPATH": str(SCRIPTS),
        },
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


# --- by name ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, summer_hours",
    [("Asia/Shanghai", 8), ("America/Chicago", -5), ("Asia/Kolkata", 5.5), ("Etc/GMT-8", 8), ("UTC", 0), ("PRC", 8)],
)
def test_an_iana_name(name, summer_hours):
    where = zone.named(name)
    assert str(where) == name
    assert datetime(2026, 7, 1, tzinfo=where).utcoffset() == timedelta(hours=summer_hours)


@pytest.mark.parametrize(
    "name",
    [
        *("CST", "cst", "CDT", "IST", "BST", "PST", "CST-8", "UTC+8", "GMT+8", "+08:00", "UTC0", "<+08>-8"),
        *(
            "",
            " ",
            ".",
            "..",
            "/",
            "\0",
            "\ud800",
            "上海",
            "x" * 5000,
            "Asia/Shanghai\0",
            "Asia/Shanghai\n",
            " Asia/Shanghai",
        ),
        *("Asia", "Asia/", "Asia/Shanghai/", "Asia//Shanghai", "./Asia/Shanghai", "asia/shanghai", "Asia\\Shanghai"),
        *("../zoneinfo/Asia/Shanghai", "/usr/share/zoneinfo/Asia/Shanghai", "/etc/localtime", "/etc/passwd"),
        *("localtime", "Factory", "posixrules", "posix/Asia/Shanghai", "right/Asia/Shanghai", "posix", "right"),
        *("Asia/Atlantis", "Mars/Olympus", "Beijing"),
    ],
)
def test_what_is_no_iana_name(name):
    with pytest.raises(UsageError, match="is not an IANA time zone name") as caught:
        zone.named(name)
    assert "--timezone Asia/Shanghai" in caught.value.hint
    assert "CST" in caught.value.hint
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("name", ["zone.tab", "zone1970.tab", "tzdata.zi", "iso3166.tab", "leapseconds", "__init__.py"])
def test_a_file_beside_the_zones_is_no_zone(name):
    # In a process of its own: reading one as a zone can take the interpreter down.
    program = "\n".join(
        [
            "from maas_usage import errors, zone",
            "try: zone.named(%r)" % name,
            "except errors.UsageError as error: print(error.code)",
        ]
    )
    assert run(program) == "usage"


@pytest.mark.parametrize(
    "name, meant",
    [
        ("asia/shanghai", "Asia/Shanghai"),
        ("Asia/Shangai", "Asia/Shanghai"),
        ("ASIA/SHANGHAI", "Asia/Shanghai"),
        ("America/Chigaco", "America/Chicago"),
        ("Europe/Berlin ", "Europe/Berlin"),
    ],
)
def test_a_near_miss_is_told(name, meant):
    with pytest.raises(UsageError, match=r" Did you mean %s\?$" % meant):
        zone.named(name)


@pytest.mark.parametrize("name", ["CST", "", "Mars/Olympus", "上海"])
def test_nothing_near_is_nothing_told(name):
    with pytest.raises(UsageError, match=r"name\.$"):
        zone.named(name)


@pytest.mark.parametrize("name", ["localtime", "Factory", "factory", "posixrules", "local/time"])
def test_nothing_is_suggested_that_would_be_refused(name):
    with pytest.raises(UsageError) as caught:
        zone.named(name)
    _, _, suggested = caught.value.message.partition("Did you mean ")
    if suggested:
        assert zone.named(suggested.rstrip("?"))


def test_a_python_without_zones_lacks_a_package():
    program = "\n".join(
        [
            "from maas_usage import zone",
            "for name in ('Asia/Shanghai', 'CST'):",
            "    try: zone.named(name)",
            "    except ImportError: print('lacking')",
        ]
    )
    # -S: no site-packages, so neither backports.zoneinfo nor tzdata.
    assert run(program, "-S", PYTHONTZPATH="").split() == ["lacking"] * 2


# --- the system's ----------------------------------------------------------------------------

OF_THIS_SYSTEM = """
from datetime import datetime
from maas_usage import errors, zone
try:
    where = zone.of_this_system()
    print(where, datetime(2026, 7, 1, tzinfo=where).utcoffset().total_seconds() / 3600)
except errors.UsageError as error:
    assert "--timezone Asia/Shanghai" in error.hint
    print(error.code)
"""

SYSTEMS = {
    "America/Chicago": "America/Chicago -5.0",
    ":America/Chicago": "America/Chicago -5.0",
    "Asia/Shanghai": "Asia/Shanghai 8.0",
    "Europe/Berlin": "Europe/Berlin 2.0",
    "UTC": "UTC 0.0",
    # The one that the zone list itself has under such a name; it is Chicago's time.
    "CST6CDT": "CST6CDT -5.0",
    # A rule or an abbreviation is no name, and is never turned into one.
    "CST": "usage",
    "CST-8": "usage",
    "CST6CDT,M3.2.0,M11.1.0": "usage",
    "<+08>-8": "usage",
    "UTC0": "usage",
    "Nowhere/Land": "usage",
    "America/Chicago ": "usage",
    "localtime": "usage",
    "/etc/passwd": "usage",
}


@pytest.fixture(scope="module")
def systems():
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(SYSTEMS, pool.map(lambda tz: run(OF_THIS_SYSTEM, TZ=tz), SYSTEMS)))


@pytest.mark.parametrize("tz", SYSTEMS)
def test_the_zone_of_this_system(systems, tz):
    assert systems[tz] == SYSTEMS[tz]


@pytest.mark.skipif(not os.path.exists("/usr/share/zoneinfo/America/Chicago"), reason="zones live elsewhere here")
def test_a_system_whose_zone_is_a_path():
    assert run(OF_THIS_SYSTEM, TZ=":/usr/share/zoneinfo/America/Chicago") == "America/Chicago -5.0"


def warns():
    warnings.warn("Timezone offset does not match system offset: -21600 != 28800.", UserWarning, stacklevel=1)
    return zone.named("Asia/Shanghai")


def fails(error):
    def fail():
        raise error

    return fail


@pytest.mark.parametrize(
    "found",
    [
        warns,
        lambda: timezone.utc,
        lambda: timezone(timedelta(hours=8), "CST"),
        lambda: zone.zoneinfo.ZoneInfo("Factory"),
        fails(LookupError("several conflicting time zone configurations")),
        fails(OSError("no /etc")),
        fails(ValueError("no such file")),
    ],
    ids=["name and clock disagree", "no name", "an abbreviation", "no place", "conflict", "no folder", "no file"],
)
def test_a_system_that_does_not_say(monkeypatch, found):
    monkeypatch.setattr(tzlocal, "get_localzone", found)
    with pytest.raises(UsageError, match="cannot be found") as caught:
        zone.of_this_system()
    assert "--timezone" in caught.value.hint
