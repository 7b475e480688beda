# Two commands do everything on a fresh machine: `make demo` answers the main question from the
# embedded endpoint, `make test` passes the tests. Both need Python 3.8 or newer with venv.
PYTHON ?= python3
VENV ?= .venv
PY = $(VENV)/bin/python

.PHONY: demo test check bench pictures clean

demo: $(VENV)/ready
	$(PY) scripts/maas_rest_usage_stats.py --demo --last 7d

test: $(VENV)/ready-test
	$(PY) -m pytest

check: $(VENV)/ready-check
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m coverage erase
	$(PY) -m coverage run -m pytest
	$(PY) -m coverage combine --quiet
	$(PY) -m coverage report

bench: $(VENV)/ready-test
	PYTHONPATH=scripts:tests $(PY) tests/bench.py

pictures: $(VENV)/ready-test
	PYTHONPATH=scripts $(PY) tools/pictures.py

clean:
	rm -rf $(VENV)

# pip is run as a module: a script's first line cannot hold a path with a blank in it.
$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check .
	touch $@

$(VENV)/ready-test: pyproject.toml $(VENV)/ready
	$(PY) -m pip install --quiet --disable-pip-version-check ".[test]"
	touch $@

$(VENV)/ready-check: pyproject.toml $(VENV)/ready-test
	$(PY) -m pip install --quiet --disable-pip-version-check ".[test,check]"
	touch $@
