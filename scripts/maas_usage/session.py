"""Options -> keys, hosts and project -> an answer, or an examination of the set-up."""

from __future__ import annotations

import os
import secrets
import string
from contextlib import ExitStack, closing, contextmanager
from typing import Any, Callable, ContextManager, Dict, Iterator, List, Optional, Protocol, Tuple

from maas_usage import check, credentials, demo, document, project, remembered, statistics, usage, window
from maas_usage.account import Account
from maas_usage.arguments import Options
from maas_usage.cloud import Cloud
from maas_usage.credentials import Credentials
from maas_usage.errors import UsageError, UsageStatsError, quoted
from maas_usage.pace import Pace, Timing
from maas_usage.secrecy import Redactor, Secret, refuse_known_secrets
from maas_usage.transport import Sites
from maas_usage.usage import Query
from maas_usage.window import Window

# Names a trouble that the embedded endpoint plays, for trying out what an error looks like.
TROUBLE = "MAAS_USAGE_DEMO_TROUBLE"


class Watcher(Protocol):
    """Who is told how a run goes."""

    def tell(self, line: str) -> None:
        """A line for a person."""

    def progress(self, calls: int) -> ContextManager[Any]:
        """Yields what to call after each of so many calls."""


def answer(
    options: Options, asked: Window, pace: Pace, timing: Timing, redactor: Redactor, watcher: Watcher
) -> Dict[str, Any]:
    """The document that answers a query."""
    query = Query(
        region=options.account.region,
        service_types=options.service_types,
        infer_type=options.infer_type,
        api_keys=options.api_keys,
        timezone=str(asked.zone),
        group_by=options.group_by,
        compare=options.compare,
    )
    rows = usage.groups(query, asked)
    before, rows_before = _to_compare_with(options, query, asked)
    calls = usage.plan(rows + rows_before, asked.now_ms)
    usage.refuse_impossible_deadline(len(calls), 0, options.deadline_s)
    with connected(options.account, pace, timing, redactor, watcher.tell) as (keys, cloud):
        refuse_known_secrets(options.api_keys or (), redactor)
        if known_project(options.account, keys) is None:
            usage.refuse_impossible_deadline(len(calls), 1, options.deadline_s)
        bar = watcher.progress(len(calls))
        with project_of(cloud, keys, options.account, redactor) as project_id, bar as answered:
            answers = usage.run(cloud, pace, query, project_id, calls, answered)
    usages = usage.add_up(rows, answers)
    usage_before = statistics.add_up(usage.add_up(rows_before, answers)) if rows_before else None
    result = document.answer(
        demo=options.account.demo,
        query=query,
        project_id=project_id,
        asked=asked,
        totals=statistics.add_up(usages),
        rows=list(zip(rows, usages)) if query.group_by else [],
        previous=None if before is None else (before, usage_before),
        limits=options.limits,
        key_file_readable=keys.readable_by_others,
        api_calls=cloud.sends[statistics.OPERATION],
    )
    if options.raw:
        result["raw"] = document.raw_member(answers, redactor)
    return result


def _to_compare_with(options: Options, query: Query, asked: Window) -> Tuple[Optional[Window], List[usage.Group]]:
    """The window before, if it is asked for, and its groups: none where it is not kept whole."""
    if not query.compare:
        return None, []
    before = window.previous(options.expression, asked)
    if before.start_ms < window.retained_since(asked.now_ms):
        return before, []
    return before, usage.whole(query, before)


def examine(
    findings: check.Findings,
    options: Options,
    pace: Pace,
    timing: Timing,
    redactor: Redactor,
    watcher: Watcher,
) -> None:
    """Fills in what `--check` finds out about keys, network, clock, project and permission."""
    if options.account.demo:
        findings.ok("keys", "The demo makes up its own.")
        findings.skip("key_file", "The keys come from no file.")
    elif check.of_keys(findings, options.account.credentials_file, os.environ, redactor) is None:
        return
    now_ms = int(timing.now()) * window.SECOND_MS
    minute = usage.Group("minute", now_ms - 60_000, now_ms, options.service_types[:1], None)
    query = Query(options.account.region, minute.service_types, options.infer_type, None, "UTC")
    with connected(options.account, pace, timing, redactor, watcher.tell) as (keys, cloud):

        def ask(project_id: str) -> None:
            usage.run(cloud, pace, query, project_id, usage.plan([minute], now_ms))

        def look_up() -> str:
            # Not the remembered one: what is examined is the way to it.
            given = given_project(options.account, keys)
            return given or project.look_up(cloud, options.account.region, redactor)

        check.of_service(findings, look_up, ask, cloud)


def given_project(account: Account, keys: Credentials) -> Optional[str]:
    """The project id that is given, by an option, the environment or the source of the keys."""
    if account.project_id is None and keys.project_id is not None:
        return statistics.checked_project_id(keys.project_id, "The project id in %s" % keys.source)
    return account.project_id


def known_project(account: Account, keys: Credentials) -> Optional[str]:
    """The project id that needs no look-up: given, or remembered."""
    given = given_project(account, keys)
    if given is not None or account.no_cache or account.demo:
        return given
    return remembered.recall(account, keys)


@contextmanager
def project_of(cloud: Cloud, keys: Credentials, account: Account, redactor: Redactor) -> Iterator[str]:
    """The project id: given, remembered, or looked up and then remembered.

    An error inside that speaks against a remembered one makes it forgotten.
    """
    given = given_project(account, keys)
    if given is not None or account.no_cache or account.demo:
        yield given or project.look_up(cloud, account.region, redactor)
        return
    project_id = known_project(account, keys)
    if project_id is None:
        project_id = project.look_up(cloud, account.region, redactor)
        remembered.remember(account, keys, project_id)
    try:
        yield project_id
    except UsageStatsError as error:
        if error.http_status in (401, 403, 404):
            remembered.forget(account, keys)
        raise


@contextmanager
def connected(
    account: Account, pace: Pace, timing: Timing, redactor: Redactor, tell: Callable[[str], None]
) -> Iterator[Tuple[Credentials, Cloud]]:
    """The keys and a cloud that takes calls with them: the real one, or the embedded endpoint."""
    with ExitStack() as stack:
        keys, sites = stack.enter_context(_keys_and_sites(account, timing, redactor))
        yield keys, stack.enter_context(closing(Cloud(keys, redactor, sites, pace, timing, tell)))


@contextmanager
def _keys_and_sites(account: Account, timing: Timing, redactor: Redactor) -> Iterator[Tuple[Credentials, Sites]]:
    if not account.demo:
        keys = credentials.find(account.credentials_file, os.environ, redactor)
        yield keys, Sites.of_region(account.region, account.endpoint)
        return
    keys = _made_up_keys()
    trouble = os.environ.get(TROUBLE) or None
    if trouble is not None and trouble not in demo.TROUBLES:
        raise UsageError(
            "%s names no trouble that the demo can play: %s." % (TROUBLE, quoted(trouble)),
            "Valid: %s." % ", ".join(sorted(demo.TROUBLES)),
        )
    service = demo.Service(
        access_key_id=keys.access_key_id.reveal(),
        secret_access_key=keys.secret_access_key.reveal(),
        region=account.region,
        project_id=account.project_id or demo.PROJECT_ID,
        clock=timing.now,
        trouble=trouble,
    )
    with demo.Endpoint(service) as endpoint:
        yield keys, Sites(iam=endpoint.url, statistics=endpoint.url)


def _made_up_keys() -> Credentials:
    def draw(alphabet: str, length: int) -> Secret:
        return Secret("".join(secrets.choice(alphabet) for _ in range(length)))

    return Credentials(
        access_key_id=draw(string.ascii_uppercase + string.digits, 20),
        secret_access_key=draw(string.ascii_letters + string.digits, 40),
        security_token=None,
        project_id=None,
        source="the demo",
    )
