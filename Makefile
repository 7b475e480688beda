# Two commands do everything on a fresh machine: `make demo` answers the main question from the
# embedded endpoint, `make test` passes the tests. Both need Python 3.8 or newer with venv.
PYTHON ?= python3
PY = .venv/bin/python

.PHONY: demo test check clean

demo: .venv/ready
	$(PY) scripts/maas_rest_usage_stats.py --demo --last 7d

test: .venv/ready-test
	$(PY) -m pytest

check: .venv/ready-check
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m coverage erase
	$(PY) -m coverage run -m pytest
	$(PY) -m coverage combine --quiet
	$(PY) -m coverage report

clean:
	rm -rf .venv

# pip is run as a module: a script's first line cannot hold a path with a blank in it.
.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check .
	touch $@

.venv/ready-test: pyproject.toml .venv/ready
	$(PY) -m pip install --quiet --disable-pip-version-check ".[test]"
	touch $@

.venv/ready-check: pyproject.toml .venv/ready-test
	$(PY) -m pip install --quiet --disable-pip-version-check ".[test,check]"
	touch $@
