"""Which account, region and project a command line means, with what the environment adds to it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Mapping, Optional

from maas_usage.errors import UsageError, quoted
from maas_usage.parser import Parser
from maas_usage.statistics import checked_project_id

DEFAULT_REGION = "cn-southwest-2"

_REGION = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_ENDPOINT = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+myhuaweicloud\.(com|cn)")


@dataclass(frozen=True)
class Account:
    """Where the calls go and whose keys they bear; None: to be found out."""

    region: str
    project_id: Optional[str]
    endpoint: Optional[str]
    credentials_file: Optional[str]
    no_cache: bool
    demo: bool


def add_options(parser: Parser) -> None:
    """The options of an account, as a group of the help."""
    group = parser.add_argument_group("where and with which keys")
    group.add_argument("--region", metavar="R", help="default: HW_REGION_NAME, else %s" % DEFAULT_REGION)
    group.add_argument("--project-id", metavar="ID", help="default: HW_PROJECT_ID, else looked up")
    group.add_argument("--endpoint", metavar="HOST", help="another statistics host of myhuaweicloud.com|cn")
    group.add_argument("--credentials-file", metavar="FILE", help="two lines (AK, SK), AK,SK or KEY=VALUE lines")
    group.add_argument("--no-cache", action="store_true", help="do not remember the project looked up")
    group.add_argument("--demo", action="store_true", help="invented data, needs no account and no key")


def of(given: Any, environ: Mapping[str, str]) -> Account:
    """The account that parsed options mean; UsageError for what cannot be part of a host or a path."""
    # The demo is the same whatever account the environment is set up for.
    surroundings = {} if given.demo else environ
    return Account(
        region=_region(given.region, surroundings),
        project_id=_project_id(given.project_id, surroundings),
        endpoint=_endpoint(given.endpoint),
        credentials_file=given.credentials_file,
        no_cache=given.no_cache,
        demo=given.demo,
    )


def _region(given: Optional[str], environ: Mapping[str, str]) -> str:
    region = given if given is not None else environ.get("HW_REGION_NAME", "").strip() or DEFAULT_REGION
    if not _REGION.fullmatch(region):
        raise UsageError(
            "%s is not a region: %s." % ("HW_REGION_NAME" if given is None else "--region", quoted(region)),
            "A region is of a-z, 0-9 and -, for example %s." % DEFAULT_REGION,
        )
    return region


def _project_id(given: Optional[str], environ: Mapping[str, str]) -> Optional[str]:
    if given is not None:
        return checked_project_id(given, "--project-id")
    from_environment = environ.get("HW_PROJECT_ID", "").strip()
    return checked_project_id(from_environment, "HW_PROJECT_ID") if from_environment else None


def _endpoint(given: Optional[str]) -> Optional[str]:
    if given is not None and not (len(given) < 254 and _ENDPOINT.fullmatch(given)):
        raise UsageError(
            "--endpoint takes a host under myhuaweicloud.com or myhuaweicloud.cn, not %s." % quoted(given),
            "For example: --endpoint modelarts.ap-southeast-1.myhuaweicloud.com (no https://, no path).",
        )
    return given
