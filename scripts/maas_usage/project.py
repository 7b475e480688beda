"""Which project is asked about: given, or looked up at IAM; never the first of several."""

from __future__ import annotations

from typing import Any, List, NamedTuple, Optional, Tuple

from maas_usage.cloud import Cloud
from maas_usage.errors import (
    PermissionDenied,
    ProjectAmbiguous,
    ProjectNotFound,
    UnexpectedAnswer,
)
from maas_usage.secrecy import Redactor
from maas_usage.statistics import PROJECT_ID
from maas_usage.transport import Request

LOOK_UP = "KeystoneListProjects"
_MOST_CHOICES = 8


class Project(NamedTuple):
    """A project of the account, as IAM lists it."""

    id: str
    name: str


def look_up(cloud: Cloud, region: str, redactor: Redactor) -> str:
    """The id of the region's default project, or of the only one there.

    Raises ProjectNotFound, ProjectAmbiguous, PermissionDenied, or what the call raises.
    """
    try:
        listed = _list(cloud, "/v3/projects", (("name", region),), redactor)
    except PermissionDenied:
        # This list needs no permission of its own, but covers all regions.
        listed = [
            project
            for project in _list(cloud, "/v3/auth/projects", (), redactor)
            if project.name == region or project.name.startswith(region + "_")
        ]
    default = [project for project in listed if project.name == region]
    candidates = default or listed
    if len(candidates) == 1:
        return candidates[0].id
    if not candidates:
        raise ProjectNotFound(
            "The account of these keys has no project in %s." % region,
            "Check --region, open the region once on the console, or check that the keys belong to the right account.",
        )
    choices = ", ".join("%s (%s)" % (p.name, p.id) for p in candidates[:_MOST_CHOICES])
    more = "" if len(candidates) <= _MOST_CHOICES else " and %d more" % (len(candidates) - _MOST_CHOICES)
    raise ProjectAmbiguous(
        "The account has %d projects in %s: %s%s." % (len(candidates), region, choices, more),
        "Ask the user which one, then give its id with --project-id or HW_PROJECT_ID.",
    )


def _list(cloud: Cloud, path: str, query: Tuple[Tuple[str, str], ...], redactor: Redactor) -> List[Project]:
    request = Request(LOOK_UP, cloud.sites.iam, path, query=query)
    return cloud.call(request, lambda answer: _projects(answer, redactor))


def _projects(answer: Any, redactor: Redactor) -> List[Project]:
    listed = answer.get("projects") if isinstance(answer, dict) else None
    found = [_project(item, redactor) for item in listed] if isinstance(listed, list) else [None]
    projects = [project for project in found if project is not None]
    if len(projects) != len(found):
        raise UnexpectedAnswer(
            "IAM's list of projects is not what it should be.",
            "Give the project id with --project-id or HW_PROJECT_ID; then no look-up is needed.",
        )
    return projects


def _project(item: Any, redactor: Redactor) -> Optional[Project]:
    if not isinstance(item, dict):
        return None
    project_id, name = item.get("id"), item.get("name")
    if not isinstance(project_id, str) or not isinstance(name, str):
        return None
    if not PROJECT_ID.fullmatch(project_id):
        return None
    return Project(project_id, redactor.clean_foreign(name, longest=80))
