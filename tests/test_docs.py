"""The prose is under test: its commands run, its links lead somewhere, and it names what is there, no more."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ask, bare_environment
from maas_usage import arguments, demo, errors, secrecy, sisters

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "SKILL.md", *(ROOT / "references").glob("*.md")])
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
TRIGGERS = [
    "MaaS",
    "Model as a Service",
    "tokens usage",
    "token consumption",
    "request count",
    "error count",
    "MaaS usage",
    "preset service usage",
    "completion tokens",
    "prompt tokens",
    "MaaS statistics",
    "模型服务",
    "令牌用量",
    "token统计",
    "token用量",
    "词元用量",
    "请求次数",
    "MaaS监控",
    "华为云MaaS",
]


def text_of(page):
    return page.read_text(encoding="utf-8")


def blocks(page, kind):
    return [body for _, language, body in BLOCK.findall(text_of(page)) if language == kind]


SHELL = [(page, number, block) for page in PAGES for number, block in enumerate(blocks(page, "bash"))]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A copy of the bundle, and a `python3` that gives every question to the demo."""
    folder = tmp_path_factory.mktemp("copy") / "bundle"
    kept = ("scripts", "assets", "references")
    for name in kept:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shims = folder.parent / "shims"
    shims.mkdir()
    shim = shims / "python3"
    shim.write_text(
        "#!/bin/sh\n"
        'case "$*" in *--demo*|*--help*|*--version*|*validate_document*|*chart*) ;;'
        ' *scripts/maas_*) set -- "$@" --demo ;; esac\n'
        'exec %s "$@"\n' % shlex.quote(sys.executable),
        encoding="utf-8",
    )
    shim.chmod(0o755)
    return folder, shims


def shell(bundle, script):
    folder, shims = bundle
    environ = bare_environment(folder.parent)
    environ["PATH"] = "%s%s%s" % (shims, os.pathsep, environ["PATH"])
    return subprocess.run(
        ["bash", "-uo", "pipefail", "-c", script],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


def test_there_are_blocks_to_run():
    pages = {page.name for page, _, _ in SHELL}
    assert len(SHELL) >= 10
    assert {"task-query-tokens-usage.md", "verification-method.md", "related-apis.md"} <= pages


@pytest.mark.skipif(os.name != "posix", reason="the blocks are for a POSIX shell")
@pytest.mark.parametrize(("page", "number", "block"), SHELL, ids=["%s-%d" % (p.stem, n) for p, n, _ in SHELL])
def test_every_shell_block_runs_as_it_stands(bundle, page, number, block):
    for line in block.replace("\\\n", " ").splitlines():
        done = shell(bundle, line)
        assert done.returncode in (0, 10), done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="runs through a POSIX shell")
def test_a_block_that_fails_is_noticed(bundle):
    assert shell(bundle, "python3 scripts/maas_rest_usage_stats.py --last 0d").returncode == 2


SCREEN = re.compile(r"(?ms)^```text\n\$ python3 scripts/maas_rest_usage_stats\.py (--demo [^\n]*)\n(.*?)^```$")


def screen(words):
    """What a command of the README prints at its fixed moment; what depends on the machine is left out."""
    told = ask(
        None, *shlex.split(words), environ={"MAAS_USAGE_DEMO_TROUBLE": "forbidden" if "--check" in words else None}
    )
    assert told.status == (4 if "--check" in words else 10 if "--alert" in words else 0)
    lines = (line for line in told.out.splitlines() if not line.startswith(("ok       python ", "ok       packages ")))
    return "\n".join(lines) + "\n"


def test_the_screens_of_the_readme_are_the_programs_own():
    """`WRITE_GOLDEN=1 python -m pytest tests/test_docs.py -k screens` writes them anew."""
    page = text_of(ROOT / "README.md")
    command = "```text\n$ python3 scripts/maas_rest_usage_stats.py %s\n%s```"
    real = SCREEN.sub(lambda found: command % (found.group(1), screen(found.group(1))), page)
    if os.environ.get("WRITE_GOLDEN") == "1":
        (ROOT / "README.md").write_text(real, encoding="utf-8")
    shown = " ".join(words for words, _ in SCREEN.findall(page))
    assert {"--by", "--compare", "--alert-tokens", "--alert-error-rate", "--check"} <= set(shown.split())
    assert page == real


def commands_of_skill():
    rows = text_of(ROOT / "SKILL.md").split("## Core Commands")[1].split("\n## ")[0].splitlines()
    words = [span for row in rows if row.startswith("|") for span in re.findall(r"`(--[^`]+)`", row)]
    return [span.replace("LABEL LABEL", "web-app ci") for span in words]


@pytest.mark.skipif(os.name != "posix", reason="runs through a POSIX shell")
def test_every_command_of_skill_md_runs(bundle):
    spelled = commands_of_skill()
    assert len(spelled) >= 20
    script = " && ".join("{ python3 scripts/maas_rest_usage_stats.py %s || test $? = 10; }" % s for s in spelled)
    done = shell(bundle, script)
    assert (done.returncode, done.stdout.count("DEMO DATA")) == (0, len(spelled) - 1), done.stderr  # but --check


def options(parser):
    return {name for action in parser._actions for name in action.option_strings if name.startswith("--")}


def test_every_option_is_documented_and_no_other():
    page = text_of(ROOT / "references" / "task-query-tokens-usage.md")
    known = options(arguments.parser())
    assert {option for option in known if not re.search(r"`%s[ `\]]" % option, page)} == set()
    everywhere = known | options(sisters.parser()) | {"--dark", "--output", "--script", "--no-project"}
    for one in PAGES:
        spans = [re.sub(r"^(uv|pip|make|npx|claude) .*", "", s) for s in re.findall(r"`([^`\n]+)`", text_of(one))]
        mentioned = {option for span in spans for option in re.findall(r"(?<!\S)--[a-z][a-z-]+", span)}
        assert mentioned - everywhere == set(), one.name


def test_every_code_is_documented_and_no_other():
    page = text_of(ROOT / "references" / "troubleshooting.md")
    schema = json.loads(text_of(ROOT / "assets" / "usage.schema.json"))["$defs"]
    codes = schema["error"]["properties"]["code"]["enum"]
    warnings = schema["warning"]["properties"]["code"]["enum"]
    assert {code for code in codes + warnings if "| `%s` |" % code not in page} == set()
    rows = re.findall(r"^\| `([a-z_]+)` \| ([0-9]+)", page, re.MULTILINE)
    kinds = {kind.code: str(int(kind.exit_status)) for kind in errors.UsageStatsError.__subclasses__()}
    assert {code: status for code, status in rows if code in kinds} == kinds


def test_every_member_of_an_answer_is_documented():
    pages = "".join(text_of(page) for page in (ROOT / "references").glob("*.md"))
    schema = json.loads(text_of(ROOT / "assets" / "usage.schema.json"))["$defs"]
    names = {name for part in schema.values() for name in part.get("properties", {})}
    assert len(names) > 40
    assert {name for name in names if not re.search(r"\b%s\b" % name, pages)} == set()


def test_every_trouble_of_the_demo_is_documented():
    pages = "".join(text_of(page) for page in (ROOT / "references").glob("*.md"))
    assert {name for name in demo.TROUBLES if "`%s`" % name not in pages} == set()


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_link_leads_somewhere(page):
    text = BLOCK.sub("", text_of(page))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", text_of(linked), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, target


def test_every_reference_is_reachable_from_skill_md():
    linked = set(re.findall(r"\(references/([^)#]+)", text_of(ROOT / "SKILL.md")))
    assert linked == {page.name for page in (ROOT / "references").glob("*.md")}
    assert len(linked) == 8


def test_skill_md_holds_the_refusal_word_for_word():
    refusals = [re.sub(r"(?m)^  ", "", block).strip() for block in blocks(ROOT / "SKILL.md", "text")]
    assert secrecy.REFUSAL in refusals


def test_the_frontmatter_is_that_of_a_skill():
    _, matter, body = text_of(ROOT / "SKILL.md").split("---\n", 2)
    top = {line.split(":")[0]: line.partition(": ")[2] for line in matter.splitlines() if line[:1].strip()}
    assert set(top) == {"name", "description", "license", "compatibility", "metadata"}
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", top["name"]) and len(top["name"]) <= 64
    assert 1 <= len(top["description"]) <= 1024 and not set("<>") & set(top["description"])
    assert 1 <= len(top["compatibility"]) <= 500
    assert [word for word in TRIGGERS if word not in top["description"]] == []
    assert len(body.splitlines()) < 500


def tracked_files():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, stdout=subprocess.PIPE)
    return [ROOT / name for name in listed.stdout.decode().splitlines() if (ROOT / name).is_file()]


LOOKS_LIKE_A_KEY = (secrecy._ACCESS_KEY_ID, secrecy._SECRET_ACCESS_KEY)


def test_no_file_holds_what_looks_like_a_key():
    files = tracked_files() if (ROOT / ".git").exists() else [p for p in ROOT.rglob("*.*") if ".venv" not in str(p)]
    assert len(files) > 40
    found = []
    for file in files:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # a picture
        found += [(file.name, line) for line in lines for pattern in LOOKS_LIKE_A_KEY if pattern.search(line)]
    # A name in capitals is no key: without a digit, the first pattern lets it pass; the second needs a mixture.
    assert found == []


def test_a_key_would_be_found():
    key_id, secret = "AB1" + "C" * 17, "aB3" + "d" * 37
    assert LOOKS_LIKE_A_KEY[0].search("x = '%s'" % key_id)
    assert LOOKS_LIKE_A_KEY[1].search("x = '%s'" % secret)
