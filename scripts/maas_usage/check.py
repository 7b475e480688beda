"""The set-up, examined: one named check after the other, each with what was seen and how to mend it."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional
from urllib.parse import urlsplit

from maas_usage import credentials, document, handover
from maas_usage.credentials import Credentials
from maas_usage.errors import (
    ClockSkew,
    CredentialsLocked,
    CredentialsRejected,
    CredentialsUnreadable,
    DeadlineOrSilence,
    NetworkFailure,
    PackagesMissing,
    Throttled,
    TlsFailure,
    UsageStatsError,
)
from maas_usage.secrecy import Redactor

if TYPE_CHECKING:  # Python and packages are examined where requests may be missing
    from maas_usage.cloud import Cloud

# In the order in which one stands on the other.
NAMES = ("python", "packages", "key_file", "keys", "network", "clock", "project", "permission")
SCHEMA = "check.schema.json"
SECONDS_WORTH_A_WORD = 60


@dataclass(frozen=True)
class Check:
    """One thing examined: its name, ok, failed or skipped, and what was seen."""

    name: str
    status: str
    message: str


class Findings:
    """What has been found out so far; the first error ends the examination."""

    def __init__(self) -> None:
        self._found: Dict[str, Check] = {}
        self.error: Optional[UsageStatsError] = None

    def ok(self, name: str, message: str) -> None:
        """Something is as it should be."""
        self._found[name] = Check(name, "ok", message)

    def skip(self, name: str, message: str) -> None:
        """Something was not looked at, or does not apply."""
        self._found[name] = Check(name, "skipped", message)

    def fail(self, name: str, error: UsageStatsError) -> None:
        """Something is not as it should be."""
        # One line a check: the hint with two command lines becomes one that can be copied.
        hint = error.hint.replace(":\n  ", ": ").replace("\n  ", " && ")
        self._found[name] = Check(name, "failed", "%s %s" % (error.message, hint))
        self.error = self.error or error

    def all(self) -> List[Check]:
        """A check for every name, in order; what was not reached is skipped."""
        skipped = "Not looked at, because an earlier check failed."
        return [self._found.get(name, Check(name, "skipped", skipped)) for name in NAMES]

    def as_document(self) -> Dict[str, Any]:
        """The JSON document of `--check`."""
        result: Dict[str, Any] = {
            "schema_version": document.SCHEMA_VERSION,
            "status": "ok" if self.error is None else "error",
            "checks": [{"name": c.name, "status": c.status, "message": c.message} for c in self.all()],
        }
        if self.error is not None:
            result["error"] = self.error.as_member()
        return result


def of_python(findings: Findings, lacking: List[str]) -> None:
    """Examines the running Python and its packages, with the standard library alone."""
    findings.ok("python", "Python %s at %s." % (platform.python_version(), sys.executable))
    if lacking:
        findings.fail("packages", PackagesMissing(handover.MESSAGE, handover.HINT))
        return
    from importlib.metadata import PackageNotFoundError, version

    seen = []
    for name in handover.NEEDED:
        try:
            seen.append("%s %s" % (name, version(name)))
        except PackageNotFoundError:  # there, but not through an installer
            seen.append(name)
    findings.ok("packages", ", ".join(seen) + ".")


def of_keys(
    findings: Findings, credentials_file: Optional[str], environ: Mapping[str, str], redactor: Redactor
) -> Optional[Credentials]:
    """Examines where the keys come from and their shape; shows at most six characters of the key id."""
    try:
        keys = credentials.find(credentials_file, environ, redactor)
    except CredentialsUnreadable as error:
        findings.fail("key_file" if error.about_file else "keys", error)
        return None
    except UsageStatsError as error:
        findings.fail("keys", error)
        return None
    findings.ok(
        "keys",
        "Access key %s from %s%s; %s."
        % (
            keys.masked_id,
            keys.source,
            ", with a security token" if keys.security_token else "",
            "its shape is right"
            if keys.usual_shape
            else "its shape is unusual (20 of A-Z 0-9 and 40 of A-Z a-z 0-9 are usual)",
        ),
    )
    if keys.file_path is None:
        findings.skip("key_file", "The keys come from no file.")
    elif not keys.readable_by_others:
        findings.ok("key_file", "Only its owner can read it.")
    else:
        findings.ok("key_file", "Other users of this machine can read the key file: chmod 600 it.")
    return keys


def of_service(findings: Findings, look_up: Callable[[], str], ask: Callable[[str], None], cloud: Cloud) -> None:
    """Examines network, clock, project and permission with at most two signed calls of `cloud`.

    The first rejection ends it, so a rejected key is never sent twice.
    """
    host = urlsplit(cloud.sites.statistics).hostname or ""
    project_id = ""
    try:
        project_id = look_up()
        ask(project_id)
    except UsageStatsError as error:
        name = _concerned(error, "permission" if project_id else "project")
        if cloud.answered and name != "network":
            _reached(findings, host)
            if name != "clock":
                _clock(findings, cloud.clock_offset_s)
        if name == "permission":
            findings.ok("project", "Project %s." % project_id)
        findings.fail(name, error)
        return
    _reached(findings, host)
    _clock(findings, cloud.clock_offset_s)
    findings.ok("project", "Project %s." % project_id)
    findings.ok("permission", "Statistics of the last minute were answered.")


def _concerned(error: UsageStatsError, stage: str) -> str:
    if isinstance(error, (CredentialsRejected, CredentialsLocked)):
        return "keys"
    if isinstance(error, ClockSkew):
        return "clock"
    if isinstance(error, (NetworkFailure, TlsFailure, DeadlineOrSilence, Throttled)):
        return "network"
    return stage


def _reached(findings: Findings, host: str) -> None:
    findings.ok("network", "%s answers%s." % (host, _by_way_of(host)))


def _by_way_of(host: str) -> str:
    import requests.utils

    if host == "127.0.0.1":
        return " (the embedded endpoint, without TLS)"
    url = "https://" + host
    address = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url)) or ""
    proxy = urlsplit(address if "//" in address else "//" + address)
    # Host and port alone: the rest of a proxy's address may be a password.
    through = " through the proxy %s:%s" % (proxy.hostname, proxy.port) if proxy.hostname else ""
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    own = " against REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE" if bundle else ""
    return "%s, its certificate verified%s" % (through, own)


def _clock(findings: Findings, offset_s: Optional[float]) -> None:
    if offset_s is None:
        findings.skip("clock", "The service did not tell its time.")
    elif abs(offset_s) < SECONDS_WORTH_A_WORD:
        findings.ok("clock", "Less than a minute from the service's.")
    else:
        findings.ok(
            "clock",
            "%d minutes %s the service's; 15 are tolerated, so set it."
            % (round(abs(offset_s) / 60), "behind" if offset_s > 0 else "ahead of"),
        )
