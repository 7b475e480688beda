#!/usr/bin/env python3
# /// script
# requires-python = ">=3.8"
# dependencies = [
#   "jsonschema>=4.20,<5",
#   "matplotlib>=3.7,<4",
# ]
# ///
"""A JSON document of maas_rest_usage_stats.py as a picture: see --help."""

import os
import sys

# Python does not do this by itself with -P or PYTHONSAFEPATH.
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

# Python 2 and 3.0-3.7 must get as far as run(): no newer syntax here and in handover.py.
from maas_usage import handover

if __name__ == "__main__":
    handover.run(__file__, "maas_usage.chart")
