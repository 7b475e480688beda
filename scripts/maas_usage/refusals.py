"""What an answer other than 200 means: status, code and text -> error.

Pure. Gateway codes come as APIGW., APIG. or APIC.; the number after them tells the kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Mapping, Optional

from maas_usage.errors import (
    BadRequest,
    ClockSkew,
    CredentialsLocked,
    CredentialsRejected,
    PermissionDenied,
    RegionUnsupported,
    ServiceFailure,
    Throttled,
    UnexpectedAnswer,
    UsageStatsError,
)
from maas_usage.secrecy import Redactor

LONGEST_READ = 100_000  # of a message, before it is cleaned and cut
LOCK_S = 300
LARGEST_SKEW_S = 15 * 60
SUPPORTED_REGIONS = ("cn-southwest-2", "ap-southeast-1")

_GATEWAY_CODE = re.compile(r"API(?:GW|G|C)\.([0-9]{4})")


@dataclass(frozen=True)
class Refusal:
    """What an error answer says of itself, fit to print."""

    http_status: int
    api_code: Optional[str]
    text: str
    request_id: Optional[str]
    server_time: Optional[datetime]

    @property
    def gateway_number(self) -> Optional[str]:
        """The four digits of a gateway code, else None."""
        match = _GATEWAY_CODE.fullmatch(self.api_code or "")
        return match.group(1) if match else None


def read(status: int, headers: Mapping[str, str], body: Any, redactor: Redactor) -> Refusal:
    """The refusal in an answer whose body is JSON, or None where it is anything else."""
    members = body if isinstance(body, dict) else {}
    nested = members.get("error")
    if isinstance(nested, dict):
        members = {**nested, **{k: v for k, v in members.items() if k != "error"}}
    elif isinstance(nested, str):
        members = {"message": nested, **members}

    def first(*names: str) -> Optional[str]:
        for name in names:
            value = members.get(name)
            if value is not None and not isinstance(value, (dict, list, bool)):
                return redactor.clean_foreign(str(value)[:LONGEST_READ], longest=200)
        return None

    header_id = headers.get("X-Request-Id")
    return Refusal(
        http_status=status,
        api_code=first("error_code", "errorCode", "code"),
        text=first("error_msg", "errorMsg", "message", "msg") or "",
        request_id=first("request_id", "requestId")
        or (redactor.clean_foreign(header_id, longest=200) if header_id else None),
        server_time=http_date(headers.get("Date")),
    )


def http_date(value: Optional[str]) -> Optional[datetime]:
    """The instant that an HTTP date states, or None."""
    try:
        stated = parsedate_to_datetime(value or "")
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return stated.replace(tzinfo=timezone.utc) if stated.tzinfo is None else stated


def error_of(
    refusal: Refusal, now: float, masked_key: str, key_source: str, retry_after_s: Optional[int]
) -> UsageStatsError:
    """The error that a refusal is; `now` in Unix seconds, the key as far as it may be shown."""
    status, number = refusal.http_status, refusal.gateway_number
    key = "access key %s from %s" % (masked_key, key_source)
    if status == 401:
        return _unauthorized(refusal, now, key)
    if status == 403:
        return _make(
            PermissionDenied,
            refusal,
            "The keys are accepted, but they may not do this",
            "This IAM user may not use the region: ask the account's administrator."
            if number == "0802"
            else "Grant modelarts:monitoring:get and modelarts:service:get in this project, wait 15-30"
            " minutes, and check that the project id belongs to these keys. If it is the look-up of the"
            " project that is refused, grant iam:projects:listProjects or give --project-id.",
        )
    if status == 404 and number == "0101":
        return region_unsupported(refusal)
    if status == 429:
        return _make(
            Throttled,
            refusal,
            "The service asks to slow down",
            "Wait %d s, then run the same command again. Other tools of the same user count too."
            % (retry_after_s or 60),
            retry_after_s=retry_after_s or 60,
        )
    if status >= 500:
        return _make(
            ServiceFailure,
            refusal,
            "The service failed",
            "Run the same command again in a few minutes.",
        )
    if status >= 400:
        return _make(
            BadRequest,
            refusal,
            "The service does not accept the request",
            "See what it names, and compare with --help. In ap-southeast-1 the documentation lists"
            " no custom endpoints: leave service type 4 out there.",
        )
    return _make(
        UnexpectedAnswer,
        refusal,
        "Redirects are refused" if status >= 300 else "That is no answer to this question",
        "Check --endpoint and any proxy in between: the service itself answers with 200.",
    )


def region_unsupported(refusal: Optional[Refusal], host: str = "") -> RegionUnsupported:
    """The error of a region, or a host, without MaaS statistics."""
    what = "The host %s does not exist" % host if host else "This host has no MaaS statistics"
    hint = "MaaS statistics are known in %s (the default) and %s: check --region%s." % (
        SUPPORTED_REGIONS[0],
        SUPPORTED_REGIONS[1],
        ", HW_REGION_NAME and --endpoint",
    )
    if refusal is None:
        return RegionUnsupported(what + ".", hint)
    return _make(RegionUnsupported, refusal, what, hint)  # type: ignore[return-value]


def _unauthorized(refusal: Refusal, now: float, key: str) -> UsageStatsError:
    text, number = refusal.text.lower(), refusal.gateway_number
    skew_s = (refusal.server_time.timestamp() - now) if refusal.server_time else 0.0
    if "signature expired" in text or (number == "0303" and "signature time" in text) or abs(skew_s) > LARGEST_SKEW_S:
        by = "is too far from the service's"
        if abs(skew_s) >= 60:
            by = "is %d minutes %s the service's" % (
                round(abs(skew_s) / 60),
                "behind" if skew_s > 0 else "ahead of",
            )
        return _make(
            ClockSkew,
            refusal,
            "This machine's clock %s, so the signature does not hold" % by,
            "Set the clock (for example: timedatectl set-ntp true), then run it again.",
            quote=False,
        )
    if "failed to reach the limit" in text:
        return _make(
            CredentialsLocked,
            refusal,
            "The %s is locked after too many rejected signatures" % key,
            "Check the secret access key first, wait 5 minutes, then run it once.",
            retry_after_s=LOCK_S,
            quote=False,
        )
    cause, hint = next(
        ((cause, hint) for words, cause, hint in _REJECTIONS if words in text or words == number),
        ("was not accepted", "Check both parts of the pair on My Credentials."),
    )
    return _make(
        CredentialsRejected,
        refusal,
        "The %s %s" % (key, cause),
        hint + " Do not run it again before that: five rejected signatures in a row lock the key.",
        quote=False,
    )


_REJECTIONS = (
    (
        "verify aksk signature fail",
        "was rejected: the secret access key does not belong to it, or a blank crept in",
        "Set both parts anew from the file that My Credentials gave.",
    ),
    (
        "ak not exist",
        "is unknown to the service",
        "It may be deleted or mistyped, or temporary and without its security token: check My Credentials.",
    ),
    (
        "get secretkey failed",
        "is not usable",
        "It may be deleted or disabled, or temporary and without its security token: check My Credentials.",
    ),
    (
        "decrypt token fail",
        "came with a security token that has expired or is damaged",
        "Get new temporary keys, all three parts.",
    ),
    (
        "0307",
        "was refused: its token has expired or the account is in arrears",
        "Get new temporary keys, or look at the account's balance.",
    ),
)


def _make(
    kind: type,
    refusal: Refusal,
    message: str,
    hint: str,
    retry_after_s: Optional[int] = None,
    quote: bool = True,
) -> UsageStatsError:
    told = ": %s" % refusal.text if quote and refusal.text else ""
    code = ", %s" % refusal.api_code if refusal.api_code else ""
    error: UsageStatsError = kind(
        "%s (HTTP %d%s)%s." % (message, refusal.http_status, code, told.rstrip(".")),
        hint,
        http_status=refusal.http_status,
        api_code=refusal.api_code,
        request_id=refusal.request_id,
        retry_after_s=retry_after_s,
    )
    return error
