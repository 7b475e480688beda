"""Token usage of Huawei Cloud MaaS, counted exactly; `maas_usage.cli` is the way in."""

__version__ = "1.0.0"
