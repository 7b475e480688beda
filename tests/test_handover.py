"""The script in a bare Python, in an old one, in another folder: it hands over, or says in a line what it lacks."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys

import pytest
from conftest import (
    PYENV_VERSIONS,
    ROOT,
    SCHEMA,
    as_words,
    bare_environment,
    drawn_key_id,
    launch,
    violations,
)
from maas_usage import handover

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

POSIX = pytest.mark.skipif(os.name != "posix", reason="stands in for programs with shell scripts")
DEMO = ("--demo", "--timezone", "Asia/Shanghai")


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory):
    """This Python without any package."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    found = subprocess.run([str(python), "-c", "import requests"], stderr=subprocess.PIPE)
    assert found.returncode == 1
    return python


@pytest.fixture
def bundle(tmp_path):
    """A copy of the bundle, with a blank and Chinese characters in its path."""
    folder = tmp_path / "my \u4e2d\u6587 bundle"
    folder.mkdir()
    shutil.copytree(str(ROOT / "scripts"), str(folder / "scripts"), ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(str(SCHEMA.parent), str(folder / "assets"))
    return folder


@pytest.fixture
def call(bundle, bare_python, tmp_path):
    """The copied script in the bare Python, with nothing on the PATH but what `uv` put there."""
    (tmp_path / "programs").mkdir()

    def call(*words, python=bare_python, environ=None):
        script = bundle / "scripts" / "maas_rest_usage_stats.py"
        environ = {"PATH": str(tmp_path / "programs"), **(environ or {})}
        return launch(*words, python=python, script=script, environ=environ)

    return call


def program(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]), encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def venv_of(bundle, python, *lines):
    program(bundle / ".venv" / "bin" / "python", 'echo "$@" >>"${0%/*}/called"', *lines, 'exec "%s" "$@"' % python)
    return bundle / ".venv" / "bin" / "called"


def uv_on_path(tmp_path, python, *lines):
    """A program that takes what `uv run --script` takes, and has all packages if `python` has."""
    called = tmp_path / "uv called"
    program(
        tmp_path / "programs" / "uv",
        'echo "$@" >>"%s"' % called,
        '[ "$1" = run ] || exit 9',
        'while [ "$1" != --script ]; do shift; done',
        "shift",
        *lines,
        'exec "%s" "$@"' % python,
    )
    return called


def assert_packages_missing(done):
    assert (done.returncode, done.stdout) == (2, "")
    first, *rest = done.stderr.splitlines()
    assert first.startswith("packages_missing: ")
    assert [line.strip() for line in rest] == ["python3 -m venv .venv", ".venv/bin/python -m pip install ."]


class TestWithoutPackages:
    def test_help_and_version_need_none(self, call):
        done = call("--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert len(done.stdout.splitlines()) <= 60
        assert max(map(len, done.stdout.splitlines())) <= 80
        done = call("--version")
        assert (done.returncode, done.stderr) == (0, "")

    @pytest.mark.parametrize(
        "words",
        [
            ["--last", "7x"],
            ["--period", "never"],
            ["--from", "2026-02-30"],
            ["--from", "2026-02-03", "--to", "2026-02-01"],
            ["--service-type", "3"],
            ["--region", "A"],
            ["--endpoint", "evil.example"],
            ["--deadline", "0"],
            ["--nothing-known"],
            ["--api-keys", "a b"],
        ],
        ids=as_words,
    )
    def test_usage_errors_need_none(self, call, words):
        done = call(*words, "--format", "json")
        error = json.loads(done.stdout)["error"]
        assert (done.returncode, error["code"]) == (2, "usage")
        assert violations(json.loads(done.stdout)) == []
        assert done.stderr == "usage: %s %s\n" % (error["message"], error["hint"])

    def test_a_key_is_refused(self, call):
        key_id = drawn_key_id()
        done = call("--region", key_id, "--format", "json")
        assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (3, "credentials_in_argument")
        assert key_id not in done.stdout + done.stderr

    def test_anything_else_says_how_to_get_them(self, call):
        assert_packages_missing(call(*DEMO))
        assert_packages_missing(call())

    def test_in_json_too(self, call):
        done = call("--format", "json")
        document = json.loads(done.stdout)
        assert (done.returncode, violations(document)) == (2, [])
        assert document["error"]["code"] == "packages_missing"
        assert document["error"]["retryable"] is False

    @pytest.mark.parametrize("lacks", ["requests", "rich"])
    def test_one_that_is_missing_is_as_bad_as_all(self, call, bundle, lacks, tmp_path):
        # A folder on the path hides the installed package: only its import fails.
        (tmp_path / "broken" / lacks).mkdir(parents=True)
        broken = tmp_path / "broken" / lacks / "__init__.py"
        broken.write_text("raise ImportError('no %s', name='%s')\n" % (lacks, lacks))
        done = call(*DEMO, python=sys.executable, environ={"PYTHONPATH": str(tmp_path / "broken")})
        assert_packages_missing(done)


@POSIX
class TestTheBundlesOwn:
    def test_it_takes_over_with_every_word_as_it_was(self, call, bundle):
        called = venv_of(bundle, sys.executable)
        done = call(*DEMO, "--api-keys", "web-app", "", "--format=json")
        assert (done.returncode, done.stderr) == (0, "")
        document = json.loads(done.stdout)
        assert (document["source"], document["query"]["api_keys"]) == ("demo", ["web-app", ""])
        assert len(called.read_text().splitlines()) == 1

    def test_its_exit_status_is_the_runs(self, call, bundle):
        venv_of(bundle, sys.executable)
        done = call(*DEMO, "--region", "cn-north-4")
        assert (done.returncode, done.stdout) == (4, "")
        assert done.stderr.startswith("region_unsupported: ")

    def test_it_comes_before_uv(self, call, bundle, tmp_path):
        venv_of(bundle, sys.executable)
        called = uv_on_path(tmp_path, sys.executable)
        assert call(*DEMO).returncode == 0
        assert not called.exists()

    def test_without_packages_it_does_not_call_itself(self, call, bundle, bare_python):
        called = venv_of(bundle, bare_python)
        assert_packages_missing(call(*DEMO))
        assert len(called.read_text().splitlines()) == 1

    def test_without_packages_uv_is_next(self, call, bundle, bare_python, tmp_path):
        venv_of(bundle, bare_python)
        uv_on_path(tmp_path, sys.executable)
        assert call(*DEMO).returncode == 0

    @pytest.mark.parametrize("broken", ["not executable", "dangling", "no interpreter"])
    def test_a_broken_one_is_passed_over(self, call, bundle, tmp_path, broken):
        venv_of(bundle, sys.executable)
        python = bundle / ".venv" / "bin" / "python"
        if broken == "not executable":
            python.chmod(0o600)
        elif broken == "dangling":
            python.unlink()
            python.symlink_to(tmp_path / "nowhere")
        else:
            python.write_text("#!/nowhere/at/all\n")
        uv_on_path(tmp_path, sys.executable)
        assert call(*DEMO).returncode == 0


@POSIX
class TestUv:
    def test_it_takes_over_and_says_so(self, call, tmp_path):
        called = uv_on_path(tmp_path, sys.executable, "echo noise of uv >&2")
        done = call(*DEMO, "--format", "json", "--api-keys", "")
        assert done.returncode == 0
        assert json.loads(done.stdout)["query"]["api_keys"] == [""]
        assert "uv" in done.stderr.splitlines()[0]
        assert all("--script" in line for line in called.read_text().splitlines())

    def test_its_own_talk_never_reaches_stdout(self, call, tmp_path):
        uv_on_path(tmp_path, sys.executable, '[ "$2" != --version ] || echo Installed 30 packages')
        done = call(*DEMO, "--format", "json")
        assert json.loads(done.stdout)["source"] == "demo"

    def test_without_packages_it_does_not_call_itself(self, call, tmp_path, bare_python):
        called = uv_on_path(tmp_path, bare_python)
        done = call(*DEMO)
        assert (done.returncode, done.stdout) == (2, "")
        assert "packages_missing: " in done.stderr
        assert len(called.read_text().splitlines()) <= 2

    def test_one_that_fails_is_as_good_as_none(self, call, tmp_path):
        uv_on_path(tmp_path, sys.executable, "exit 2")
        done = call(*DEMO, "--format", "json")
        assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (2, "packages_missing")

    def test_usage_errors_and_help_do_not_wait_for_it(self, call, tmp_path):
        called = uv_on_path(tmp_path, sys.executable)
        assert call("--last", "7x").returncode == 2
        assert call("--help").returncode == 0
        assert not called.exists()


@pytest.mark.parametrize("version", ["2.7.18", "3.6.15", "3.7.16"])
class TestOldPythons:
    @pytest.fixture
    def old_python(self, version):
        python = PYENV_VERSIONS / version / "bin" / "python"
        if not python.exists():
            pytest.skip("no Python %s here" % version)
        return python

    @pytest.mark.parametrize("words", [["--last", "7d"], ["--help"], ["--last", "7x"], []], ids=as_words)
    def test_one_line_and_no_syntax_error(self, old_python, words):
        done = launch(*words, python=old_python)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
        assert done.stderr.startswith("packages_missing: ") and "3.8" in done.stderr

    def test_in_json_too(self, old_python):
        done = launch("--last", "7d", "--format=json", python=old_python)
        document = json.loads(done.stdout)
        assert (done.returncode, violations(document)) == (2, [])
        assert document["error"]["code"] == "packages_missing"
        assert len(done.stderr.splitlines()) == 1


class TestAnywhere:
    @POSIX
    def test_from_another_folder_through_a_link(self, bundle, tmp_path):
        link = tmp_path / "elsewhere" / "a link"
        link.parent.mkdir()
        link.symlink_to(bundle / "scripts" / "maas_rest_usage_stats.py")
        done = launch(*DEMO, script=link, cwd=link.parent)
        assert (done.returncode, done.stderr) == (0, "")
        done = launch(*DEMO, script="a link", cwd=link.parent, environ={"LC_ALL": "C"})
        assert (done.returncode, done.stderr) == (0, "")

    @POSIX
    def test_a_link_finds_the_venv_of_its_bundle(self, bundle, tmp_path, bare_python):
        called = venv_of(bundle, sys.executable)
        link = tmp_path / "link.py"
        link.symlink_to(bundle / "scripts" / "maas_rest_usage_stats.py")
        assert launch(*DEMO, script=link, python=bare_python).returncode == 0
        assert called.exists()

    def test_by_a_relative_path(self, bundle):
        done = launch(*DEMO, script=os.path.join("scripts", "maas_rest_usage_stats.py"), cwd=bundle)
        assert (done.returncode, done.stderr) == (0, "")

    def test_as_a_program(self):
        assert os.access(str(ROOT / "scripts" / "maas_rest_usage_stats.py"), os.X_OK)

    @pytest.mark.skipif(sys.version_info < (3, 11), reason="older Pythons have no safe path")
    def test_with_a_safe_path(self):
        assert launch("--help", environ={"PYTHONSAFEPATH": "1"}).returncode == 0

    def test_interrupted_before_it_has_begun(self, tmp_path):
        # What is imported first stands in for the moment at which Ctrl-C comes.
        (tmp_path / "argparse.py").write_text("raise KeyboardInterrupt\n")
        done = launch(*DEMO, environ={"PYTHONPATH": str(tmp_path)})
        assert (done.returncode, done.stdout) == (130, "")
        assert done.stderr.startswith("interrupted: ") and len(done.stderr.splitlines()) == 1

    def test_files_of_the_working_folder_are_not_imported(self, tmp_path):
        for name in ("requests", "maas_usage", "json", "statistics", "signature"):
            (tmp_path / (name + ".py")).write_text("raise SystemExit('imported %s')\n" % name)
        done = launch(*DEMO, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")


# --- what is declared ---

METADATA = re.compile(r"(?m)^# /// script$\s(?P<content>(^#(| .*)$\s)+)^# ///$")


def declared(script):
    found = METADATA.search(script.read_text(encoding="utf-8"))
    if found is None:
        return None
    lines = found.group("content").splitlines()
    return tomllib.loads("\n".join(line[2:] if line.startswith("# ") else line[1:] for line in lines))


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def distribution(requirement):
    return re.match("[A-Za-z0-9._-]+", requirement).group(0)


class TestDeclarations:
    def test_the_script_declares_what_the_project_does(self):
        inline = declared(ROOT / "scripts" / "maas_rest_usage_stats.py")
        assert sorted(inline["dependencies"]) == sorted(project()["dependencies"])
        assert inline["requires-python"] == project()["requires-python"]

    def test_no_script_declares_anything_else(self):
        known = set(project()["dependencies"])
        for extra in project().get("optional-dependencies", {}).values():
            known.update(extra)
        found = [declared(script) for script in sorted((ROOT / "scripts").glob("*.py"))]
        declarations = [one for one in found if one is not None]
        assert declarations
        for one in declarations:
            assert set(one["dependencies"]) <= known
            assert one["requires-python"] == project()["requires-python"]

    def test_the_oldest_python_is_the_same_everywhere(self):
        assert project()["requires-python"] == ">=%d.%d" % handover.OLDEST

    def test_each_dependency_is_looked_for_before_the_run(self):
        # Zone data may be the system's own, and zoneinfo is a part of newer Pythons.
        unneeded = {"tzdata", "backports.zoneinfo"}
        assert set(handover.NEEDED) == {distribution(one) for one in project()["dependencies"]} - unneeded

    def test_nothing_is_lacking_where_the_tests_run(self):
        assert handover.lacking() == []
        assert handover.lacking(("no_such_package", "no.such.package")) == ["no_such_package", "no.such.package"]


def test_the_environment_of_the_tests_is_bare(tmp_path):
    names = set(bare_environment(tmp_path))
    assert not [name for name in names if re.match("HW_|HUAWEI|MAAS|.*PROXY", name, re.IGNORECASE)]
