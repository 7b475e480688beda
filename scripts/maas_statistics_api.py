#!/usr/bin/env python3
# /// script
# requires-python = ">=3.8"
# dependencies = [
#   "backports.zoneinfo>=0.2.1,<1; python_version < '3.9'",
#   "huaweicloudsdkcore>=3.1.150,<4",
#   "jsonschema>=4.20,<5",
#   "platformdirs>=4.2,<5",
#   "requests>=2.32,<3",
#   "rich>=13.9,<16",
#   "tenacity>=8.3,<10",
#   "tzdata>=2024.1",
#   "tzlocal>=5.2,<6",
# ]
# ///
"""A sister operation of the statistics, for questions by model: see --help."""

import os
import sys

# Python does not do this by itself with -P or PYTHONSAFEPATH.
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

# Python 2 and 3.0-3.7 must get as far as run(): no newer syntax here and in handover.py.
from maas_usage import handover

if __name__ == "__main__":
    handover.run(__file__, "maas_usage.sisters", always_json=True)
