"""The project id that was looked up last time."""

from __future__ import annotations

import json
import os

import pytest
from conftest import KEYS, PROJECT_ID, ask, on_stage, service


def look_ups(of):
    return [call.path for call in of.calls if call.path.startswith("/v3/")]


@pytest.fixture
def cache(tmp_path):
    return {"XDG_CACHE_HOME": str(tmp_path / "cache")}


def kept(cache):
    path = os.path.join(cache["XDG_CACHE_HOME"], "huawei-cloud-maas-tokens-usage", "projects.json")
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as opened:
        return json.load(opened)


def test_the_second_run_needs_no_look_up(cache):
    account = service()
    for _ in range(2):
        assert ask(on_stage(account), environ=cache).status == 0
    assert look_ups(account) == ["/v3/projects"]
    assert list(kept(cache).values()) == [PROJECT_ID]
    assert KEYS.key_id not in json.dumps(kept(cache))


@pytest.mark.parametrize("words", [("--region", "ap-southeast-1"), ("--endpoint", "other.myhuaweicloud.com")])
def test_another_region_or_endpoint_is_looked_up(cache, words):
    account = service(region="cn-southwest-2")
    assert ask(on_stage(account), environ=cache).status == 0
    ask(on_stage(account), *words, environ=cache)
    assert len(look_ups(account)) == 2


def test_nothing_is_read_or_written_without_the_cache(cache):
    account = service()
    ask(on_stage(account), "--no-cache", environ=cache)
    assert kept(cache) is None
    ask(on_stage(account), environ=cache)
    ask(on_stage(account), "--no-cache", environ=cache)
    assert len(look_ups(account)) == 3


@pytest.mark.parametrize("words", [("--demo",), ("--project-id", PROJECT_ID), ("--check",)])
def test_what_is_given_or_invented_is_not_remembered(cache, words):
    ask(on_stage(service()), *words, environ=cache)
    assert kept(cache) is None


@pytest.mark.parametrize(
    ("trouble", "status", "still_known"),
    [("rejected", 3, False), ("forbidden", 4, False), ("wrong-region", 4, False), ("bad-request", 7, True)],
)
def test_what_speaks_against_it_makes_it_forgotten(cache, trouble, status, still_known):
    assert ask(on_stage(service()), environ=cache).status == 0
    assert ask(on_stage(service(trouble=trouble)), environ=cache).status == status
    assert bool(kept(cache)) is still_known


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"a": 1}', "[" * 100_000, json.dumps({"x": "../../etc"})], ids=range(6)
)
def test_a_broken_cache_is_as_good_as_none(cache, content):
    account = service()
    ask(on_stage(account), environ=cache)
    (name,) = kept(cache)
    path = os.path.join(cache["XDG_CACHE_HOME"], "huawei-cloud-maas-tokens-usage", "projects.json")
    with open(path, "w", encoding="utf-8") as opened:
        opened.write(content.replace('"x"', '"%s"' % name))
    assert ask(on_stage(account), environ=cache).status == 0
    assert len(look_ups(account)) == 2


def test_a_cache_that_cannot_be_written_is_none(tmp_path):
    (tmp_path / "file").write_text("")
    told = ask(on_stage(service()), environ={"XDG_CACHE_HOME": str(tmp_path / "file")})
    assert (told.status, told.err) == (0, "")
