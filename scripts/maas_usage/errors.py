"""Every way in which a run can end badly.

UsageStatsError                      code                    exit status
├── InternalError                    internal                1
├── UsageError                       usage                   2
├── PackagesMissing                  packages_missing        2
├── CredentialsMissing               credentials_missing     3
├── CredentialsIncomplete            credentials_incomplete  3
├── CredentialsUnreadable            credentials_unreadable  3
├── CredentialsInArgument            credentials_in_argument 3
├── CredentialsRejected              credentials_rejected    3
├── CredentialsLocked                credentials_locked      3
├── ClockSkew                        clock_skew              3
├── PermissionDenied                 permission_denied       4
├── ProjectNotFound                  project_not_found       4
├── ProjectAmbiguous                 project_ambiguous       4
├── RegionUnsupported                region_unsupported      4
├── Throttled                        throttled               5
├── NetworkFailure                   network                 6
├── TlsFailure                       tls                     6
├── DeadlineOrSilence                timeout                 6
├── ServiceFailure                   service_error           7
├── BadRequest                       bad_request             7
├── UnexpectedAnswer                 unexpected_answer       7
└── Interrupted                      interrupted             130 or 143
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, ClassVar, Dict, Optional


def quoted(words: str, longest: int = 60) -> str:
    """The user's own words as an error message may repeat them: quoted, escaped, and not too many."""
    return repr(words if len(words) <= longest else words[: longest - 1] + "…")


class ExitStatus(IntEnum):
    """The exit statuses of every script in the bundle."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    CREDENTIALS = 3
    ACCESS = 4
    THROTTLED = 5
    NETWORK = 6
    SERVICE = 7
    GUARD_CROSSED = 10
    INTERRUPTED = 130
    TERMINATED = 143


class UsageStatsError(Exception):
    """A run that ends without an answer: what went wrong, and what to do next.

    `http_status`, `api_code` and `request_id` are the service's, where it answered;
    `retry_after_s` is in seconds.
    """

    code: ClassVar[str]
    exit_status: ExitStatus
    retryable: bool = False

    def __init__(
        self,
        message: str,
        hint: str,
        *,
        http_status: Optional[int] = None,
        api_code: Optional[str] = None,
        request_id: Optional[str] = None,
        retry_after_s: Optional[int] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.http_status = http_status
        self.api_code = api_code
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.answer: Any = None  # what the service sent, where it answered with JSON

    def as_member(self) -> Dict[str, Any]:
        """The `error` member of a JSON document."""
        return {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "http_status": self.http_status,
            "api_code": self.api_code,
            "request_id": self.request_id,
            "retryable": self.retryable,
            "retry_after_s": self.retry_after_s,
        }


class InternalError(UsageStatsError):
    """A defect of this program."""

    code = "internal"
    exit_status = ExitStatus.INTERNAL


class UsageError(UsageStatsError):
    """A command line that cannot be carried out as it stands."""

    code = "usage"
    exit_status = ExitStatus.USAGE


class PackagesMissing(UsageStatsError):
    """A Python that lacks the packages, and nothing to hand over to."""

    code = "packages_missing"
    exit_status = ExitStatus.USAGE


class CredentialsMissing(UsageStatsError):
    """No source holds any part of a pair of keys."""

    code = "credentials_missing"
    exit_status = ExitStatus.CREDENTIALS


class CredentialsIncomplete(UsageStatsError):
    """The first source with a part of a pair lacks the other part."""

    code = "credentials_incomplete"
    exit_status = ExitStatus.CREDENTIALS


class CredentialsUnreadable(UsageStatsError):
    """A source of keys that cannot be read, or holds something that no key looks like."""

    code = "credentials_unreadable"
    exit_status = ExitStatus.CREDENTIALS
    about_file = False  # rather than about what stands in it


class CredentialsInArgument(UsageStatsError):
    """Something that looks like a key stands on the command line."""

    code = "credentials_in_argument"
    exit_status = ExitStatus.CREDENTIALS


class CredentialsRejected(UsageStatsError):
    """The service does not accept the signature, the key or the token; never sent again."""

    code = "credentials_rejected"
    exit_status = ExitStatus.CREDENTIALS


class CredentialsLocked(UsageStatsError):
    """The service locked the key after too many rejected signatures."""

    code = "credentials_locked"
    exit_status = ExitStatus.CREDENTIALS
    retryable = True


class ClockSkew(UsageStatsError):
    """This machine's clock is too far from the service's for a signature to hold."""

    code = "clock_skew"
    exit_status = ExitStatus.CREDENTIALS


class PermissionDenied(UsageStatsError):
    """The keys are right but may not do this, here or in this project."""

    code = "permission_denied"
    exit_status = ExitStatus.ACCESS


class ProjectNotFound(UsageStatsError):
    """The account has no project in the region."""

    code = "project_not_found"
    exit_status = ExitStatus.ACCESS


class ProjectAmbiguous(UsageStatsError):
    """Several projects in the region, and none of them is the default one."""

    code = "project_ambiguous"
    exit_status = ExitStatus.ACCESS


class RegionUnsupported(UsageStatsError):
    """The region does not offer MaaS statistics."""

    code = "region_unsupported"
    exit_status = ExitStatus.ACCESS


class Throttled(UsageStatsError):
    """The service asks to slow down, still after the retries or the deadline."""

    code = "throttled"
    exit_status = ExitStatus.THROTTLED
    retryable = True


class NetworkFailure(UsageStatsError):
    """No connection: refused, reset, cut, unresolvable, or refused by the proxy."""

    code = "network"
    exit_status = ExitStatus.NETWORK
    retryable = True


class TlsFailure(UsageStatsError):
    """No certificate that could be verified."""

    code = "tls"
    exit_status = ExitStatus.NETWORK


class DeadlineOrSilence(UsageStatsError):
    """No complete answer in time."""

    code = "timeout"
    exit_status = ExitStatus.NETWORK
    retryable = True


class ServiceFailure(UsageStatsError):
    """A 5xx that is still there after the retries."""

    code = "service_error"
    exit_status = ExitStatus.SERVICE
    retryable = True


class BadRequest(UsageStatsError):
    """The service does not accept the request."""

    code = "bad_request"
    exit_status = ExitStatus.SERVICE


class UnexpectedAnswer(UsageStatsError):
    """An answer that is not what the service documents, so no figure can be taken from it."""

    code = "unexpected_answer"
    exit_status = ExitStatus.SERVICE


class Interrupted(UsageStatsError):
    """Ctrl-C (130) or SIGTERM (143)."""

    code = "interrupted"
    exit_status = ExitStatus.INTERRUPTED
    retryable = True
