#!/usr/bin/env python3
# /// script
# requires-python = ">=3.8"
# dependencies = [
#   "jsonschema>=4.20,<5",
# ]
# ///
"""A kept document against its schema: see --help."""

# Python 2 and 3.0-3.7 must get as far as run(): no newer syntax here and in handover.py.
from maas_usage import handover

if __name__ == "__main__":
    handover.run(__file__, "maas_usage.validation")
