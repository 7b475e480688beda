"""Where keys come from: the first source that has any part of a pair is the source, for good or ill.

An incomplete or rejected pair is never replaced by another source's: that would answer for another
account without a word.
"""

from __future__ import annotations

import configparser
import os
import re
import stat
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Tuple

from maas_usage.errors import (
    CredentialsIncomplete,
    CredentialsMissing,
    CredentialsUnreadable,
    quoted,
)
from maas_usage.secrecy import SHORTEST_SECRET, Redactor, Secret, mask

LARGEST_FILE = 64 * 1024
VALID_FILE = (
    "The file holds two lines (access key id, secret access key), or one line AK,SK, or lines such"
    " as HW_ACCESS_KEY=... and HW_SECRET_KEY=..."
)

_PROFILE_FILE = "HUAWEICLOUD_SDK_CREDENTIALS_FILE"
# The members of a source, by the names it gives them; `where` is what messages call it.
_HW_NAMES = {
    "ak": "HW_ACCESS_KEY",
    "sk": "HW_SECRET_KEY",
    "token": "HW_SECURITY_TOKEN",
}
_SDK_NAMES = {
    "ak": "HUAWEICLOUD_SDK_AK",
    "sk": "HUAWEICLOUD_SDK_SK",
    "token": "HUAWEICLOUD_SDK_SECURITY_TOKEN",
    "project_id": "HUAWEICLOUD_SDK_PROJECT_ID",
}
_PROFILE_NAMES = {
    "ak": "ak",
    "sk": "sk",
    "token": "security_token",
    "project_id": "project_id",
}
# Tolerant of lengths, since only the service knows; strict about what breaks a header or a signature.
# NAME=value is an assignment that went wrong, not a key.
_KEY_SHAPE = re.compile(r"(?![A-Za-z][A-Za-z_]*=.)[A-Za-z0-9_.~+/=-]{%d,16384}" % SHORTEST_SECRET)
_PLACEHOLDER = re.compile(r"^your[-_]|^[xX*.]+$", re.IGNORECASE)


@dataclass(frozen=True)
class Credentials:
    """A pair of keys, who gave it, and what came with it."""

    access_key_id: Secret
    secret_access_key: Secret
    security_token: Optional[Secret]
    project_id: Optional[str]
    source: str
    file_path: Optional[str] = None

    @property
    def masked_id(self) -> str:
        """The access key id as far as it may be shown."""
        return mask(self.access_key_id.reveal())

    @property
    def usual_shape(self) -> bool:
        """Whether both parts are of the lengths and characters that keys usually have."""
        usual_id = re.fullmatch(r"[A-Z0-9]{20}", self.access_key_id.reveal())
        return bool(usual_id and re.fullmatch(r"[A-Za-z0-9]{40}", self.secret_access_key.reveal()))

    @property
    def readable_by_others(self) -> bool:
        """Whether the keys come from a file that other users of this machine can read."""
        if self.file_path is None or os.name != "posix":
            return False
        try:
            return bool(os.stat(self.file_path).st_mode & (stat.S_IRGRP | stat.S_IROTH))
        except OSError:  # gone since it was read
            return False


def learn_environment(environ: Mapping[str, str], redactor: Redactor) -> None:
    """Makes the redactor know every key in the environment, whichever source wins."""
    for names in (_HW_NAMES, _SDK_NAMES):
        redactor.learn(environ.get(names["sk"], "").strip())
        redactor.learn(environ.get(names["token"], "").strip())
        access_key_id = environ.get(names["ak"], "").strip()
        redactor.learn(access_key_id, mask(access_key_id))


def find(credentials_file: Optional[str], environ: Mapping[str, str], redactor: Redactor) -> Credentials:
    """The pair of the first source that has any part of one.

    Raises CredentialsMissing, CredentialsIncomplete or CredentialsUnreadable. The redactor learns
    every value before anything else can happen to it.
    """
    if credentials_file is not None:
        where = "the file given with --credentials-file"
        file_path = os.path.expanduser(credentials_file)
        values, names = _from_file(_read(file_path, where), where)
        return _pair(values, names, where, redactor, file_path)
    for where, names in (
        ("the environment (HW_*)", _HW_NAMES),
        ("the environment (HUAWEICLOUD_SDK_*)", _SDK_NAMES),
    ):
        values = _named_values(environ, names)
        if values.get("ak") or values.get("sk"):
            return _pair(values, names, where, redactor)
    return _from_profile(environ, redactor)


def _named_values(source: Mapping[str, str], names: Mapping[str, str]) -> Dict[str, str]:
    return {member: source.get(name, "").strip() for member, name in names.items()}


def _from_profile(environ: Mapping[str, str], redactor: Redactor) -> Credentials:
    named = environ.get(_PROFILE_FILE, "").strip()
    profile = os.path.expanduser(named or os.path.join("~", ".huaweicloud", "credentials"))
    where = "the SDK's profile file"
    if not named and not os.path.lexists(profile):
        raise _missing()
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(_read(profile, where))
    except configparser.Error:
        # Its message would repeat the line, which may be a key.
        raise CredentialsUnreadable(
            "%s is not an INI file." % _sentence(where),
            "It needs a line [basic] and below it ak = ... and sk = ...",
        ) from None
    section = parser["basic"] if parser.has_section("basic") else {}
    values = _named_values(section, _PROFILE_NAMES)
    if not (values["ak"] or values["sk"]):
        raise _missing()
    return _pair(values, _PROFILE_NAMES, where, redactor, profile)


def _missing() -> CredentialsMissing:
    return CredentialsMissing(
        "No Huawei Cloud keys found.",
        "Set HW_ACCESS_KEY and HW_SECRET_KEY in the environment, or put the two on two lines of a"
        " file and name it with --credentials-file; --demo needs none.",
    )


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:]


# --- files -----------------------------------------------------------------------------------


def _read(file_path: str, where: str) -> str:
    """The text of a small regular file; never waits on a pipe, never shows what it read."""

    def unreadable(reason: str) -> CredentialsUnreadable:
        error = CredentialsUnreadable("%s %s." % (_sentence(where), reason), VALID_FILE)
        error.about_file = True
        return error

    try:
        # O_NONBLOCK: opening a named pipe would wait for a writer.
        descriptor = os.open(file_path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        raise unreadable("does not exist: %s" % quoted(file_path, longest=300)) from None
    except (OSError, ValueError) as error:
        folder = isinstance(error, PermissionError) and os.path.isdir(file_path)
        raise unreadable("is a folder" if folder else "cannot be opened") from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise unreadable("is a folder" if stat.S_ISDIR(mode) else "is not a regular file")
    try:
        with os.fdopen(descriptor, "rb") as opened:
            content = opened.read(LARGEST_FILE + 1)
    except OSError:
        raise unreadable("cannot be read") from None
    if len(content) > LARGEST_FILE:
        raise unreadable("is far too large for a key file")
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        raise unreadable("is not a text file") from None
    if "\x00" in text:
        raise unreadable("is not a text file")
    return text


def _from_file(text: str, where: str) -> Tuple[Dict[str, str], Mapping[str, str]]:
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    assigned = _assignments(lines)
    if assigned is not None:
        for names in (_HW_NAMES, _SDK_NAMES, _PROFILE_NAMES):
            values = _named_values(assigned, names)
            if values["ak"] or values["sk"]:
                if names is _HW_NAMES:
                    values["project_id"] = assigned.get("HW_PROJECT_ID", "")
                return values, names
        raise CredentialsIncomplete("%s names no keys." % _sentence(where), VALID_FILE)
    if len(lines) == 1:
        lines = [part.strip() for part in lines[0].split(",")]
    if len(lines) > 2:
        raise CredentialsUnreadable("%s has no form that is known." % _sentence(where), VALID_FILE)
    values = dict(zip(("ak", "sk"), lines))
    return values, {"ak": "its access key id", "sk": "its secret access key"}


def _assignments(lines: List[str]) -> Optional[Dict[str, str]]:
    """`KEY=VALUE` lines as a mapping, quotes and a leading `export` taken off; None for other forms."""
    pairs = {}
    for line in lines:
        match = re.fullmatch(r"(?:export\s+)?([A-Za-z][A-Za-z_]*)\s*=\s*(.*)", line)
        if match is None:
            return None
        value = match.group(2).strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        pairs[match.group(1)] = value
    return pairs or None


# --- values -> Credentials -------------------------------------------------------------------


def _pair(
    values: Mapping[str, str],
    names: Mapping[str, str],
    where: str,
    redactor: Redactor,
    file_path: Optional[str] = None,
) -> Credentials:
    access_key_id, secret = values.get("ak", ""), values.get("sk", "")
    token = values.get("token") or None
    redactor.learn(secret)
    redactor.learn(token)
    redactor.learn(access_key_id, mask(access_key_id))
    for member, value in (("ak", access_key_id), ("sk", secret)):
        if not value:
            raise CredentialsIncomplete(
                "Only half a pair of keys: in %s, %s is missing." % (where, names[member]),
                "Set both parts there; other sources are not looked at, since they may belong to another account.",
            )
    for member, value in (("ak", access_key_id), ("sk", secret), ("token", token or secret)):
        if not _KEY_SHAPE.fullmatch(value) or _PLACEHOLDER.search(value):
            raise CredentialsUnreadable(
                "In %s, %s does not look like a key." % (where, names[member]),
                "An access key id is 20 of A-Z and 0-9, a secret access key 40 of A-Z, a-z and 0-9,"
                " without blanks, quotes or angle brackets. Nothing was sent.",
            )
    return Credentials(
        access_key_id=Secret(access_key_id),
        secret_access_key=Secret(secret),
        security_token=Secret(token) if token else None,
        project_id=values.get("project_id") or None,
        source=where,
        file_path=file_path,
    )
